"""A broker is killed, or hangs, while requests come in: all are carried out after."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.celeryside import ask_worker, queues, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, unique
from tests.acceptance.outages import Broker, Embedded, Load, Rabbit
from tests.support import eventually

pytestmark = pytest.mark.timeout(300)
#: A worker tries again after 2, 4, 6 ... 30 seconds.
CARRIED_OUT_WITHIN_S = 35.0
#: Two seconds between pulses, three until one is late, and what the test needs to see it.
KNOWN_WITHIN_S = 10.0
ACCEPTED = {200, 201, 202, 408}
STANDING = ("w1", "w3")


# The one that comes along has its outage in test_broker_faults, too.
@pytest.fixture(scope="module", params=either(RABBITMQ, EMBEDDED))
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == EMBEDDED:
        return Embedded()
    return Rabbit(request.getfixturevalue("own_rabbitmq"))


@pytest.fixture(scope="module")
def host(broker: Broker) -> Iterator[BranchHost]:
    with BranchHost(broker=broker.url) as host:
        host.start()
        host.post("/foo/", 201)
        for queue in ("q0", "q1", "q2"):
            host.post(f"/foo/queues/{queue}/", 201)
        for name in ("w1", "w2", "w3"):
            host.make("foo", name)
        yield host


@pytest.fixture
def load(host: BranchHost, broker: Broker) -> Iterator[Load]:
    """Requests to come; in the end all is as it was before, at the broker, too."""
    for queue in ("q0", "q1", "q2"):
        host.post(f"/foo/instances/w1/queues/{queue}/", 201)
    host.post("/foo/instances/w1/", queues=[])
    eventually(lambda: queues(host, "w1") == {"dq.w1"})
    before = broker.holds(host)
    load = Load(host, unique("n"))
    yield load
    host.post("/foo/instances/w2/enable/", 200, timeout=60)
    for name in load.wish.created:
        host.delete(f"/foo/instances/{name}/", 200, timeout=60)
    host.post("/foo/instances/w1/", queues=[])
    eventually(lambda: queues(host, "w1") == {"dq.w1"})
    eventually(lambda: nothing_is_left(broker.holds(host), before), 30, every_s=0.5)


def nothing_is_left(now: set[str], before: set[str]) -> bool:
    assert (now - before, before - now) == (set(), set())
    return True


def pids(host: BranchHost) -> dict[str, int]:
    return {name: host.pid(name) for name in STANDING}


def is_stored(host: BranchHost, load: Load) -> bool:
    wish, shown = load.wish, host.get("/foo/instances/w1/")
    assert (shown["max_concurrency"], shown["min_concurrency"]) == wish.limits
    assert set(shown["queues"]) == wish.queues
    assert host.get("/foo/instances/w2/")["is_enabled"] is wish.is_enabled
    assert set(wish.created) <= set(host.get("/foo/instances/"))
    return True


def is_carried_out(host: BranchHost, load: Load) -> bool:
    """In the workers' own words."""
    wish = load.wish
    stats = ask_worker(host, "w1", "stats", timeout_s=0)
    if not stats or (stats["autoscaler"]["max"], stats["autoscaler"]["min"]) != wish.limits:
        return False
    if queues(host, "w1") != wish.queues | {"dq.w1"}:
        return False
    should_answer = ["w3", *wish.created, *(["w2"] if wish.is_enabled else [])]
    if not all(ask_worker(host, name, "ping", timeout_s=0) for name in should_answer):
        return False
    if not all(host.is_ready("foo", name) for name in ("w1", *should_answer)):
        return False
    return wish.is_enabled or host.get("/foo/instances/w2/")["state"] == "STOPPED"


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("killed", 10),
        pytest.param("frozen", 20, marks=pytest.mark.faults),
        pytest.param("killed", 60, marks=pytest.mark.faults),
    ],
)
def test_what_is_asked_meanwhile_is_carried_out_after(
    fault: str,
    seconds: int,
    host: BranchHost,
    broker: Broker,
    load: Load,
) -> None:
    take, give = (broker.take, broker.give) if fault == "killed" else (broker.freeze, broker.thaw)
    before, branch = pids(host), host.pid("cyme:branch")
    with load.running():
        take(host)
        gone_at = time.monotonic()
        try:
            eventually(lambda: load.known_at, KNOWN_WITHIN_S)
            eventually(lambda: time.monotonic() - gone_at >= seconds, seconds + 1)
            assert pids(host) == before
        finally:
            returning_at = time.monotonic()
            give(host)
        back_at = time.monotonic()
    eventually(lambda: is_stored(host, load))
    eventually(lambda: is_carried_out(host, load), CARRIED_OUT_WITHIN_S, every_s=0.2)
    after_s = time.monotonic() - back_at

    assert load.known_at is not None
    print(
        f"{fault} for {seconds} s, {len(load.changes)} changes: known after "
        f"{load.known_at - gone_at:.1f} s, carried out {after_s:.1f} s after its return"
    )
    check_answers(load, gone_at, load.known_at, returning_at)
    assert host.pid("cyme:branch") == branch
    assert pids(host) == before == {name: worker_pid(host, name) for name in STANDING}
    assert {name: host.mains(name) for name in STANDING} == {n: [p] for n, p in before.items()}


@pytest.mark.faults
def test_a_pause_outlasts_it(host: BranchHost, broker: Broker) -> None:
    """What the broker has forgotten of a worker's consumers is not made up for."""
    host.post("/foo/instances/w1/queues/q0/", 201)
    host.post("/foo/pause/")
    eventually(lambda: queues(host, "w1") == set())
    before = pids(host)
    broker.take(host)
    broker.give(host)
    # An answer after the return: the worker has connected again, and said so.
    eventually(lambda: host.is_ready("foo", "w1"), CARRIED_OUT_WITHIN_S)
    eventually(lambda: queues(host, "w1") == set(), CARRIED_OUT_WITHIN_S)
    host.post("/foo/resume/", timeout=60)
    eventually(lambda: queues(host, "w1") == {"dq.w1", "q0"}, CARRIED_OUT_WITHIN_S)
    assert pids(host) == before
    host.delete("/foo/instances/w1/queues/q0/", 200)


def check_answers(load: Load, gone_at: float, known_at: float, returning_at: float) -> None:
    assert {one.status for one in load.changes} <= ACCEPTED, load.changes
    assert {one.status for one in load.reads} <= {200, 503}
    reads = [one for one in load.reads if one.begun_at > gone_at]
    assert [one for one in reads if one.status == 503 and "/health/" not in one.what] == []
    assert load.late(known_at, returning_at) == []
    assert [one for one in reads if one.took_s > 1.0] == []
    meanwhile = [one for one in load.changes if known_at < one.begun_at < returning_at - 1]
    assert meanwhile
    for one in meanwhile:
        if one.status == 202:
            assert one.body["converged"] is False
            assert "broker" in one.body["reason"]
    assert {one.status for one in meanwhile if "autoscale" in one.what} == {202}
