"""Defences of workers taken away from a whole branch: the worker suffers what it is known for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from tests.acceptance.celeryside import ask_worker, is_silent, worker_pid
from tests.acceptance.harness import BIN, BranchHost, unique
from tests.acceptance.outages import Broker, Embedded, Rabbit
from tests.faults.conftest import EMBEDDED, RABBITMQ
from tests.faults.weakened import installed, without
from tests.faults.yard import write_yard
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

#: A module, what is taken out of it, and what is there instead.
Change = tuple[str, str, str]
SETTING: Change = (
    "domain/launch.py",
    '    "worker_enable_prefetch_count_reduction": False,\n',
    "",
)
WATCH: Change = ("domain/healing.py", "    if answer.is_narrow:\n", "    if False:\n")
TYPES: Change = (
    "domain/declaration.py",
    "    if value not in EXCHANGE_TYPES:\n",
    "    if False:\n",
)
TRIAL: Change = (
    "workers/boot/cyme_boot.py",
    "        try_out(connection, declared)\n",
    "        pass\n",
)
#: Longer than the branch takes to replace one whose prefetch is lost.
UNCHANGED_S = 12
FIVE = {"max_concurrency": 5, "min_concurrency": 1}

#: Given a broker's URL, or none, and what is to be missing.
Start = Callable[[str | None, Change | None], BranchHost]


@pytest.fixture(params=[EMBEDDED, RABBITMQ])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == EMBEDDED:
        return Embedded()
    return Rabbit(request.getfixturevalue("own_rabbitmq"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a branch, without one of its defences if that is said."""
    with ExitStack() as hosts:

        def start(url: str | None, change: Change | None) -> BranchHost:
            programs = BIN
            if change is not None:
                programs = installed(tmp_path / "env", without(tmp_path / "weak", *change))
            waits = ("--sup-interval", "1", "--wait-after-broker-revived", "5")
            host = hosts.enter_context(BranchHost(*waits, broker=url, programs=programs)).start()
            app = {"celery_app": "yard:app", "directory": str(write_yard(tmp_path / "yard"))}
            host.post("/yard/", 201, **app, arguments="--prefetch-multiplier 1")
            return host

        yield start


def after_an_outage(host: BranchHost, broker: Broker, name: str) -> tuple[int, int]:
    """Its pid, and how much it takes at once, when it has reconnected."""
    broker.take(host)
    broker.give(host)
    said = ask_worker(host, name, "stats", timeout_s=40)
    assert said, f"{name} does not answer"
    return int(said["pid"]), int(said["prefetch_count"])


@pytest.mark.parametrize("change", [None, SETTING], ids=["whole", "weak"])
def test_the_prefetch_outlives_a_reconnect(
    change: Change | None, broker: Broker, start: Start
) -> None:
    """Of one whose limits nobody has changed, by a setting that it is started with."""
    host = start(broker.url, change)
    before = host.make("yard", "w1", **FIVE)["pid"]
    pid, prefetch = after_an_outage(host, broker, "w1")
    is_kept = (pid, prefetch) == (before, 5)
    assert is_kept is (change is None), (before, pid, prefetch)


@pytest.mark.parametrize("change", [None, WATCH], ids=["whole", "weak"])
def test_who_loses_its_prefetch_is_replaced(
    change: Change | None, broker: Broker, start: Start
) -> None:
    """Of one whose limits were changed no setting keeps it."""
    host = start(broker.url, change)
    before = host.make("yard", "w1", **FIVE)["pid"]
    for most in (4, 5):
        host.post("/yard/instances/w1/autoscale/", max=most, min=1)
    after_an_outage(host, broker, "w1")

    def is_whole() -> bool:
        said = ask_worker(host, "w1", "stats")
        return bool(said and said["pid"] != before and said["prefetch_count"] == 5)

    if change is None:
        eventually(is_whole, 60)
    else:
        let_pass(UNCHANGED_S)
        said = ask_worker(host, "w1", "stats")
        assert (said["pid"], said["prefetch_count"]) == (before, 1)


@pytest.mark.parametrize("change", [None, TYPES], ids=["whole", "weak"])
def test_a_type_of_exchange_that_nobody_knows(change: Change | None, start: Start) -> None:
    """On Redis it is a loop of reconnects, in which the worker answers nobody."""
    host = start(None, change)
    before = host.make("yard", "w1")["pid"]
    declared = host.client.post("/yard/queues/poison/", json={"exchange_type": "bogus"})
    if change is None:
        assert declared.status_code == 400
        assert worker_pid(host, "w1") == before
    else:
        host.post("/yard/instances/!/w1/queues/poison/", 202)
        eventually(lambda: is_silent(host, "w1") and is_silent(host, "w1"), 20)


@pytest.mark.parametrize("change", [None, TRIAL], ids=["whole", "weak"])
def test_a_queue_that_the_broker_refuses(
    change: Change | None, start: Start, rabbitmq_url: str
) -> None:
    """There already, with another type of exchange: the worker ends, and so does the next."""
    host, name = start(rabbitmq_url, change), unique("poison")
    before = host.make("yard", "w1")["pid"]
    with Connection(rabbitmq_url) as line:
        Queue(name, Exchange(name, "topic"), "key")(line.channel()).declare()
    host.post(f"/yard/queues/{name}/", 201)
    host.client.post(f"/yard/instances/w1/queues/{name}/", json={"timeout": 5})
    if change is None:
        eventually(lambda: "Quarantined" in conditions(host), 15)
        assert worker_pid(host, "w1") == before
    else:
        eventually(lambda: "CrashLooping" in conditions(host), 60)


def conditions(host: BranchHost) -> set[str]:
    return {each["type"] for each in host.get("/yard/instances/w1/")["conditions"]}
