"""Whoever of a fleet dies: the others answer what they can, soon, and say what is unknown."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import worker_pid
from tests.acceptance.fleets import (
    BACK_WITHIN_S,
    EMBEDDED,
    LAPSED_WITHIN_S,
    RABBITMQ,
    VALKEY,
    all_know,
    grounds,
    kill_all_of,
)
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
#: Whatever is asked of those that live.
ANSWERED_S = 2.0
BRANCH, WEB, TREE = "cyme:branch", "cyme:web", "tree"
ROUNDS = int(os.environ.get("CYME_FLEET_ROUNDS", "9"))
RACES = 30


@dataclass(frozen=True)
class Trio:
    """Three branches with a worker each: ``w1`` on the first, and so on."""

    hosts: list[BranchHost]
    has_database: bool

    def worker(self, host: BranchHost) -> str:
        return f"w{self.hosts.index(host) + 1}"

    @property
    def workers(self) -> list[str]:
        return [self.worker(host) for host in self.hosts]

    def mains(self) -> dict[str, list[int]]:
        return {self.worker(host): host.mains(self.worker(host)) for host in self.hosts}


PLACES = [
    pytest.param((broker, has_database), marks=marks, id=f"{broker}-{kind}")
    for broker in (VALKEY, RABBITMQ)
    for has_database, kind in ((False, "sqlite"), (True, "postgresql"))
    for marks in ([] if (broker, has_database) == (VALKEY, False) else [pytest.mark.faults],)
]


@pytest.fixture(scope="module", params=PLACES)
def trio(request: pytest.FixtureRequest) -> Iterator[Trio]:
    broker, has_database = request.param
    with (
        grounds(request, broker, has_database) as ground,
        ground.branches("one", "two", "three") as hosts,
    ):
        made = Trio(hosts, has_database)
        hosts[0].post("/foo/", 201)
        for host in hosts:
            hosts[0].post(f"/foo/instances/!/{made.worker(host)}/", 202, branch=host.id)
        eventually(lambda: is_whole(made), BACK_WITHIN_S)
        yield made


def is_whole(trio: Trio) -> bool:
    """Whether each answers for all, and every worker says it is the one that runs."""
    for host in trio.hosts:
        listed = asked(host, "/foo/instances/")
        assert (listed.json(), unknown(listed)) == (trio.workers, set())
        for worker in trio.workers:
            seen = asked(host, f"/foo/instances/{worker}/").json()
            assert seen.get("ready") is True, (host.id, seen)
    for host in trio.hosts:
        assert host.mains(trio.worker(host)) == [worker_pid(host, trio.worker(host))]
    return True


def asked(host: BranchHost, path: str) -> httpx.Response:
    """What one that lives answers, which is soon."""
    begun = time.monotonic()
    try:
        response = host.client.get(path)
    except httpx.TransportError as exc:
        raise AssertionError(f"{host.id} does not answer {path}: {exc!r}") from exc
    took = time.monotonic() - begun
    assert took < ANSWERED_S, f"{path} of {host.id} took {took:.2f} s: {response.text}"
    return response


def unknown(response: httpx.Response) -> set[str]:
    return set(filter(None, response.headers.get("Cyme-Unknown", "").split(", ")))


def test_one_is_killed(trio: Trio) -> None:
    """The two that matter most; the longer suite has all of them, at random."""
    a_round(trio, trio.hosts[1], BRANCH, 0.0)
    a_round(trio, trio.hosts[2], TREE, 0.0)


@pytest.mark.faults
def test_any_one_at_any_time(trio: Trio) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(ROUNDS):
        victim = chance.choice(trio.hosts)
        what = (BRANCH, WEB, TREE)[number % 3]
        print(f"round {number}: {what} of {victim.id}")
        a_round(trio, victim, what, chance.uniform(0, 1.0))


def a_round(trio: Trio, victim: BranchHost, what: str, after_s: float) -> None:
    """Kill it while the others are asked, until it is back."""
    others = [host for host in trio.hosts if host is not victim]
    before = trio.mains()
    with asked_all_the_while(trio, others, victim):
        let_pass(after_s)
        kill(trio, victim, what)
        if what == TREE:
            for host in others:
                eventually(lambda host=host: lacks(trio, host, victim), LAPSED_WITHIN_S)
            victim.start()
        eventually(lambda: all_know(trio.hosts), BACK_WITHIN_S)
        eventually(lambda: is_whole(trio), BACK_WITHIN_S)
    touched = {trio.worker(victim)} if what == TREE else set()
    after = trio.mains()
    assert {name for name in before if after[name] != before[name]} == touched


def kill(trio: Trio, victim: BranchHost, what: str) -> None:
    if what == TREE:
        kill_all_of(victim)
        return
    pid = victim.pid(what)
    processes.kill(pid)
    eventually(lambda: victim.pid(what) not in (0, pid))
    if what == BRANCH:
        # What the last one has seen would do for whole.
        seen_at = observed_at(trio, victim)
        eventually(lambda: observed_at(trio, victim) != seen_at, BACK_WITHIN_S)


def observed_at(trio: Trio, host: BranchHost) -> str:
    return str(asked(host, f"/foo/instances/{trio.worker(host)}/").json()["observed_at"])


def lacks(trio: Trio, host: BranchHost, victim: BranchHost) -> bool:
    """Whether *host* says of *victim*, and of its worker, that they are not there."""
    if victim.id in asked(host, "/branches/").json():
        return False
    own = f"/foo/instances/{trio.worker(victim)}/"
    seen = asked(host, own)
    if trio.has_database:
        assert (seen.status_code, seen.json()["ready"]) == (200, None)
        assert asked(host, "/foo/instances/").json() == trio.workers
    else:
        assert (seen.status_code, unknown(asked(host, "/foo/instances/"))) == (503, {victim.id})
    return True


@contextmanager
def asked_all_the_while(trio: Trio, hosts: list[BranchHost], victim: BranchHost) -> Iterator[None]:
    """Ask *hosts* again and again; each answers in time, and all that it can."""
    done = threading.Event()

    def ask(host: BranchHost) -> int:
        number = 0
        while not done.is_set():
            assert_answers(trio, host, hosts, victim)
            number += 1
        return number

    with ThreadPoolExecutor(len(hosts)) as threads:
        asking = [threads.submit(ask, host) for host in hosts]
        try:
            yield
        finally:
            done.set()
    assert all(each.result() for each in asking)


def assert_answers(
    trio: Trio, host: BranchHost, alive: list[BranchHost], victim: BranchHost
) -> None:
    for path in ("/ping/", "/branches/", "/foo/queues/"):
        assert asked(host, path).status_code == 200, path
    listed = asked(host, "/foo/instances/")
    assert listed.status_code == 200, listed.text
    missing = set(trio.workers) - set(listed.json())
    assert missing <= {trio.worker(victim)}
    # Who is missing is not left out without a word.
    assert not missing or unknown(listed) == {victim.id}
    for each in alive:
        seen = asked(host, f"/foo/instances/{trio.worker(each)}/")
        assert (seen.status_code, seen.json()["ready"]) == (200, True), seen.text
    its = asked(host, f"/foo/instances/{trio.worker(victim)}/")
    assert its.status_code in (200, 503, 504), its.text


def test_the_branch_with_the_broker_stops(request: pytest.FixtureRequest) -> None:
    """The other's worker is not known of, and runs on; so it does when the broker is back."""
    with grounds(request, EMBEDDED, False) as ground, ground.branches("one", "two") as (one, two):
        two.post("/foo/", 201)
        two.make("foo", "w2", branch=two.id)
        before = two.mains("w2")
        one.end()
        eventually(lambda: is_unknown(two, "w2"), LAPSED_WITHIN_S + 6.0)
        let_pass(3.0)
        assert is_unknown(two, "w2")
        for path in ("/", "/foo/", "/foo/instances/", "/branches/", "/foo/queues/", "/foo/plan/"):
            assert asked(two, path).status_code == 200
        assert two.mains("w2") == before
        one.start()
        eventually(lambda: all_know([one, two]), BACK_WITHIN_S)
        eventually(lambda: two.is_ready("foo", "w2"), BACK_WITHIN_S)
        assert two.mains("w2") == before == [worker_pid(two, "w2")]
        assert one.get("/foo/instances/w2/")["ready"] is True


def is_unknown(host: BranchHost, worker: str) -> bool:
    seen = asked(host, f"/foo/instances/{worker}/").json()
    return seen["ready"] is None


def test_one_name_asked_for_on_two_branches_at_once(trio: Trio) -> None:
    one, two, three = trio.hosts
    barrier = threading.Barrier(2)

    def ask(host: BranchHost, name: str) -> httpx.Response:
        barrier.wait(10)
        return host.client.put(f"/foo/instances/!/{name}/", json={"branch": host.id})

    with ThreadPoolExecutor(2) as threads:
        for _ in range(RACES):
            name = unique("race")
            answers = list(threads.map(ask, (one, two), (name, name)))
            assert sorted(each.status_code for each in answers) == [202, 409], answers
            winner = (one, two)[[each.status_code for each in answers].index(202)]
            seen = asked(three, f"/foo/instances/{name}/")
            assert (seen.status_code, seen.json()["branch"]) == (200, winner.id)
            three.client.delete(f"/foo/instances/!/{name}/", params={"force": 1})
    eventually(lambda: is_whole(trio), BACK_WITHIN_S)
