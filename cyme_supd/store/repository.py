"""The store on a database: one class a protocol of :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine

from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.domain.spec import App, Instance, Queue, Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.domain.task import Task
from cyme_supd.errors import Unavailable
from cyme_supd.store import apps, branches, instances, queues, rollouts, tasks, workers
from cyme_supd.store import statuses as observed
from cyme_supd.store.engine import (
    BUSY_TIMEOUT_S,
    IS_WRITING,
    Changes,
    begin_snapshot,
    connected,
    open_engine,
)


class SqlView:
    """One consistent look: everything it answers is of the moment it was opened."""

    def __init__(self, connection: Connection, default_broker: str) -> None:
        self._connection = connection
        self._default_broker = default_broker

    def app_names(self, after: str = "", limit: int | None = None) -> list[str]:
        return apps.names(self._connection, after, limit)

    def app(self, name: str) -> App:
        return apps.get(self._connection, name)

    def queue_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        return queues.names(self._connection, app, after, limit)

    def queue(self, app: str, name: str) -> Queue:
        return queues.get(self._connection, app, name)

    def instance_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        return instances.names(self._connection, app, after, limit)

    def instance(self, name: str) -> Instance:
        return instances.get(self._connection, name)

    def instances(self, app: str) -> list[Instance]:
        return instances.matching(self._connection, instances.is_of_app(app))

    def instance_count(self, branch: str) -> int:
        return instances.count(self._connection, branch)

    def worker(self, name: str) -> Worker:
        return workers.get(self._connection, name, self._default_broker)

    def workers_named(self, names: Collection[str]) -> list[Worker]:
        return workers.named(self._connection, names, self._default_broker)

    def workers(self, branch: str) -> list[Worker]:
        condition = instances.is_of_branch(branch)
        return workers.matching(self._connection, condition, self._default_broker)

    def pending(self, branch: str) -> list[str]:
        return observed.pending(self._connection, branch)

    def status(self, name: str) -> Status | None:
        return observed.get(self._connection, name)

    def statuses(self, branch: str) -> dict[str, Status]:
        return observed.of_branch(self._connection, branch)

    def branch(self, id: str) -> Branch:
        return branches.get(self._connection, id)

    def branch_ids(self) -> list[str]:
        return branches.ids(self._connection)

    def rollouts(self, branch: str | None = None, app: str | None = None) -> list[RolloutStatus]:
        return rollouts.matching(self._connection, branch, app)

    def task(self, id: str) -> Task | None:
        return tasks.get(self._connection, id)


class SqlTransaction(SqlView):
    """A look that also writes. What is to be edited or removed must be there: ``NotFound``."""

    def add_app(self, app: App) -> None:
        apps.add(self._connection, app)

    def save_app(self, app: App) -> None:
        apps.save(self._connection, app)

    def remove_app(self, name: str) -> None:
        """With its queues. Raises ``Conflict`` while it has instances."""
        apps.remove(self._connection, name)

    def add_queue(self, queue: Queue) -> None:
        queues.add(self._connection, queue)

    def save_queue(self, queue: Queue) -> None:
        """Store the edit; instances that consume from it get their next generation."""
        queues.save(self._connection, queue)

    def remove_queue(self, app: str, name: str) -> None:
        """Also from the instances that consume from it, which get their next generation."""
        queues.remove(self._connection, app, name)

    def add_instance(self, instance: Instance) -> None:
        instances.add(self._connection, instance)

    def save_instance(self, instance: Instance) -> Instance:
        """Raises ``Conflict`` where *instance* is not of the stored generation."""
        return instances.save(self._connection, instance)

    def touch_instances(self, app: str) -> list[Instance]:
        return instances.touch(self._connection, app)

    def remove_instance(self, name: str) -> None:
        instances.remove(self._connection, name)

    def save_statuses(self, statuses: Iterable[Status]) -> None:
        observed.save(self._connection, statuses)

    def save_branch(self, branch: Branch) -> None:
        branches.save(self._connection, branch)

    def save_rollout(self, status: RolloutStatus) -> None:
        rollouts.save(self._connection, status)

    def save_tasks(self, ended: Iterable[Task]) -> None:
        tasks.save(self._connection, ended)

    def remove_tasks(self, before: datetime) -> int:
        return tasks.remove(self._connection, before)


class SqlStore:
    """The store at *url*; *default_broker* serves where instance and app name none.

    Thread-safe. Open it after fork, in the process that uses it; nothing is
    connected before the first use. A failure to read raises
    :exc:`~cyme_supd.errors.Unavailable`: nothing is ever answered for it.
    """

    def __init__(
        self, url: str, default_broker: str, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self._engine = open_engine(url, busy_timeout_s)
        self._writer = self._engine.execution_options(**{IS_WRITING: True})
        self._default_broker = default_broker
        self._busy_timeout_s = busy_timeout_s
        self._changes = Changes(self._engine, busy_timeout_s)
        self._write_lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """For :func:`~cyme_supd.store.migrations.migrate` and its like."""
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[SqlView]:
        with connected(self._engine) as connection, connection.begin():
            begin_snapshot(connection)
            yield SqlView(connection, self._default_broker)

    @contextmanager
    def writing(self) -> Iterator[SqlTransaction]:
        """Not to be nested: the inner one waits for the outer, and gives up."""
        with self._alone(), connected(self._writer) as connection, connection.begin():
            yield SqlTransaction(connection, self._default_broker)

    def version(self) -> int:
        """Grows with every commit, this store's own too; means nothing to another process."""
        return self._changes.count()

    def close(self) -> None:
        self._changes.close()
        self._engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Threads of one process queue up here, rather than poll SQLite's lock.
        if not self._write_lock.acquire(timeout=self._busy_timeout_s):
            raise Unavailable("the database is busy with other changes", "try again")
        try:
            yield
        finally:
            self._write_lock.release()
