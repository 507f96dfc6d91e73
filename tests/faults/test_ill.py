"""Workers that hang or are deaf, and one that does not stay up; nobody else is touched."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.acceptance.celeryside import asking, lines
from tests.acceptance.harness import unique
from tests.acceptance.processes import most_mains
from tests.faults.conftest import a_fleet
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat, summary
from tests.faults.yard import Work
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.rows, pytest.mark.faults, pytest.mark.timeout(4000)]

#: A pass is every interval; a worker that was stopped is replaced within so many.
MOST_PASSES = 4
#: What a question has to be left unanswered for, and what a worker needs to start.
ANSWER_S, START_S = 1.0, 10.0
DEAF_LIMIT_S = 60.0
#: Ends in a row that supervisord alone deals with, each a second later than the last.
HELD_LIMIT_S = 90.0
LIVES_S = ("0.5", "3")
#: How long one that crashes again and again is watched, and how often it may start.
WATCHED_S = 600
MOST_STARTS = 16
MOST_CPU_S = 60.0
#: Before their end it rests for this long at the least.
LONG_S = 60.0


@pytest.fixture(scope="module", params=[1, 5])
def interval_s(request: pytest.FixtureRequest) -> int:
    interval_s: int = request.param
    return interval_s


@pytest.fixture(scope="module")
def ill(broker_url: str | None, yard: Path, interval_s: int) -> Iterator[Fleet]:
    """In which one worker may be replaced again a second after the last time."""
    haste = ("--restart-max-rate", "1/s", "--wait-after-broker-revived", "1")
    with a_fleet(yard, *haste, "--sup-interval", str(interval_s), broker=broker_url) as fleet:
        yield fleet


def is_another(fleet: Fleet, name: str, pid: int) -> bool:
    return fleet.pids().get(name) not in (None, pid)


def test_hung(ill: Fleet, broker_name: str, interval_s: int) -> None:
    """At a random moment between two passes; counted is also until another process is there."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    replaced: list[float] = []
    most: list[int] = []

    def stop(number: int) -> Hit:
        name = f"w{1 + number % 3}"
        let_pass(chance.uniform(0, interval_s))
        pid = ill.pids()[name]
        with most_mains(f"{name}@{ill.host.id}") as mains:
            hit = Hit.now(name)
            os.kill(pid, signal.SIGSTOP)
            ill.scale(name, timeout=0)
            eventually(lambda: is_another(ill, name, pid), 60)
            replaced.append(time.monotonic() - hit.since)
            eventually(ill.is_right, 60)
        most.extend(mains)
        return hit

    limit_s = MOST_PASSES * interval_s + START_S
    row = Row(f"worker hangs, passes of {interval_s} s", broker_name, limit_s, 4)
    repeat(row, ill, stop)
    row.note = "another process after p50 {:.1f}, p99 {:.1f}, max {:.1f} passes".format(
        *(seconds / interval_s for seconds in summary(replaced))
    )
    row.note += f"; never more than {max(most)}"
    if max(most) > 1 or max(replaced) > MOST_PASSES * interval_s + ANSWER_S:
        row.violations.append(row.note)
    row.check()


@pytest.mark.parametrize("interval_s", [1], indirect=True)
def test_deaf(ill: Fleet, broker_name: str, tmp_path: Path) -> None:
    """Connected, and it answers; but it takes nothing from its queue."""
    work = Work(tmp_path / "notes")

    def deafen(number: int) -> Hit:
        name = f"w{1 + number % 3}"
        pid = ill.pids()[name]
        with asking(ill.host.broker) as app:
            said = app.control.broadcast(
                "go_deaf", destination=[f"{name}@{ill.host.id}"], reply=True
            )
        assert said
        hit = Hit.now(name)
        work.send(ill.host.broker, f"dq.{name}", "late", 3, 0)
        eventually(lambda: is_another(ill, name, pid), DEAF_LIMIT_S)
        work.settle(20)
        return hit

    row = repeat(Row("worker consumes nothing", broker_name, DEAF_LIMIT_S, 4), ill, deafen)
    row.lost, row.again = len(work.lost()), len(work.again())
    if row.lost:
        row.violations.append(f"tasks lost: {sorted(work.lost())}")
    row.check()


class Crasher:
    """An instance of an app that ends *life_s* seconds after each of its starts."""

    def __init__(self, fleet: Fleet, yard: Path, folder: Path, life_s: str) -> None:
        self._fleet = fleet
        self._starts = folder / f"starts-{unique(life_s)}"
        self.app, self.name = unique("app"), unique("w")
        self.begun_at = time.monotonic()
        fleet.host.post(
            f"/{self.app}/",
            201,
            celery_app="yard:app",
            directory=str(yard),
            environment={"STARTS": str(self._starts), "LIFE_S": life_s},
        )
        fleet.host.post(f"/{self.app}/instances/!/{self.name}/", 202)

    @property
    def starts(self) -> list[float]:
        """Seconds since it was asked for."""
        return [float(line) - self.begun_at for line in lines(self._starts)]

    def is_held(self) -> bool:
        """Whether it is said to crash, and left alone for a while."""
        shown = self._fleet.host.get(f"/{self.app}/instances/{self.name}/")
        reasons = {(each["type"], each["reason"]) for each in shown["conditions"]}
        return ("CrashLooping", "RestartsTooOften") in reasons and shown["state"] == "STOPPED"

    def end(self) -> None:
        self._fleet.host.delete(f"/{self.app}/instances/{self.name}/", 200, force=True, timeout=30)
        self._fleet.host.delete(f"/{self.app}/")


def reaped_s(fleet: Fleet) -> float:
    """CPU seconds of all that supervisord has started and seen end."""
    assert fleet.host.process is not None
    times = psutil.Process(fleet.host.process.pid).cpu_times()
    return float(times.children_user + times.children_system)


@pytest.mark.parametrize("life_s", LIVES_S)
def test_it_crashes(
    fleet: Fleet, broker_name: str, yard: Path, tmp_path: Path, life_s: str
) -> None:
    """Counted is until it is said and held; what happens then takes longer to see."""
    starts: list[float] = []
    cpu: list[float] = []

    def crash(_: int) -> Hit:
        before_s = reaped_s(fleet)
        crasher = Crasher(fleet, yard, tmp_path, life_s)
        try:
            eventually(crasher.is_held, HELD_LIMIT_S + 30, every_s=0.1)
            held_s = time.monotonic() - crasher.begun_at
            starts.append(len(crasher.starts))
            cpu.append(reaped_s(fleet) - before_s)
        finally:
            crasher.end()
        return Hit(frozenset(), time.monotonic() - held_s)

    row = Row(f"app crashes after {life_s} s: held", broker_name, HELD_LIMIT_S, 5)
    repeat(row, fleet, crash)
    row.note = f"starts until then: at most {max(starts):.0f}"
    row.note += "; CPU: p50 {:.1f}, p99 {:.1f}, max {:.1f} s".format(*summary(cpu))
    row.check()


def test_it_goes_on_crashing(fleet: Fleet, broker_name: str, yard: Path, tmp_path: Path) -> None:
    """Both of them for ten minutes, in which they are started less and less often."""
    crashers: dict[str, Crasher] = {}
    cpu: list[float] = []

    def crash(_: int) -> Hit:
        before_s = reaped_s(fleet)
        crashers.update((life_s, Crasher(fleet, yard, tmp_path, life_s)) for life_s in LIVES_S)
        try:
            let_pass(WATCHED_S)
            cpu.append(reaped_s(fleet) - before_s)
        finally:
            for crasher in crashers.values():
                crasher.end()
        return Hit.now()

    row = Row(f"apps crash for {WATCHED_S} s", broker_name, 15, 5)
    repeat(row, fleet, crash, max(1, RUNS // 30))
    told = [f"{life_s} s: {len(each.starts)} starts" for life_s, each in crashers.items()]
    row.note = f"{', '.join(told)}; {max(cpu):.1f} s of CPU"
    for each in crashers.values():
        row.violations += backing_off(each.starts)
    if max(cpu) > MOST_CPU_S:
        row.violations.append(row.note)
    row.check()


def backing_off(starts: list[float]) -> list[str]:
    """What is wrong with the moments of its starts: too many, or pauses that do not grow."""
    longest = max(later - earlier for earlier, later in pairwise(starts))
    said = f"starts at {' '.join(f'{start:.0f}' for start in starts)}"
    return [] if len(starts) <= MOST_STARTS and longest >= LONG_S else [said]
