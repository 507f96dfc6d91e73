"""Several real branches on one broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.acceptance import processes
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

#: Three beats of two seconds, and what this machine takes.
LAPSED_WITHIN_S = 6.0 + 3.0


@pytest.fixture
def hosts(valkey_url: str) -> Iterator[list[BranchHost]]:
    fleet = unique("fleet")
    with ExitStack() as ends:
        made = [
            ends.enter_context(
                BranchHost(
                    "-i", unique(name), "--sup-interval", "1", broker=valkey_url, fleet=fleet
                )
            )
            for name in ("one", "two")
        ]
        for host in made:
            host.launch()
        for host in made:
            host.await_up()
        yield made


def test_branches_see_one_another_until_one_is_killed(hosts: list[BranchHost]) -> None:
    one, two = hosts
    ids = sorted([one.id, two.id])
    for host in hosts:
        eventually(lambda host=host: host.get("/branches/") == ids)
    two.post("/foo/", 201)
    two.post("/foo/instances/!/w1/", 202, branch=two.id)
    eventually(lambda: one.get(f"/branches/{two.id}/")["instances"] == 1)
    shown, own = one.get(f"/branches/{two.id}/"), two.get(f"/branches/{two.id}/")
    assert shown["is_live"]
    for name in ("id", "url", "port", "version", "numc", "sup_interval", "loglevel", "logfile"):
        assert shown[name] == own[name]
    assert shown["memory"]["total"] == own["memory"]["total"]
    assert len(shown["load_average"]) == 3

    kill_all_of(two)
    eventually(lambda: one.get("/branches/") == [one.id], LAPSED_WITHIN_S)
    assert one.get("/health/")["ok"]
    lapsed = one.get(f"/branches/{two.id}/")
    assert (lapsed["is_live"], lapsed["instances"]) == (False, 1)
    assert lapsed["last_seen"] >= shown["last_seen"]

    # Processes that start anew have not heard it, and know of it all the same.
    for name in ("cyme:branch", "cyme:web"):
        processes.kill(one.pid(name))
    eventually(one.is_up)
    assert not one.get(f"/branches/{two.id}/")["is_live"]
    listed = one.client.get("/foo/instances/")
    assert (listed.json(), listed.headers.get("Cyme-Unknown")) == ([], two.id)
    assert one.client.get("/foo/instances/w1/").status_code == 503

    two.start()
    eventually(lambda: one.get("/branches/") == ids)


def test_a_name_that_was_given_twice_runs_once(hosts: list[BranchHost]) -> None:
    """They were apart when it was; then one of them joins the other's fleet."""
    one, two = hosts
    common, two.fleet = two.fleet, unique("fleet")
    two.end()
    # One that might still be there would have to say that it has no w1.
    eventually(lambda: one.get("/branches/") == [one.id], LAPSED_WITHIN_S + 10)
    two.start()
    for host in (two, one):
        host.post("/foo/", 201)
        host.make("foo", "w1")
    before = two.mains("w1")
    two.end()
    two.fleet = common
    two.start()

    eventually(lambda: one.mains("w1") == [])
    eventually(lambda: two.is_ready("foo", "w1"))
    held = conditions(one)
    assert f"branch {two.id!r} has an older instance" in held["Conflict"]
    assert "Conflict" not in conditions(two)
    # Started again it still knows, also while the other cannot say so.
    kill_all_of(two)
    processes.kill(one.pid("cyme:branch"))
    eventually(lambda: one.get(f"/branches/{one.id}/")["is_live"])
    eventually(one.is_up)
    assert (one.mains("w1"), conditions(one)["Conflict"]) == ([], held["Conflict"])

    two.start()
    two.delete("/foo/instances/w1/")
    eventually(lambda: one.is_ready("foo", "w1"))
    assert (len(one.mains("w1")), two.mains("w1"), len(before)) == (1, [], 1)


def conditions(host: BranchHost) -> dict[str, str]:
    """Messages, by type."""
    shown = host.get("/foo/instances/w1/")
    return {each["type"]: each["message"] for each in shown["conditions"]}


def kill_all_of(host: BranchHost) -> None:
    """The whole tree at once, as a host that loses its power."""
    assert host.process is not None
    tree = psutil.Process(host.process.pid)
    family = tree.children(recursive=True)
    os.kill(tree.pid, signal.SIGKILL)
    processes.kill_all(each.pid for each in family)
    host.process.wait()
    eventually(lambda: not host.residents())
