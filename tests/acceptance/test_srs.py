"""The SRS interface: a branch that is managed by messages, in plain kombu."""

from __future__ import annotations

import os
import signal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from cyme_supd.domain.broker import parse_broker
from tests.acceptance.celeryside import worker_pid
from tests.acceptance.harness import BranchHost, unique
from tests.srs import Manager, left_at, manager, sent_until
from tests.support import eventually

PARTS = ("hostname", "port", "userid", "password", "virtual_host", "transport")


@pytest.mark.timeout(90)
def test_a_branch_that_is_managed_by_messages(broker: str | None) -> None:
    with BranchHost(broker=broker) as host:
        host.start()
        with manager(host.broker) as by:
            name = made(host, by)
            check_what_it_says_of(host, by, name)
            # A branch that begins tells its statistics at once.
            kill_the_branch(host)
            check_statistics(host, by, name)
            by.update(name, {"state": "stopping"})
            eventually(lambda: host.mains(name) == [], 30)
            assert host.get(f"/srs/instances/{name}/")["is_enabled"] is False
            by.update(name, {"state": "deleting"})
            eventually(lambda: host.get("/srs/instances/") == [], 30)
        url, id = host.broker, host.id
        host.interrupt()
        host.wait()
        if broker is not None:
            assert left_at(url, id) == []


def made(host: BranchHost, by: Manager) -> str:
    """A new instance that is ready; others hear why theirs is not made."""
    sent_until(lambda: "'w 1' is not a name" in host.log(), by.create, host.id, {"id": "w 1"})
    name, own = unique("w"), parse_broker(host.broker)
    by.create(host.id, {"id": name, **{part: getattr(own, part) for part in PARTS}})
    eventually(lambda: is_ready(host, name), 20)
    return name


def is_ready(host: BranchHost, name: str) -> bool:
    return name in host.get("/srs/instances/") and host.is_ready("srs", name)


def check_what_it_says_of(host: BranchHost, by: Manager, name: str) -> None:
    shown = host.get(f"/srs/instances/{name}/")
    assert shown["broker"] == host.get("/srs/")["broker"]
    assert worker_pid(host, name) == shown["pid"]
    (found,) = eventually(lambda: by.instances(host.id))
    assert (found["name"], found["is_enabled"], found["broker"]) == (name, True, shown["broker"])


def kill_the_branch(host: BranchHost) -> None:
    before = host.pid("cyme:branch")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: host.pid("cyme:branch") not in (0, before), 10)


def check_statistics(host: BranchHost, by: Manager, name: str) -> None:
    def told() -> Any:
        by.look()
        heard = by.statistics.get(host.id)
        return heard and name in heard[-1]["instances"] and heard[-1]

    statistics = eventually(told, 20)
    assert statistics["instances"][name]["pid"] == host.pid(name)
    own = statistics["agents"][host.id]
    lengths = {"loadavg": 4, "instances": 3, "drive_used": 2}
    assert {key: len(values) for key, values in own.items()} == lengths
    assert parsedate_to_datetime(own["loadavg"][0]).utcoffset() is not None
    assert own["instances"][1:] == [1, 1]
