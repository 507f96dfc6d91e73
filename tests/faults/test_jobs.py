"""Injectors, answerers and runners are killed all the time: each fire time is run once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.running import UNDER_WAY
from tests.databases import MARIADB, POSTGRESQL
from tests.faults.crew import Crew, lines_of
from tests.faults.rows import Row
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: Fire times within a minute; 10,000 for the figure.
FIRES = int(os.environ.get("CYME_FAULT_FIRES", "600"))
SEED = int(os.environ.get("CYME_FAULT_SEED", "8"))
KILL_EVERY_S = (2.0, 8.0)
#: From the last kill on: what was lost with a runner is known a minute later, and
#: answerers must have listened for one before.
SETTLED_WITHIN_S = 180.0

Fire = tuple[str, datetime]


@pytest.fixture
def crew(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, broker_of_jobs: str
) -> Iterator[Crew]:
    made = Crew(tmp_path, broker_of_jobs, database, 3 if database else 1)
    yield made
    made.end()


@pytest.fixture(params=[POSTGRESQL, MARIADB, "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def broker_of_jobs(request: pytest.FixtureRequest, kind: str) -> str:
    url: str = request.getfixturevalue("valkey_url" if kind == "sqlite" else "rabbitmq_url")
    return url


@pytest.fixture
def database(request: pytest.FixtureRequest, kind: str) -> str:
    return "" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")


def test_everything_is_killed(crew: Crew, kind: str, tmp_path: Path) -> None:
    done = tmp_path / "done"
    expected = crew.plan(FIRES, done)
    crew.start()
    dice = random.Random(SEED)
    while sum(lines_of(done).values()) < 0.95 * len(expected):
        let_pass(dice.uniform(*KILL_EVERY_S))
        crew.kill_one(dice)
    last_kill_at = time.monotonic()
    eventually(lambda: is_settled(crew, len(expected)), SETTLED_WITHIN_S, every_s=0.5)
    took_s = time.monotonic() - last_kill_at
    runs = {(run.name, run.fire_at): run for run in all_runs(crew)}
    broker = "Valkey" if kind == "sqlite" else "RabbitMQ"
    row = Row(f"jobs, all of it killed, {kind}", broker, SETTLED_WITHIN_S, 20, [round(took_s, 1)])
    account(row, expected, runs, lines_of(done))
    kills = Counter(
        each.words[0].rpartition(".")[2] for each in crew.members for _ in range(each.kills)
    )
    row.note = f"{len(expected)} fire times; kills: {dict(kills)}; {row.note}"
    row.check()


def account(row: Row, expected: set[Fire], runs: dict[Fire, Run], lines: Counter[Fire]) -> None:
    """What became of each fire time, by what its program has left."""
    statuses = Counter(str(run.status) for run in runs.values())
    lost = {fire for fire, run in runs.items() if run.status == RunStatus.LOST}
    twice = {fire for fire, count in lines.items() if count > 1}
    missed = expected - lines.keys() - lost
    row.lost, row.again = len(missed), len(twice)
    done = sum(lines[fire] for fire in lost)
    row.note = f"{dict(statuses)}, {done} of the lost ones had done their work"
    row.violations += [f"no run: {fire}" for fire in expected - runs.keys()]
    row.violations += [f"nobody asked for it: {fire}" for fire in lines.keys() - expected]
    row.violations += [f"executed twice: {fire}" for fire in twice]
    row.violations += [f"missed: {fire}, {runs[fire].status}" for fire in missed & runs.keys()]
    is_odd = [
        run for run in runs.values() if run.status not in (RunStatus.SUCCEEDED, RunStatus.LOST)
    ]
    row.violations += [f"{run.name} {run.fire_at}: {run.status} {run.reason}" for run in is_odd]


def is_settled(crew: Crew, count: int) -> bool:
    with crew.store.reading() as view:
        under_way = view.runs(RunQuery(statuses=tuple(map(str, UNDER_WAY)), limit=1))
        last = view.runs(RunQuery(offset=count - 1, limit=1))
    return bool(last) and not under_way


def all_runs(crew: Crew) -> list[Run]:
    with crew.store.reading() as view:
        return view.runs(RunQuery(limit=10**6))
