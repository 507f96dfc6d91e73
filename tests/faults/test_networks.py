"""Three hosts, one of which is cut off: nothing arrives, nothing is closed, nobody is told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from cyme_supd.store.servers import POOL_SIZE
from tests.acceptance.harness import unique
from tests.faults.rows import RUNS, Hit, Row
from tests.networks import Line, NamespaceHost, network
from tests.support import eventually

pytestmark = [
    pytest.mark.rows,
    pytest.mark.faults,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]
#: A branch has lapsed in the middle of it.
CUT_OFF_S, LONG_S, LOSS_S = 8.0, 60.0, 20.0
LONG_RUNS = max(1, RUNS // 10)
LOST_PERCENT = 30
ANSWER_S, REFUSAL_S = 2.0, 6.0
HEALS_S = 35.0
WORKERS = ("w0", "w1", "w2")
#: Three processes a branch, each with what its pool keeps.
MOST_SESSIONS, NOTICED_S = len(WORKERS) * 3 * POOL_SIZE, 60.0


@dataclass
class Trio:
    """Each host has a worker; the last is ``far``, by its lines to broker and database."""

    hosts: list[NamespaceHost]
    to_broker: Line
    to_database: Line | None
    #: Sessions at the database, for all that it knows.
    sessions: Callable[[], int]

    @property
    def far(self) -> NamespaceHost:
        return self.hosts[-1]

    def pids(self) -> list[int]:
        return [host.pid(name) for name, host in zip(WORKERS, self.hosts, strict=True)]

    def is_whole(self) -> bool:
        """Each tells of all, and that all are ready and consume."""
        for host in self.hosts:
            listed = host.client.get("/foo/instances/")
            if listed.status_code != 200 or "Cyme-Unknown" in listed.headers:
                return False
            seen = [host.client.get(f"/foo/instances/{name}/").json() for name in listed.json()]
            if [each.get("name") for each in seen] != list(WORKERS):
                return False
            if not all(each["ready"] is True and each["consuming"] is True for each in seen):
                return False
        return True


@pytest.fixture(params=["Valkey", "RabbitMQ"])
def broker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def trio(request: pytest.FixtureRequest, broker: str) -> Iterator[Trio]:
    url: str = request.getfixturevalue(f"{broker.lower()}_url")
    with ExitStack() as ends:
        urls = [url]
        net = ends.enter_context(network(len(WORKERS)))
        ends.enter_context(net.passing_on(url))
        if request.param:
            urls.append(ends.enter_context(net.postgresql()))
        fleet = unique("fleet")
        hosts: list[NamespaceHost] = []
        for number, name in enumerate(net.names):
            places = [net.url(number, each) for each in urls]
            host = NamespaceHost(name, "--sup-interval", "1", broker=places[0], fleet=fleet)
            if request.param:
                host.environment["CYME_DATABASE"] = places[1]
            hosts.append(ends.enter_context(host))
            host.start()
        hosts[0].post("/foo/", 201)
        for name, host in zip(WORKERS, hosts, strict=True):
            eventually(lambda host=host: host.id in hosts[0].get("/branches/"))
            hosts[0].post(f"/foo/instances/{name}/", 201, branch=host.id)
        lines = [net.line(len(WORKERS) - 1, each) for each in urls]
        to_database = lines[1] if request.param else None
        yield Trio(hosts, lines[0], to_database, partial(net.sessions, urls[-1]))


own_stores = pytest.mark.parametrize("trio", [False], indirect=True, ids=["sqlite"])
one_store = pytest.mark.parametrize("trio", [True], indirect=True, ids=["postgresql"])
Watch = Callable[[Trio, float, list[float]], Iterator[str]]


def repeated(
    trio: Trio,
    row: Row,
    harm: Callable[[], AbstractContextManager[None]],
    watch: Watch,
    lasts_s: float,
    runs: int,
) -> None:
    took: list[float] = []
    eventually(trio.is_whole, HEALS_S)
    for number in range(runs):
        before = trio.pids()
        with harm():
            wrong = list(watch(trio, time.monotonic() + lasts_s, took))
        hit = Hit.now()
        try:
            eventually(trio.is_whole, HEALS_S + 60)
        except AssertionError as exc:
            wrong.append(f"not whole: {exc}")
        row.seconds.append(round(time.monotonic() - hit.since, 3))
        if row.seconds[-1] > row.limit_s:
            wrong.append(f"whole only after {row.seconds[-1]:.1f} s")
        after = trio.pids()
        wrong += [] if after == before else [f"{before} is {after}"]
        row.violations += [f"run {number}: {each}" for each in wrong]
        if wrong:
            print(trio.far.log())
    row.note = f"answers meanwhile: max {max(took):.3f} s"
    row.check()


@own_stores
@pytest.mark.parametrize(("lasts_s", "runs"), [(CUT_OFF_S, RUNS), (LONG_S, LONG_RUNS)])
def test_cut_off_from_the_broker(trio: Trio, broker: str, lasts_s: float, runs: int) -> None:
    row = Row(f"branch cut off from the broker for {lasts_s:g} s", broker, HEALS_S, 31)
    repeated(trio, row, trio.to_broker.cut, each_tells_what_it_can, lasts_s, runs)


@own_stores
def test_packets_lost_on_the_way_to_the_broker(trio: Trio, broker: str) -> None:
    row = Row(f"{LOST_PERCENT} % of packets lost for {LOSS_S:g} s", broker, HEALS_S, 32)

    def harm() -> AbstractContextManager[None]:
        return trio.to_broker.losing(LOST_PERCENT)

    repeated(trio, row, harm, each_tells_of_its_own, LOSS_S, RUNS)


@one_store
@pytest.mark.parametrize(("lasts_s", "runs"), [(CUT_OFF_S, RUNS), (LONG_S, LONG_RUNS)])
def test_cut_off_from_the_database(trio: Trio, broker: str, lasts_s: float, runs: int) -> None:
    assert trio.to_database is not None
    row = Row(f"branch cut off from the database for {lasts_s:g} s", broker, HEALS_S, 33)
    repeated(trio, row, trio.to_database.cut, far_refuses, lasts_s, runs)
    # Those of whoever was cut off end there, too: a server has a hundred.
    eventually(lambda: trio.sessions() <= MOST_SESSIONS, NOTICED_S)


def each_tells_what_it_can(trio: Trio, until: float, took: list[float]) -> Iterator[str]:
    """And in the end the others name the one they do not hear."""
    yield from each_tells_of_its_own(trio, until, took)
    found = trio.hosts[0].client.get("/foo/instances/")
    if (found.json(), found.headers.get("Cyme-Unknown")) != (["w0", "w1"], trio.far.id):
        yield f"in the end {found.json()} without {found.headers.get('Cyme-Unknown')}"


def each_tells_of_its_own(trio: Trio, until: float, took: list[float]) -> Iterator[str]:
    while time.monotonic() < until:
        for name, host in zip(WORKERS, trio.hosts, strict=True):
            found = asked(host, "/foo/instances/", took)
            if took[-1] > ANSWER_S:
                yield f"{name}'s took {took[-1]:.1f} s"
            if name not in found.json():
                yield f"{name}'s does not tell of its own"


def far_refuses(trio: Trio, until: float, took: list[float]) -> Iterator[str]:
    """Soon, and with 503; the others answer, for all there are, as ever."""
    while time.monotonic() < until:
        for host in trio.hosts[:-1]:
            found = asked(host, "/foo/instances/", took)
            if (found.status_code, found.json()) != (200, list(WORKERS)) or took[-1] > ANSWER_S:
                yield f"{host.id}: {found.status_code} {found.text} after {took[-1]:.1f} s"
        refused = asked(trio.far, "/foo/queues/late/", took, "PUT")
        if refused.status_code != 503 or took[-1] > REFUSAL_S:
            yield f"far: {refused.status_code} {refused.text} after {took[-1]:.1f} s"
        if asked(trio.far, "/ping/", took).status_code != 200:
            yield "far does not answer"


def asked(host: NamespaceHost, path: str, took: list[float], method: str = "GET") -> httpx.Response:
    begun_at = time.monotonic()
    found = host.client.request(method, path)
    took.append(time.monotonic() - begun_at)
    return found
