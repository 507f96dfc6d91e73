"""One branch, a dozen workers on two brokers, and random faults for an hour: ``make soak``.

``CYME_SOAK_S`` is for how long, ``CYME_SOAK_SEED`` what chance begins with.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests import services
from tests.acceptance import processes
from tests.acceptance.harness import BranchHost
from tests.faults import test_operators as operators
from tests.faults.fleet import Fleet
from tests.faults.rows import Hit, Row, after, summary
from tests.faults.slow import descriptors, slow_sockets
from tests.faults.test_store import held
from tests.faults.yard import Work, write_yard
from tests.support import eventually, let_pass

RIGHT_WITHIN_S = 60.0
WORKERS = 12
#: What may be added from the first quarter of the samples to the last.
MOST_DESCRIPTORS, MOST_MIB = 20, 30

Fault = Callable[[Fleet, random.Random], Hit]


def kill_worker(fleet: Fleet, chance: random.Random) -> Hit:
    name = chance.choice(sorted(fleet.wanted))
    processes.kill(fleet.pids()[name])
    return Hit.now(name)


def kill_pool_process(fleet: Fleet, chance: random.Random) -> Hit:
    name = chance.choice(sorted(fleet.wanted))
    children = psutil.Process(fleet.pids()[name]).children()
    processes.kill(chance.choice(children).pid)
    return Hit.now()


def kill_branch(fleet: Fleet, chance: random.Random) -> Hit:
    program = chance.choice(["cyme:branch", "cyme:web"])
    processes.kill(fleet.pids()[program])
    return Hit.now(program)


def stop_broker(fleet: Fleet, chance: random.Random) -> Hit:
    fleet.host.supervisorctl("stop", "cyme:broker")
    let_pass(chance.uniform(0.5, 8))
    fleet.host.supervisorctl("start", "cyme:broker")
    return Hit.now("cyme:broker")


def meddle(fleet: Fleet, chance: random.Random) -> Hit:
    return operators.meddle(
        fleet, chance.choice(operators.WORDS), chance.choice(sorted(fleet.wanted))
    )


def lock_store(fleet: Fleet, chance: random.Random) -> Hit:
    with held(fleet.host.root / "branch.db"):
        let_pass(chance.uniform(0.5, 8))
    return Hit.now()


def crowd(fleet: Fleet, chance: random.Random) -> Hit:
    with slow_sockets(("127.0.0.1", fleet.host.port), 200):
        let_pass(chance.uniform(0.5, 3))
    return Hit.now()


def ask_much(fleet: Fleet, chance: random.Random) -> Hit:
    for name in chance.sample(sorted(fleet.wanted), 4):
        fleet.scale(name, timeout=0)
    return Hit.now()


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    kill_pool_process,
    kill_branch,
    stop_broker,
    meddle,
    lock_store,
    crowd,
    ask_much,
)


def main() -> None:
    seconds = float(os.environ.get("CYME_SOAK_S", "3600"))
    seed = int(os.environ.get("CYME_SOAK_SEED") or int.from_bytes(os.urandom(4)))
    print(f"CYME_SOAK_SEED={seed} CYME_SOAK_S={seconds:g}", flush=True)
    with tempfile.TemporaryDirectory() as folder, a_dozen(Path(folder)) as fleet:
        row = soak(fleet, random.Random(seed), seconds, Path(folder) / "notes")
    row.note = f"seed {seed}; {row.note}"
    row.check()


@contextmanager
def a_dozen(folder: Path) -> Iterator[Fleet]:
    yard = write_yard(folder / "yard")
    (folder / "rabbitmq").mkdir()
    with (
        services.rabbitmq(folder / "rabbitmq") as rabbitmq,
        rabbitmq.vhost() as url,
        BranchHost("--sup-interval", "1") as host,
    ):
        fleet = Fleet(host.start(), yard)
        for number in range(WORKERS):
            there = {"broker": url} if number % 2 else {}
            fleet.add(f"w{number}", (2, 1), "tasks", **there)
        yield fleet


def soak(fleet: Fleet, chance: random.Random, seconds: float, notes: Path) -> Row:
    row = Row(f"soak of {seconds:g} s", "both", RIGHT_WITHIN_S, 90)
    work, until = Work(notes), time.monotonic() + seconds
    fleet.settle()
    samples = [sample(fleet)]
    with loaded(fleet, work):
        while time.monotonic() < until and not row.violations:
            suffer(fleet, chance, row)
            samples.append(sample(fleet))
    work.settle(60)
    row.lost, row.again = len(work.lost()), len(work.again())
    row.note = f"{len(work.sent)} tasks; {growth(samples, row)}"
    if row.lost:
        row.violations.append(f"tasks lost: {sorted(work.lost())[:10]}")
    return row


def suffer(fleet: Fleet, chance: random.Random, row: Row) -> None:
    before, things = fleet.pids(), fleet.things()
    fault = chance.choice(FAULTS)
    hit = fault(fleet, chance)
    say_what = f"{len(row.seconds)} {fault.__name__}"
    try:
        eventually(fleet.is_right, RIGHT_WITHIN_S, every_s=0.1)
    except AssertionError as exc:
        row.violations.append(f"{say_what}: {exc}")
        return
    row.seconds.append(round(time.monotonic() - hit.since, 3))
    row.violations += [f"{say_what}: {each}" for each in after(fleet, hit, before, things)]
    print(f"{say_what}: {row.seconds[-1]:.1f} s", *row.violations, flush=True)


@contextmanager
def loaded(fleet: Fleet, work: Work) -> Iterator[None]:
    """Tasks all the time, each to run again when it is killed."""
    done = threading.Event()
    brokers = sorted({wanted.broker or fleet.host.broker for wanted in fleet.wanted.values()})

    def send() -> None:
        while not done.wait(0.5):
            for broker in brokers:
                # What the broker has not taken was not sent.
                with suppress(Exception):
                    work.send(broker, "tasks", "again", 2, 0.1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()


def sample(fleet: Fleet) -> tuple[int, float]:
    """Descriptors and MiB of supervisord, the branch and the web."""
    eventually(fleet.host.is_up, 30)
    assert fleet.host.process is not None
    pids = fleet.pids()
    web = psutil.Process(pids["cyme:web"])
    family = [web, *web.children(), psutil.Process(pids["cyme:branch"])]
    family.append(psutil.Process(fleet.host.process.pid))
    return (
        sum(descriptors(each.pid) for each in family),
        sum(each.memory_info().rss for each in family) / 2**20,
    )


def growth(samples: list[tuple[int, float]], row: Row) -> str:
    """The medians of the first quarter and of the last; too much is a violation."""
    part = max(1, len(samples) // 4)
    ends = [
        [summary(each[kind] for each in some)[0] for some in (samples[:part], samples[-part:])]
        for kind in (0, 1)
    ]
    (fds, then_fds), (mib, then_mib) = ends
    said = f"descriptors {fds:.0f} to {then_fds:.0f}, memory {mib:.0f} to {then_mib:.0f} MiB"
    if then_fds - fds > MOST_DESCRIPTORS or then_mib - mib > MOST_MIB:
        row.violations.append(said)
    return said


if __name__ == "__main__":
    main()
