"""The store on a database: one class a protocol of :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine

from cyme_supd.clock import Clock, SystemClock
from cyme_supd.domain.access import Token, User
from cyme_supd.domain.audit import Event, Query
from cyme_supd.domain.catalogue import Entry, Version, app_key, queue_key
from cyme_supd.domain.claim import Claim
from cyme_supd.domain.merging import Merged, merge
from cyme_supd.domain.moving import Moving
from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.domain.sessions import Session
from cyme_supd.domain.spec import App, Instance, Queue, Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.domain.task import Task
from cyme_supd.errors import Unavailable
from cyme_supd.store import (
    access,
    apps,
    audit,
    branches,
    catalogue,
    claims,
    instances,
    queues,
    receipts,
    rollouts,
    tasks,
    workers,
)
from cyme_supd.store import statuses as observed
from cyme_supd.store.catalogue import Digests, Edits
from cyme_supd.store.engine import (
    BUSY_TIMEOUT_S,
    IS_WRITING,
    begin_snapshot,
    changes_of,
    connected,
    kind_of,
    open_engine,
)
from cyme_supd.store.history import SqlHistory, SqlHistoryEdit
from cyme_supd.store.jobviews import SqlJobs, SqlJobsEdit
from cyme_supd.store.kinds import LANE, LANES
from cyme_supd.store.ledgerviews import SqlLedger, SqlLedgerEdit
from cyme_supd.store.owncopy import SqlCopy
from cyme_supd.store.runhistory import SqlRunHistory, SqlRunHistoryEdit
from cyme_supd.store.whole import SqlWhole


class SqlView(SqlWhole, SqlHistory, SqlJobs, SqlRunHistory, SqlLedger):
    """One consistent look: everything it answers is of the moment it was opened."""

    def __init__(
        self,
        connection: Connection,
        default_broker: str,
        branch: str = "",
        digests: Digests | None = None,
    ) -> None:
        self._connection = connection
        self._default_broker = default_broker
        self._branch = branch
        self._digests = digests or Digests()

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

    def born(self, branch: str) -> dict[str, datetime]:
        return instances.born(self._connection, branch)

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

    def branch(self, id: str) -> Branch:
        return branches.get(self._connection, id)

    def branch_ids(self) -> list[str]:
        return branches.ids(self._connection)

    def is_draining(self, id: str) -> bool:
        return branches.is_draining(self._connection, id)

    def moving(self, id: str) -> Moving | None:
        return branches.moving(self._connection, id)

    def lease_holder(self, branch: str, now: datetime) -> str | None:
        now = kind_of(self._connection.engine).now(self._connection, now)
        return branches.lease_holder(self._connection, branch, now)

    def receipt(self, token: str) -> bool | None:
        return receipts.get(self._connection, token)

    def claim(self, name: str) -> Claim | None:
        return claims.get(self._connection, name)

    def rollouts(self, branch: str | None = None, app: str | None = None) -> list[RolloutStatus]:
        return rollouts.matching(self._connection, branch, app)

    def task(self, id: str) -> Task | None:
        return tasks.get(self._connection, id)

    def audit(self, query: Query) -> list[Event]:
        return audit.find(self._connection, query)

    def users(self) -> list[User]:
        return access.users(self._connection)

    def tokens(self) -> list[Token]:
        return access.tokens(self._connection)

    def sessions(self) -> list[Session]:
        return access.sessions(self._connection)

    def catalogue_index(self) -> dict[str, Version]:
        return catalogue.index(self._connection)

    def catalogue_digest(self) -> str:
        return self._digests.digest(self._connection)

    def entries(self, keys: Collection[str]) -> list[Entry]:
        return catalogue.entries(self._connection, keys)

    def next_version(self) -> Version:
        return catalogue.next_version(self._connection, self._branch)


class SqlTransaction(SqlView, SqlHistoryEdit, SqlJobsEdit, SqlRunHistoryEdit, SqlLedgerEdit):
    """A look that also writes. What is to be edited or removed must be there: ``NotFound``."""

    def __init__(
        self,
        connection: Connection,
        default_broker: str,
        branch: str,
        edits: Edits,
    ) -> None:
        super().__init__(connection, default_broker, branch)
        self._edits = edits
        self.written: list[Event] = []

    def add_app(self, app: App) -> None:
        apps.add(self._connection, app)
        self._edits.stored(app)

    def save_app(self, app: App) -> None:
        apps.save(self._connection, app)
        self._edits.stored(self.app(app.name))

    def remove_app(self, name: str) -> None:
        """With its queues. Raises ``Conflict`` while it has instances."""
        keys = [queue_key(name, queue) for queue in self.queue_names(name)]
        apps.remove(self._connection, name)
        self._edits.removed([app_key(name), *keys])

    def add_queue(self, queue: Queue) -> None:
        queues.add(self._connection, queue)
        self._edits.stored(queue)

    def save_queue(self, queue: Queue) -> None:
        """Store the edit; instances that consume from it get their next generation."""
        queues.save(self._connection, queue)
        self._edits.stored(self.queue(queue.app, queue.name))

    def remove_queue(self, app: str, name: str) -> None:
        """Also from the instances that consume from it, which get their next generation."""
        queues.remove(self._connection, app, name)
        self._edits.removed([queue_key(app, name)])

    def add_instance(self, instance: Instance) -> None:
        instances.add(self._connection, instance)

    def save_instance(self, instance: Instance) -> Instance:
        """Raises ``Conflict`` where *instance* is not of the stored generation."""
        return instances.save(self._connection, instance)

    def touch_instances(self, app: str) -> list[Instance]:
        return instances.touch(self._connection, app)

    def remove_instance(self, name: str) -> None:
        app = instances.remove(self._connection, name)
        if apps.is_finished(self._connection, app):
            self.remove_app(app)

    def save_statuses(self, statuses: Iterable[Status]) -> None:
        observed.save(self._connection, statuses)

    def save_branch(self, branch: Branch) -> None:
        branches.save(self._connection, branch)

    def drain(self, id: str, is_draining: bool) -> None:
        branches.drain(self._connection, id, is_draining)

    def save_moving(self, id: str, moving: Moving | None) -> None:
        branches.save_moving(self._connection, id, moving)

    def save_receipt(self, token: str, is_taken: bool) -> None:
        receipts.save(self._connection, token, is_taken)

    def save_claim(self, claim: Claim) -> None:
        claims.save(self._connection, claim)

    def remove_claim(self, name: str) -> None:
        claims.remove(self._connection, name)

    def take_lease(self, branch: str, holder: str, now: datetime, lasts_s: float) -> str:
        now = kind_of(self._connection.engine).now(self._connection, now)
        return branches.take_lease(self._connection, branch, holder, now, lasts_s)

    def save_rollout(self, status: RolloutStatus) -> None:
        rollouts.save(self._connection, status)

    def save_tasks(self, ended: Iterable[Task]) -> None:
        tasks.save(self._connection, ended)

    def remove_tasks(self, before: datetime) -> int:
        return tasks.remove(self._connection, before)

    def save_audit(self, events: Iterable[Event]) -> None:
        told = list(events)
        audit.add(self._connection, told)
        self.written += told

    def save_user(self, user: User) -> None:
        access.save_user(self._connection, user)

    def remove_user(self, name: str) -> None:
        access.remove_user(self._connection, name)

    def add_token(self, token: Token) -> None:
        access.add_token(self._connection, token)

    def remove_token(self, id: str) -> None:
        access.remove_token(self._connection, id)

    def token_used(self, id: str, at: datetime) -> None:
        access.token_used(self._connection, id, at)

    def add_session(self, session: Session) -> None:
        access.add_session(self._connection, session)

    def remove_sessions(self, ids: Collection[str]) -> None:
        access.remove_sessions(self._connection, ids)

    def session_used(self, id: str, at: datetime) -> None:
        access.session_used(self._connection, id, at)

    def merge(self, entries: Iterable[Entry]) -> Merged:
        return merge(SqlCopy(self._connection, self._edits), entries, self._edits.now())

    def forget_decisions(self, before: datetime) -> int:
        return audit.forget_decisions(self._connection, before)

    def forget_tombstones(self, before: datetime) -> int:
        return catalogue.forget(self._connection, before)


class SqlStore:
    """The store at *url*; *default_broker* serves where instance and app name none.

    Changes of the catalogue are those of *branch*.

    Thread-safe. Open it after fork, in the process that uses it; nothing is
    connected before the first use. A failure to read raises
    :exc:`~cyme_supd.errors.Unavailable`: nothing is ever answered for it.
    """

    def __init__(
        self,
        url: str,
        default_broker: str,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        branch: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._engine = open_engine(url, busy_timeout_s)
        self._writer = self._engine.execution_options(**{IS_WRITING: True})
        # Any lane is as good as another; two at once have two, most of the time.
        self._lanes: Iterator[int] = itertools.count(os.getpid())
        self._default_broker = default_broker
        self._branch = branch
        self._clock = clock or SystemClock()
        self._digests = Digests()
        self._busy_timeout_s = busy_timeout_s
        self._changes = changes_of(self._engine, busy_timeout_s)
        self._write_lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """For :func:`~cyme_supd.store.migrations.migrate` and its like."""
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[SqlView]:
        with connected(self._engine) as connection, connection.begin():
            begin_snapshot(connection)
            yield SqlView(connection, self._default_broker, self._branch, self._digests)

    @contextmanager
    def writing(self, stamp: Version | None = None) -> Iterator[SqlTransaction]:
        """Not to be nested: the inner one waits for the outer, and gives up."""
        with self._alone(), connected(self._writer) as connection, connection.begin():
            yield (tx := self._transaction(connection, stamp))
        self._committed(tx)

    @contextmanager
    def recording(self) -> Iterator[SqlTransaction]:
        """As the port has it; on a file it is the same as writing."""
        if not kind_of(self._engine).is_shared:
            with self.writing() as tx:
                yield tx
            return
        with connected(self._writer) as connection:
            connection.execution_options(**{LANE: next(self._lanes) % LANES})
            with connection.begin():
                yield (tx := self._transaction(connection))
        self._committed(tx)

    def _committed(self, tx: SqlTransaction) -> None:
        self._changes.stale()
        audit.tell(tx.written)

    def _transaction(self, connection: Connection, stamp: Version | None = None) -> SqlTransaction:
        edits = Edits(connection, self._branch, self._clock.now, stamp)
        return SqlTransaction(connection, self._default_broker, self._branch, edits)

    def version(self) -> int:
        """Grows with every commit, this store's own too; means nothing to another process.

        Of another's commit to a shared database it may tell a hundredth of a second late.
        """
        return self._changes.count()

    def close(self) -> None:
        self._changes.close()
        self._engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Threads of one process queue up here, rather than poll SQLite's lock, or
        # have a server's connection each to wait on.
        if not self._write_lock.acquire(timeout=self._busy_timeout_s):
            raise Unavailable("the database is busy with other changes", "try again")
        try:
            yield
        finally:
            self._write_lock.release()
