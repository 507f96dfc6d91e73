"""The store, in memory: passes the contract suite of the one on a database."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from cyme_supd.clock import Clock, SystemClock
from cyme_supd.domain.audit import Event
from cyme_supd.domain.catalogue import Entry, Version, app_key, digest_of, queue_key
from cyme_supd.domain.claim import Claim
from cyme_supd.domain.merging import Merged, merge
from cyme_supd.domain.moving import Moving, check_edit, is_handed
from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.domain.spec import App, Instance, Queue, Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.domain.task import Task
from cyme_supd.domain.tracking import declared
from cyme_supd.errors import Conflict, Invalid, NotFound, Unavailable
from cyme_supd.testing.catalogue import Edits, MemoryCopy, entries
from cyme_supd.testing.parts import Parts, PartsEdit
from cyme_supd.testing.state import State
from cyme_supd.testing.stored import stored

_K = TypeVar("_K")
_V = TypeVar("_V")
_BUSY_TIMEOUT_S = 5.0


class MemoryView(Parts):
    def __init__(self, state: State, default_broker: str, branch: str = "") -> None:
        self._state = state
        self._default_broker = default_broker
        self._branch = branch

    def app_names(self, after: str = "", limit: int | None = None) -> list[str]:
        theirs = (each.name for each in self._state.apps.values() if not each.is_deleting)
        return _page(theirs, after, limit)

    def app(self, name: str) -> App:
        return _found(self._state.apps, name, f"there is no app {name!r}")

    def queue_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        return _page((name for of, name in self._state.queues if of == app), after, limit)

    def queue(self, app: str, name: str) -> Queue:
        return _found(self._state.queues, (app, name), f"app {app!r} has no queue {name!r}")

    def instance_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        theirs = (each.name for each in self.instances(app) if not each.is_deleting)
        return _page(theirs, after, limit)

    def instance(self, name: str) -> Instance:
        return _found(self._state.instances, name, f"there is no instance {name!r}")

    def born(self, branch: str) -> dict[str, datetime]:
        return {
            each.name: each.created_at
            for each in self._sorted()
            if each.branch == branch and not is_handed(each.move)
        }

    def instance_count(self, branch: str) -> int:
        return sum(
            each.branch == branch and not each.is_deleting
            for each in self._state.instances.values()
        )

    def worker(self, name: str) -> Worker:
        return self._worker(self.instance(name))

    def workers_named(self, names: Collection[str]) -> list[Worker]:
        return [self._worker(each) for each in self._sorted() if each.name in names]

    def workers(self, branch: str) -> list[Worker]:
        return [self._worker(each) for each in self._sorted() if each.branch == branch]

    def pending(self, branch: str) -> list[str]:
        observed = {name: status.generation for name, status in self._state.statuses.items()}
        return [
            each.name
            for each in self._sorted()
            if each.branch == branch and each.generation > observed.get(each.name, 0)
        ]

    def status(self, name: str) -> Status | None:
        return self._state.statuses.get(name)

    def branch(self, id: str) -> Branch:
        return _found(self._state.branches, id, f"there is no branch {id!r}")

    def branch_ids(self) -> list[str]:
        return sorted(self._state.branches)

    def is_draining(self, id: str) -> bool:
        return id in self._state.draining

    def moving(self, id: str) -> Moving | None:
        return self._state.moving.get(id)

    def lease_holder(self, branch: str, now: datetime) -> str | None:
        holder, until = self._state.leases.get(branch, ("", now))
        return holder if until > now else None

    def receipt(self, token: str) -> bool | None:
        return self._state.receipts.get(token)

    def claim(self, name: str) -> Claim | None:
        return self._state.claims.get(name)

    def rollouts(self, branch: str | None = None, app: str | None = None) -> list[RolloutStatus]:
        return [
            status
            for (of, at), status in sorted(self._state.rollouts.items())
            if branch in (None, at) and app in (None, of)
        ]

    def task(self, id: str) -> Task | None:
        return self._state.tasks.get(id)

    def catalogue_index(self) -> dict[str, Version]:
        return self._state.catalogue.index()

    def catalogue_digest(self) -> str:
        return digest_of(self.catalogue_index())

    def entries(self, keys: Collection[str]) -> list[Entry]:
        return entries(self._state, keys)

    def next_version(self) -> Version:
        return Version(self._state.catalogue.highest + 1, self._branch)

    def _worker(self, instance: Instance) -> Worker:
        app = self._state.apps[instance.app]
        return Worker(
            instance=instance,
            app=app,
            queues=declared(app, (self._state.queues[app.name, name] for name in instance.queues)),
            broker=instance.broker or app.broker or self._default_broker,
        )


class MemoryTransaction(MemoryView, PartsEdit):
    def __init__(self, state: State, default_broker: str, branch: str, edits: Edits) -> None:
        super().__init__(state, default_broker, branch)
        self._edits = edits
        #: Kept with all the rest, at the end.
        self.events: list[Event] = []

    def add_app(self, app: App) -> None:
        if app.name in self._state.apps:
            raise Conflict(f"there is an app {app.name!r} already")
        _check_length(app.name)
        self._state.apps[app.name] = stored(app)
        self._edits.stored(app)

    def save_app(self, app: App) -> None:
        created_at = self.app(app.name).created_at
        self._state.apps[app.name] = replace(stored(app), created_at=created_at)
        self._edits.stored(self.app(app.name))

    def remove_app(self, name: str) -> None:
        keys = [queue_key(name, queue) for queue in self.queue_names(name)]
        self._drop_app(name)
        self._edits.removed([app_key(name), *keys])

    def _drop_app(self, name: str) -> None:
        self.app(name)
        if left := [each.name for each in self.instances(name)]:
            raise Conflict(f"app {name!r} has instances: {', '.join(left)}")
        for queue in self.queue_names(name):
            del self._state.queues[name, queue]
        for key in [key for key in self._state.rollouts if key[0] == name]:
            del self._state.rollouts[key]
        del self._state.apps[name]

    def add_queue(self, queue: Queue) -> None:
        self.app(queue.app)
        if (queue.app, queue.name) in self._state.queues:
            raise Conflict(f"app {queue.app!r} has a queue {queue.name!r} already")
        self._state.queues[queue.app, queue.name] = stored(queue)
        self._edits.stored(queue)

    def save_queue(self, queue: Queue) -> None:
        created_at = self.queue(queue.app, queue.name).created_at
        edited = replace(stored(queue), created_at=created_at)
        self._state.queues[queue.app, queue.name] = edited
        self._edits.stored(edited)
        for each in self._consumers(queue.app, queue.name):
            self._touch(each)

    def remove_queue(self, app: str, name: str) -> None:
        self._drop_queue(app, name)
        self._edits.removed([queue_key(app, name)])

    def _drop_queue(self, app: str, name: str) -> None:
        self.queue(app, name)
        for each in self._consumers(app, name):
            left = tuple(queue for queue in each.queues if queue != name)
            self._touch(replace(each, queues=left))
        del self._state.queues[app, name]

    def add_instance(self, instance: Instance) -> None:
        self.app(instance.app)
        if known := self._state.instances.get(instance.name):
            raise Conflict(f"there is an instance {known.name!r} already, of app {known.app!r}")
        self._check(instance)
        self._state.instances[instance.name] = stored(instance)

    def save_instance(self, instance: Instance) -> Instance:
        known = self.instance(instance.name)
        if (known.app, known.generation) != (instance.app, instance.generation):
            raise Conflict(f"instance {instance.name!r} was changed meanwhile")
        check_edit(known, instance)
        self._check(instance)
        return self._touch(replace(stored(instance), created_at=known.created_at))

    def touch_instances(self, app: str) -> list[Instance]:
        return [self._touch(each) for each in self.instances(app)]

    def remove_instance(self, name: str) -> None:
        app = self.app(self.instance(name).app)
        del self._state.instances[name]
        self._state.statuses.pop(name, None)
        if app.is_deleting and not self.instances(app.name):
            self.remove_app(app.name)

    def drain(self, id: str, is_draining: bool) -> None:
        self.branch(id)
        (self._state.draining.add if is_draining else self._state.draining.discard)(id)

    def save_moving(self, id: str, moving: Moving | None) -> None:
        self.branch(id)
        self._state.moving.pop(id, None)
        if moving is not None:
            self._state.moving[id] = moving

    def save_receipt(self, token: str, is_taken: bool) -> None:
        if token in self._state.receipts:
            raise Conflict("a receipt is there already")
        self._state.receipts[token] = is_taken

    def save_claim(self, claim: Claim) -> None:
        self._state.claims[claim.name] = claim

    def remove_claim(self, name: str) -> None:
        self._state.claims.pop(name, None)

    def save_rollout(self, status: RolloutStatus) -> None:
        if status.app in self._state.apps:
            self._state.rollouts[status.app, status.branch] = status

    def save_tasks(self, ended: Iterable[Task]) -> None:
        for task in ended:
            self._state.tasks.setdefault(task.id, stored(task))

    def remove_tasks(self, before: datetime) -> int:
        old = [id for id, task in self._state.tasks.items() if task.finished_at < before]
        for id in old:
            del self._state.tasks[id]
        return len(old)

    def save_audit(self, events: Iterable[Event]) -> None:
        self.events += events

    def merge(self, entries: Iterable[Entry]) -> Merged:
        copy = MemoryCopy(self._state, self._edits, self._drop_app, self._drop_queue)
        return merge(copy, entries, self._edits.now())

    def forget_tombstones(self, before: datetime) -> int:
        return self._state.catalogue.forget(before)

    def save_statuses(self, statuses: Iterable[Status]) -> None:
        for status in statuses:
            known = self._state.instances.get(status.name)
            if known is not None and status.generation <= known.generation:
                self._state.statuses[status.name] = status

    def save_branch(self, branch: Branch) -> None:
        _check_length(branch.id)
        self._state.branches[branch.id] = stored(branch)

    def take_lease(self, branch: str, holder: str, now: datetime, lasts_s: float) -> str:
        self.branch(branch)
        known, until = self._state.leases.get(branch, (holder, now))
        if known != holder and until > now:
            return known
        self._state.leases[branch] = (holder, now + timedelta(seconds=lasts_s))
        return holder

    def _touch(self, instance: Instance) -> Instance:
        touched = replace(instance, generation=instance.generation + 1)
        self._state.instances[instance.name] = touched
        return touched

    def _consumers(self, app: str, queue: str) -> list[Instance]:
        return [each for each in self.instances(app) if queue in each.queues]

    def _check(self, instance: Instance) -> None:
        _check_length(instance.name)
        _check_length(instance.branch)
        if not 0 <= instance.min_concurrency <= instance.max_concurrency <= 1000:
            raise Invalid("a value is out of its bounds: concurrency")
        if instance.max_concurrency < 1 or instance.generation < 1:
            raise Invalid("a value is out of its bounds")
        for queue in instance.queues:
            self.queue(instance.app, queue)
        if len(set(instance.queues)) < len(instance.queues):
            raise Conflict("a queue is there twice")


class MemoryStore:
    """Thread-safe. A look is of the state at its beginning; a write is all or nothing."""

    def __init__(
        self,
        default_broker: str = "redis://127.0.0.1:6379/0",
        branch: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._default_broker = default_broker
        self._branch = branch
        self._clock = clock or SystemClock()
        self._state = State()
        self._version = 0
        self._write_lock = threading.Lock()
        #: Set to make every call fail with it, as when a database is locked.
        self.failure: Exception | None = None

    @contextmanager
    def reading(self) -> Iterator[MemoryView]:
        self._fail()
        yield MemoryView(self._state, self._default_broker, self._branch)

    @contextmanager
    def writing(self, stamp: Version | None = None) -> Iterator[MemoryTransaction]:
        self._fail()
        if not self._write_lock.acquire(timeout=_BUSY_TIMEOUT_S):
            raise Unavailable("the database is busy with other changes", "try again")
        try:
            state = self._state.copy()
            edits = Edits(state.catalogue, self._branch, self._clock.now, stamp)
            yield (made := MemoryTransaction(state, self._default_broker, self._branch, edits))
            self._fail()
            last = max((each.id for each in state.audit), default=0)
            numbered = enumerate(made.events, last + 1)
            state.audit += [replace(each, id=id) for id, each in numbered]
            # Never changed once it is here: whoever looks keeps what they see.
            self._state = state
            self._version += 1
        finally:
            self._write_lock.release()

    def recording(self) -> AbstractContextManager[MemoryTransaction]:
        return self.writing()

    def version(self) -> int:
        self._fail()
        return self._version

    def close(self) -> None:
        """There is nothing to close; a database has."""

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


def _page(names: Iterable[str], after: str, limit: int | None) -> list[str]:
    return sorted(name for name in names if name > after)[:limit]


def _found(table: Mapping[_K, _V], key: _K, otherwise: str) -> _V:
    try:
        return table[key]
    except KeyError:
        raise NotFound(otherwise) from None


def _check_length(name: str) -> None:
    if not 1 <= len(name) <= 128:
        raise Invalid("a value is out of its bounds: length")
