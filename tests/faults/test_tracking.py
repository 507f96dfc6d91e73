"""Monitor, worker and broker are killed: what is recorded is what became of the tasks."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from celery import Celery
from kombu import pools

from cyme_supd.domain.ledger import FINAL
from cyme_supd.domain.ledgerstore import EVENTS, TaskQuery
from cyme_supd.domain.spec import App
from cyme_supd.store.repository import SqlStore
from tests import tracked
from tests.databases import empty
from tests.faults.rows import Row
from tests.services import OwnValkey
from tests.support import eventually, let_pass

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: Of ten tasks each, about; 1,000 for the figure.
ROUNDS = int(os.environ.get("CYME_FAULT_ROUNDS", "30"))
SEED = int(os.environ.get("CYME_FAULT_SEED", "9"))
KILL_EVERY_S = (1.0, 4.0)
SETTLED_WITHIN_S = 1800.0
STALLED_S = 120.0
#: The part of all tasks that Celery may lose with its broker.
MOST_WITHOUT_END = 0.03
BROKER = "broker"
#: A worker that was killed gives back what it had not finished: on Redis after that. And
#: what was published is with RabbitMQ, or known not to be.
OPTIONS = {"visibility_timeout": 5, "confirm_publish": True}


class Broker(Protocol):
    """One that is there again soon after it was killed, with all that it had confirmed."""

    url: str

    def start(self) -> None: ...

    def kill(self) -> None: ...


@pytest.fixture(params=["rabbitmq", "valkey"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    pools.reset()
    if request.param == "valkey":
        made = OwnValkey(tmp_path)
        made.start()
        yield made
        made.end()
    else:
        yield request.getfixturevalue("own_rabbitmq")


@pytest.fixture
def broker(own: Broker) -> str:
    return own.url


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

    def kill(self) -> None:
        self.end()
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


class Killed:
    """Which of them, how often, and what is to be right again after that."""

    def __init__(
        self, own: Broker, victims: dict[str, Victim], start: Callable[[], Celery]
    ) -> None:
        self._own = own
        self._victims = victims
        self._start = start
        self._chance = random.Random(SEED)
        self._next: list[str] = []
        self.app = start()
        self.counts: Counter[str] = Counter()

    def one(self) -> float:
        """Kill one of them; when to kill the next, by the monotonic clock."""
        if not self._next:
            self._next = [BROKER, *self._victims]
            self._chance.shuffle(self._next)
        name = self._next.pop()
        self.counts[name] += 1
        if name == BROKER:
            self._own.kill()
            self._own.start()
            # A producer of its own gives up on connections that broke after a few tries.
            self.app.close()
            pools.reset()
            self.app = self._start()
        else:
            self._victims[name].kill()
        return time.monotonic() + self._chance.uniform(*KILL_EVERY_S)


def test_killed_at_random(
    own: Broker, backend: str, store: SqlStore, postgresql_url: str, tmp_path: Path
) -> None:
    results = tmp_path / "results.db"
    environment = {
        "CELERY_TASK_ACKS_LATE": "True",
        "CELERY_BROKER_TRANSPORT_OPTIONS": repr(OPTIONS),
    }
    victims = {
        "monitor": Victim(lambda: start_monitor(tmp_path, postgresql_url, own.url)),
        "worker": Victim(
            lambda: tracked.start_worker(tmp_path, own.url, backend, "-E", **environment)
        ),
    }
    killed = Killed(
        own, victims, lambda: tracked.shop(own.url, backend, broker_transport_options=OPTIONS)
    )
    kind = "Valkey" if isinstance(own, OwnValkey) else "RabbitMQ"
    row = Row("tasks tracked, all of it killed", kind, SETTLED_WITHIN_S, 30)
    ids: list[str] = []
    try:
        kill_at = time.monotonic() + KILL_EVERY_S[1]
        for _ in range(ROUNDS):
            ids += tracked.publish(killed.app)
            let_pass(0.2)
            if time.monotonic() >= kill_at:
                kill_at = killed.one()
        ended_at = time.monotonic()
        # Without the wait that shows that some never end.
        row.seconds.append(round(settle(results, store, ids) - ended_at, 1))
        told = account(results, store, ids)
    finally:
        for each in victims.values():
            each.end()
        killed.app.close()
    assert min(killed.counts[name] for name in (BROKER, *victims)) > 0
    with store.reading() as view:
        gaps = Counter(gap.what for gap in view.gaps())
    # No broker keeps events over its end.
    assert gaps[EVENTS] > 0
    row.note = f"{len(ids)} tasks: {dict(told)}; kills: {dict(killed.counts)}; gaps: {dict(gaps)}"
    row.check()


def settle(results: Path, store: SqlStore, ids: list[str]) -> float:
    """Wait as long as now and then another one ends, or is put right; when the last was.

    The worker may have been left with many. The moment is the monotonic clock's.
    """
    least, last_at = [len(ids) * 2], time.monotonic()

    def is_nearer() -> bool:
        left = unsettled(results, store, ids)
        is_less, least[0] = left < least[0], min(left, least[0])
        return is_less

    with suppress(AssertionError):
        while least[0]:
            eventually(is_nearer, STALLED_S, 1.0)
            last_at = time.monotonic()
    return last_at


def unsettled(results: Path, store: SqlStore, ids: list[str]) -> int:
    """Those that have not ended, and those that are recorded otherwise."""
    recorded, truths = states(store), truths_of(results)
    open = sum(truths.get(id) not in FINAL for id in ids)
    return open + sum(recorded.get(id) != truths.get(id, "PENDING") for id in ids)


def account(results: Path, store: SqlStore, ids: list[str]) -> Counter[str]:
    """How many ended in which state, where what is recorded is what became of them.

    A task may never end: what a worker published in the moment in which its broker
    was killed is lost with Celery, and then it is not recorded as ended either.
    """
    recorded, known = states(store), truths_of(results)
    truths = {id: known.get(id, "PENDING") for id in ids}
    differing = {
        id: (truth, recorded.get(id))
        for id, truth in truths.items()
        if recorded.get(id) != truth and (truth in FINAL or recorded.get(id) in FINAL)
    }
    assert differing == {}, f"{len(differing)} of {len(ids)}: {list(differing.items())[:5]}"
    endless = Counter(str(recorded.get(id)) for id, truth in truths.items() if truth not in FINAL)
    assert endless.total() <= MOST_WITHOUT_END * len(ids), endless
    ended = Counter(truth for truth in truths.values() if truth in FINAL)
    return ended + Counter({f"no end, recorded as {each}": n for each, n in endless.items()})


def truths_of(results: Path) -> dict[str, str]:
    """What Celery's backend has of each task."""
    with closing(sqlite3.connect(results, timeout=30)) as connection:
        return dict(connection.execute("SELECT task_id, status FROM celery_taskmeta"))


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
