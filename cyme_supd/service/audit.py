"""Writes down every change of what is asked for, with the change itself or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from cyme_supd.clock import Clock
from cyme_supd.domain.access import Token, User
from cyme_supd.domain.audit import (
    APP,
    BRANCH,
    DELETE,
    EDIT,
    PURGE,
    QUEUE,
    Change,
    Event,
    Query,
    Spec,
    change,
)
from cyme_supd.domain.catalogue import Version
from cyme_supd.domain.job import Job
from cyme_supd.domain.ports import Store, Transaction, View
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.errors import NotFound
from cyme_supd.service.acting import acting


class AuditedStore:
    """*store*, where what somebody changes is written down in the same transaction.

    What a branch records of what it sees is no change of what is asked for.
    """

    def __init__(self, store: Store, clock: Clock, branch: str) -> None:
        self._store = store
        self._clock = clock
        self._branch = branch

    def reading(self) -> AbstractContextManager[View]:
        return self._store.reading()

    @contextmanager
    def writing(self, stamp: Version | None = None) -> Iterator[Transaction]:
        with self._store.writing(stamp) as tx:
            watched = _Watched(tx)
            # It passes on what it does not watch.
            yield cast("Transaction", watched)
            if watched.changes:
                tx.save_audit(events(watched.changes, self._branch, self._clock.now()))

    def recording(self) -> AbstractContextManager[Transaction]:
        return self._store.recording()

    def version(self) -> int:
        return self._store.version()


def events(changes: Sequence[Change], branch: str, at: datetime) -> list[Event]:
    """Of whoever acts; a microsecond apart, so that each has a time of its own."""
    return [
        each.by(acting(), branch, at + timedelta(microseconds=number))
        for number, each in enumerate(changes)
    ]


class _Watched:
    """A transaction that knows what was changed in it."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.changes: list[Change] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def add_app(self, app: App) -> None:
        self._tx.add_app(app)
        self._note(None, app)

    def save_app(self, app: App) -> None:
        before = self._tx.app(app.name)
        self._tx.save_app(app)
        self._note(before, self._tx.app(app.name))

    def remove_app(self, name: str) -> None:
        before = self._tx.app(name)
        self._tx.remove_app(name)
        self._note(before, None)

    def add_queue(self, queue: Queue) -> None:
        self._tx.add_queue(queue)
        self._note(None, queue)

    def save_queue(self, queue: Queue) -> None:
        before = self._tx.queue(queue.app, queue.name)
        self._tx.save_queue(queue)
        self._note(before, self._tx.queue(queue.app, queue.name))

    def remove_queue(self, app: str, name: str) -> None:
        before = self._tx.queue(app, name)
        self._tx.remove_queue(app, name)
        self._note(before, None)

    def add_instance(self, instance: Instance) -> None:
        self._tx.add_instance(instance)
        self._note(None, instance)

    def save_instance(self, instance: Instance) -> Instance:
        before = self._tx.instance(instance.name)
        after = self._tx.save_instance(instance)
        self._note(before, after)
        return after

    def remove_instance(self, name: str) -> None:
        before = self._tx.instance(name)
        self._tx.remove_instance(name)
        self._note(before, None)
        if self._is_finished(before.app):
            self.changes.append(Change(DELETE, APP, before.app, before.app))

    def save_user(self, user: User) -> None:
        before = self._user(user.name)
        self._tx.save_user(user)
        self._note(before, self._user(user.name))

    def remove_user(self, name: str) -> None:
        before = self._user(name)
        tokens = [each for each in self._tx.tokens() if each.user == name]
        self._tx.remove_user(name)
        for gone in (before, *tokens):
            self._note(gone, None)

    def add_token(self, token: Token) -> None:
        self._tx.add_token(token)
        self._note(None, token)

    def remove_token(self, id: str) -> None:
        before = next((each for each in self._tx.tokens() if each.id == id), None)
        self._tx.remove_token(id)
        self._note(before, None)

    def add_jobs(self, added: Iterable[Job]) -> None:
        jobs = list(added)
        self._tx.add_jobs(jobs)
        for each in jobs:
            self._note(None, each)

    def save_jobs(self, changed: Iterable[Job]) -> None:
        after = {each.id: each for each in changed}
        before = self._tx.jobs_with(after.keys())
        self._tx.save_jobs(after.values())
        for each in before:
            self._note(each, after[each.id])

    def remove_jobs(self, ids: Collection[str]) -> None:
        before = self._tx.jobs_with(ids)
        self._tx.remove_jobs(ids)
        for each in before:
            self._note(each, None)

    def remove_category(self, name: str) -> None:
        before = self._tx.jobs_in(name)
        self._tx.remove_category(name)
        for each in before:
            self._note(each, None)

    def drain(self, id: str, is_draining: bool) -> None:
        before = self._tx.is_draining(id)
        self._tx.drain(id, is_draining)
        if before != is_draining:
            values = ({"is_draining": each} for each in (before, is_draining))
            self.changes.append(Change(EDIT, BRANCH, "", id, *values))

    def _user(self, name: str) -> User | None:
        return next((each for each in self._tx.users() if each.name == name), None)

    def _is_finished(self, app: str) -> bool:
        """Whether it went with its last instance."""
        try:
            self._tx.app(app)
        except NotFound:
            return True
        return False

    def _note(self, before: Spec | None, after: Any) -> None:
        noted = change(before, after)
        if noted is not None:
            self.changes.append(noted)


class Audit:
    """What was written down; and what is to be, of changes that no store sees."""

    def __init__(self, store: Store, clock: Clock, branch: str) -> None:
        self._store = store
        self._clock = clock
        self._branch = branch

    def find(self, query: Query) -> list[Event]:
        """The newest first."""
        with self._store.reading() as view:
            return view.audit(query)

    def of(self, changes: Sequence[Change]) -> list[Event]:
        """What is to be kept of *changes* of what a store does not watch."""
        return events(changes, self._branch, self._clock.now())

    def purged(self, app: str, queue: str, count: int) -> list[Event]:
        """What is to be kept of messages that are gone for good."""
        done = Change(PURGE, QUEUE, app, queue, {"messages": count}, {"messages": 0})
        return self.of([done])
