"""What lists of jobs and runs take where there are very many.

A hundred thousand jobs in a hundred categories, some runs of each, one in fifty of them
failed. Each list is asked of the web application in this process, over the store itself:
no server and no network is in it. ``in the database`` is what its statements take of that,
and what pages of jobs took with the plan that was best is what ``EXPLAIN`` prints with
``--explain 1``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event, text

from benchmarks import harness
from benchmarks.figures import Table
from cyme_supd.branch.wiring import make_service
from cyme_supd.cli.local import Nobody
from cyme_supd.config import Config
from cyme_supd.domain.job import Job, Run, RunStatus, run_id
from cyme_supd.store.engine import database_url, open_engine
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests import databases

JOBS, RUNS, CATEGORIES = 100_000, 3, 100
AT_ONCE = 5000
LIST_S = 0.03
LISTS = {
    "GET /api/jobs?per_page=50": "/api/jobs/?per_page=50",
    "  its page 1000": "/api/jobs/?per_page=50&page=1000",
    "  those due first": "/api/jobs/?per_page=50&sort=next_fire_at",
    "  of a category": "/api/jobs/?per_page=50&category_name=c07",
    "GET /api/runs?per_page=50": "/api/runs/?per_page=50",
    "  failures": "/api/runs/?per_page=50&status=failed,timed_out,lost",
    "  runs of a category": "/api/runs/?per_page=50&category_name=c07",
    "GET /api/jobs/troubles": "/api/jobs/troubles/",
}


def main() -> None:
    numbers = harness.wanted(__doc__, jobs=JOBS, runs=RUNS, asks=20, explain=1)
    for kind, opened in STORES.items():
        with ExitStack() as stack:
            config = stack.enter_context(opened())
            store = stack.enter_context(_store(config, numbers))
            service = make_service(config, store, Nobody(), 0, 1)
            app = create_app(replace(Settings.of(config), api_rate=0), service)
            client = stack.enter_context(app.test_client())
            _measure(kind, client, store, numbers)


@contextmanager
def _sqlite() -> Iterator[Config]:
    with harness.folder() as place:
        yield Config(str(place), "b1", "memory://", False, "")


def _on(kind: str) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[Config]:
        with (
            harness.folder() as place,
            databases.server(kind) as server,
            server.database() as url,
        ):
            yield Config(str(place), "b1", "memory://", False, "", database=url)

    return opened


STORES = {
    "SQLite": _sqlite,
    "PostgreSQL": _on(databases.POSTGRESQL),
    "MariaDB": _on(databases.MARIADB),
}


@contextmanager
def _store(config: Config, numbers: dict[str, int]) -> Iterator[SqlStore]:
    engine = open_engine(database_url(config))
    migrate(engine)
    engine.dispose()
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    try:
        _fill(store, numbers["jobs"], numbers["runs"])
        yield store
    finally:
        store.close()


def _fill(store: SqlStore, count: int, runs: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    jobs = [_job(number, now) for number in range(count)]
    with store.writing() as tx:
        for name in sorted({each.category for each in jobs}):
            tx.add_category(name)
    for start in range(0, count, AT_ONCE):
        with store.writing() as tx:
            tx.add_jobs(jobs[start : start + AT_ONCE])
    made = (_run(job, number, now) for number in range(runs) for job in jobs)
    while batch := list(itertools.islice(made, AT_ONCE)):
        with store.writing() as tx:
            tx.add_runs(batch)
    # As a database does by itself, sooner or later.
    with store.engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE run, job" if _is_mariadb(store) else "ANALYZE"))
        connection.commit()


def _is_mariadb(store: SqlStore) -> bool:
    return store.engine.dialect.name == "mysql"


def _job(number: int, now: datetime) -> Job:
    due = now + timedelta(days=1, seconds=number)
    category = f"c{number % CATEGORIES:02}"
    made = Job(category, f"job-{number:06}", "30 2 * * *", now, command="true")
    return replace(made, next_fire_at=due, due_at=due)


def _run(job: Job, number: int, now: datetime) -> Run:
    at = now - timedelta(hours=24 * number, seconds=hash(job.name) % 3600)
    status = RunStatus.FAILED if hash((job.name, number)) % 50 == 0 else RunStatus.SUCCEEDED
    return Run(
        run_id(job.id, at), job.id, job.category, job.name, at, status, at,
        started_at=at, finished_at=at + timedelta(seconds=2), exit_code=0,
    )  # fmt: skip


def _measure(kind: str, client: FlaskClient, store: SqlStore, numbers: dict[str, int]) -> None:
    spent = _Spent(store)
    for title, path in LISTS.items():
        taken, busy, inside = [], [], []
        spent.explains = numbers["explain"] > 1
        for _ in range(numbers["asks"] + 1):
            spent.seconds = 0.0
            begun, used = time.perf_counter(), time.process_time()
            answer = client.get(path)
            taken.append(time.perf_counter() - begun)
            busy.append(time.process_time() - used)
            inside.append(spent.seconds)
            spent.explains = False
            if answer.status_code != 200:
                raise RuntimeError(f"{path}: {answer.get_data(as_text=True)}")
        table = Table(f"{title.strip()}, {kind}, {numbers['jobs']} jobs", digits=4)
        table.ours("ours", taken[1:])
        table.part("  this process alone", busy[1:])
        table.part("  in the database", inside[1:])
        table.limit("limit", LIST_S)
        table.print()


class _Spent:
    """What statements take."""

    def __init__(self, store: SqlStore) -> None:
        self.seconds = self._begun = 0.0
        self.explains = False
        event.listen(store.engine, "before_cursor_execute", self._before)
        event.listen(store.engine, "after_cursor_execute", self._after)

    def _before(self, connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        is_query = statement.lstrip().upper().startswith("SELECT") and "FROM" in statement
        if self.explains and is_query:
            word = {"postgresql": "EXPLAIN ANALYZE", "mysql": "ANALYZE"}.get(
                connection.dialect.name, "EXPLAIN QUERY PLAN"
            )
            cursor.execute(f"{word} {statement}", values)
            print(statement, *cursor.fetchall(), sep="\n  ", flush=True)
        self._begun = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._begun


if __name__ == "__main__":
    main()
