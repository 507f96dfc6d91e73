"""Injectors, answerers and runners are killed all the time: each fire time is run once."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.running import UNDER_WAY
from tests.databases import MARIADB, POSTGRESQL
from tests.faults.crew import Crew, lines_of
from tests.faults.rows import Row
from tests.relay import relayed
from tests.services import OwnRabbitMQ
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: Fire times within a minute; 10,000 for the figure.
FIRES = int(os.environ.get("CYME_FAULT_FIRES", "600"))
SEED = int(os.environ.get("CYME_FAULT_SEED", "8"))
KILL_EVERY_S = (2.0, 8.0)
#: So long nothing may happen from the last kill on, while runs are under way: what was
#: lost with a runner is known a minute later, and answerers must have listened for one before.
STALLED_S = 180.0
BROKER_GONE_S, DATABASE_GONE_S = 120.0, 60.0
#: For the last few of many: their orders wait behind those that came several times.
SETTLED_WITHIN_S = STALLED_S + 0.2 * FIRES

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
    settle(crew, len(expected))
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


def test_the_broker_is_gone_for_two_minutes(
    own_rabbitmq: OwnRabbitMQ, postgresql_url: str, tmp_path: Path
) -> None:
    """It goes before the first fire time, and comes back a minute after the last one."""
    done = tmp_path / "done"
    with crew_at(Crew(tmp_path, own_rabbitmq.broker.url("/"), postgresql_url, 2)) as crew:
        expected = crew.plan(FIRES, done)
        own_rabbitmq.kill()
        let_pass(BROKER_GONE_S)
        assert not done.exists()
        own_rabbitmq.start()
        outlived(
            crew, expected, done, Row(f"jobs, no broker {BROKER_GONE_S:g} s", "RabbitMQ", 120, 21)
        )


@pytest.mark.parametrize("kind", [POSTGRESQL, MARIADB], indirect=True)
def test_the_database_is_gone_for_a_minute(
    rabbitmq_url: str, database: str, kind: str, tmp_path: Path
) -> None:
    """It goes in the middle of the fire times, with runs under way, until after the last one."""
    done = tmp_path / "done"
    with (
        relayed(database) as (relay, through),
        crew_at(Crew(tmp_path, rabbitmq_url, database, 2, through=through)) as crew,
    ):
        expected = crew.plan(FIRES, done)
        eventually(lambda: sum(lines_of(done).values()) > 0.2 * len(expected), 120)
        relay.cut()
        let_pass(DATABASE_GONE_S)
        assert sum(lines_of(done).values()) < 0.9 * len(expected)
        relay.mend()
        name = f"jobs, no database {DATABASE_GONE_S:g} s, {kind}"
        outlived(crew, expected, done, Row(name, "RabbitMQ", 120, 22))


@contextmanager
def crew_at(crew: Crew) -> Iterator[Crew]:
    """All of them up."""
    try:
        crew.start()
        eventually(lambda: crew.is_up, 60)
        yield crew
    finally:
        crew.end()


def outlived(crew: Crew, expected: set[Fire], done: Path, row: Row) -> None:
    """Each fire time is run once, and no run was lost, from the end of the outage on."""
    back_at = time.monotonic()
    settle(crew, len(expected))
    row.seconds.append(round(time.monotonic() - back_at, 1))
    runs = {(run.name, run.fire_at): run for run in all_runs(crew)}
    account(row, expected, runs, lines_of(done))
    row.violations += [
        f"lost: {fire}" for fire, run in runs.items() if run.status == RunStatus.LOST
    ]
    row.note = f"{len(expected)} fire times; {row.note}"
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


def settle(crew: Crew, count: int) -> None:
    """Wait until so many runs have ended, for as long as now and then one does."""
    ended = 0
    while ended < count:
        before = ended
        ended = eventually(lambda before=before: more_ended(crew, before), STALLED_S, every_s=2.0)


def more_ended(crew: Crew, before: int) -> int:
    """How many runs have ended, where these are more than before."""
    ended = sum(run.status not in UNDER_WAY for run in all_runs(crew))
    return ended if ended > before else 0


def all_runs(crew: Crew) -> list[Run]:
    with crew.store.reading() as view:
        return view.runs(RunQuery(limit=10**6))
