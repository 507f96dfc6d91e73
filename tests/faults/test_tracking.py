"""Monitor and worker are killed all the time: what is recorded is what became of the tasks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import pools

from cyme_supd.domain.ledger import FINAL
from cyme_supd.domain.ledgerstore import TaskQuery
from cyme_supd.domain.spec import App
from cyme_supd.store.repository import SqlStore
from tests import tracked
from tests.databases import empty
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: Of ten tasks each, about; 1,000 for the figure.
ROUNDS = int(os.environ.get("CYME_FAULT_ROUNDS", "30"))
SEED = int(os.environ.get("CYME_FAULT_SEED", "9"))
KILL_EVERY_S = (1.0, 4.0)
SETTLED_WITHIN_S = 180.0
#: A worker that was killed gives back what it had not finished: on Redis after that.
VISIBLE = {"visibility_timeout": 5}


@pytest.fixture(params=["rabbitmq", "valkey"])
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    pools.reset()
    return url


@pytest.fixture
def backend(tmp_path: Path) -> str:
    return f"db+sqlite:///{tmp_path}/results.db"


@pytest.fixture
def store(postgresql_url: str, broker: str, backend: str) -> Iterator[SqlStore]:
    made = SqlStore(postgresql_url, broker)
    at = datetime.now(UTC)
    with made.writing() as tx:
        tx.add_app(App("shop", at, broker=broker, is_tracked=True, result_backend=backend))
    yield made
    empty(made.engine)
    made.close()


class Victim:
    """A process that is begun again whenever it is killed."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._process = start()
        self.killed = 0

    def kill(self) -> None:
        self.end()
        self.killed += 1
        self._process = self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def start_monitor(place: Path, database: str, broker: str) -> subprocess.Popen[bytes]:
    words = ("--database", database, "--broker", broker, "--lost-after", "3600")
    with (place / "monitor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cyme_supd.cli.monitor", *words], stdout=log, stderr=log
        )


def test_killed_at_random(
    broker: str, backend: str, store: SqlStore, postgresql_url: str, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    environment = {
        "CELERY_TASK_ACKS_LATE": "True",
        "CELERY_BROKER_TRANSPORT_OPTIONS": repr(VISIBLE),
    }
    victims = [
        Victim(lambda: start_monitor(tmp_path, postgresql_url, broker)),
        Victim(lambda: tracked.start_worker(tmp_path, broker, backend, "-E", **environment)),
    ]
    ids: list[str] = []
    try:
        with tracked.shop(broker, backend) as app:
            kill_at = time.monotonic() + KILL_EVERY_S[1]
            for _ in range(ROUNDS):
                ids += tracked.publish(app)
                let_pass(0.2)
                if time.monotonic() >= kill_at:
                    chance.choice(victims).kill()
                    kill_at = time.monotonic() + chance.uniform(*KILL_EVERY_S)
            differing = eventually(
                lambda: compare(app, store, ids) == {} and [{}], SETTLED_WITHIN_S, 1.0
            )
    finally:
        for each in victims:
            each.end()
    assert differing == [{}]
    assert min(each.killed for each in victims) > 0


def compare(app: Celery, store: SqlStore, ids: list[str]) -> dict[str, Any]:
    """By id the state that it has, and the one that is recorded; of the first few that differ."""
    recorded = states(store)
    differing: dict[str, Any] = {}
    for id in ids:
        truth = app.backend.get_task_meta(id, cache=False)["status"]
        if truth not in FINAL or recorded.get(id) != truth:
            differing[id] = (truth, recorded.get(id))
    assert differing == {}, f"{len(differing)} of {len(ids)}: {list(differing.items())[:5]}"
    return differing


def states(store: SqlStore) -> dict[str, str]:
    found: dict[str, str] = {}
    after = None
    with store.reading() as view:
        while True:
            page = view.tracked(TaskQuery(after=after, limit=1000))
            found.update({each.record.id: each.record.state for each in page.tasks})
            after = page.after
            if after is None:
                return found
