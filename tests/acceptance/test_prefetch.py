"""What a worker takes at once, after its broker was away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import ask_worker
from tests.acceptance.conftest import EMBEDDED, RABBITMQ
from tests.acceptance.harness import BranchHost
from tests.acceptance.outages import Broker, Embedded, Rabbit
from tests.support import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.faults]
LATE = {"task_acks_late": True}


@pytest.fixture(params=[EMBEDDED, RABBITMQ])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == EMBEDDED:
        return Embedded()
    return Rabbit(request.getfixturevalue("own_rabbitmq"))


@pytest.fixture
def host(broker: Broker, project: Path) -> Iterator[BranchHost]:
    intervals = ("--sup-interval", "1", "--wait-after-broker-revived", "10")
    with BranchHost(*intervals, broker=broker.url) as host:
        host.start()
        app = {"celery_app": "house:app", "directory": str(project)}
        host.post("/house/", 201, **app, arguments="--prefetch-multiplier 1")
        yield host


def prefetch(host: BranchHost, name: str) -> int:
    return int(ask_worker(host, name, "stats")["prefetch_count"])


def test_one_whose_limits_were_changed_before_is_whole_again(
    host: BranchHost, broker: Broker
) -> None:
    limits = {"max_concurrency": 5, "min_concurrency": 1}
    late = host.make("house", "late", **limits, extra_config=LATE)["pid"]
    early = host.make("house", "early", **limits)["pid"]
    for name in ("late", "early"):
        for most in (4, 5):
            host.post(f"/house/instances/{name}/autoscale/", max=most, min=1)
    broker.take(host)
    broker.give(host)

    def is_replaced() -> bool:
        shown = host.get("/house/instances/late/")
        return bool(shown["ready"] and shown["pid"] not in (None, late))

    eventually(is_replaced, 90)

    assert prefetch(host, "late") >= 5
    # It grows as it is: what it begins it has acknowledged, and takes another.
    assert host.pid("early") == early
