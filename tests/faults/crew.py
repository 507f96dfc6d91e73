"""Injectors, answerers and runners, each a process that is killed at any moment."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cyme_supd.config import Config
from cyme_supd.domain.job import Job
from cyme_supd.domain.orders import RUNNER_KEY
from cyme_supd.domain.schedule import upcoming
from cyme_supd.schedules.parsing import parse_schedule
from cyme_supd.seal import make_key
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.databases import empty

ROUTING_KEY = "cyme-fault-jobs"
#: Fire times of each job, so far apart.
EACH, APART_S = 10, 6


@dataclass
class Member:
    """One process, started again by :meth:`Crew.kill_one` as whoever keeps it would."""

    words: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0
    _said: int = 0

    @property
    def is_up(self) -> bool:
        """Whether this process has said who it is."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return b"cyme-" in log.read()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._said = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.words[0]} has ended by itself: see {self.log}"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def end(self) -> None:
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.process.kill()
            self.process.wait()


@dataclass
class Crew:
    """*count* of each kind, at *database*, or one at a file in *folder*.

    They reach the database *through* another URL where that is given.
    """

    folder: Path
    broker: str
    database: str = ""
    count: int = 1
    slots: int = 2
    through: str = ""
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        root = self.folder / "branch"
        root.mkdir(mode=0o700)
        database = self.through or self.database
        config = Config(str(root), "b1", self.broker, False, "x", database=database)
        config.save()
        key = make_key(config.paths.runner_key)
        self.store = SqlStore(
            self.database or sqlite_url(config.paths.database), self.broker, branch="b1"
        )
        if not self.database:
            migrate(self.store.engine)
        with self.store.writing() as tx:
            tx.share_key(RUNNER_KEY, key.hex())
        for number in range(self.count):
            self._add("injector", number, "-D", str(root), "-n", f"injector{number}")
            self._add("results", number, "-D", str(root), "-n", f"results{number}")
            own = self.folder / f"runner{number}"
            own.mkdir(mode=0o700)
            shutil.copy2(config.paths.runner_key, own)
            where = ["-D", str(own), "-b", self.broker, "-q", ROUTING_KEY]
            self._add("runner", number, *where, "-c", str(self.slots))

    def _add(self, kind: str, number: int, *words: str) -> None:
        log = self.folder / f"{kind}{number}.log"
        self.members.append(Member([f"cyme_supd.cli.{kind}", *words], log))

    def start(self) -> None:
        for each in self.members:
            each.start()

    @property
    def is_up(self) -> bool:
        return all(each.is_up for each in self.members)

    def kill_one(self, dice: random.Random) -> None:
        """One of those that do something: where starting takes long, none would get to that."""
        working = [each for each in self.members if each.is_up]
        if working:
            member = dice.choice(working)
            member.kill()
            member.start()

    def end(self) -> None:
        for each in self.members:
            if each.process is not None:
                each.process.terminate()
        for each in self.members:
            each.end()
        if self.database:
            empty(self.store.engine)
        self.store.close()

    def plan(self, fires: int, done: Path) -> set[tuple[str, datetime]]:
        """Jobs with *fires* fire times within a minute, which begins soon: all of these."""
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
        # The program appends one line, in one piece.
        program = f'echo "$CYME_JOB $CYME_FIRE_TIME" >>{done}'
        jobs, expected = [], set()
        for number in range(fires // EACH):
            at = start + timedelta(seconds=number % APART_S)
            schedule = f"R{EACH}/{at:%Y-%m-%dT%H:%M:%SZ}/PT{APART_S}S"
            times = upcoming(parse_schedule(schedule), start - timedelta(seconds=1), 2 * EACH)
            name = f"job-{number}"
            jobs.append(
                Job(
                    "faults",
                    name,
                    schedule,
                    start,
                    argv=("/bin/sh", "-c", program),
                    routing_key=ROUTING_KEY,
                    next_fire_at=times[0],
                    due_at=times[0],
                )
            )
            expected |= {(name, each) for each in times}
        with self.store.writing() as tx:
            tx.add_category("faults")
            tx.add_jobs(jobs)
        return expected


def lines_of(done: Path) -> Counter[tuple[str, datetime]]:
    """How often each run has had its effect."""
    lines = done.read_text().splitlines() if done.exists() else []
    pairs = (line.split() for line in lines)
    return Counter((name, datetime.fromisoformat(at)) for name, at in pairs)
