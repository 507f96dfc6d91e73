"""Use-cases of instances."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.naming import check_instance_name, check_name
from cyme_supd.domain.parameters import check_limits, instance_changes
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.spec import DEFAULT_POOL, App, Instance, Worker
from cyme_supd.domain.status import Status
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound, Unavailable
from cyme_supd.service.context import Context
from cyme_supd.service.goals import Goal, gone, ready, scaled, stopped
from cyme_supd.service.looking import (
    Details,
    branch_or_none,
    check_alive,
    check_room,
    details,
    instance_of,
)
from cyme_supd.service.observed import assemble, broker_key, needs_new_process, why_down
from cyme_supd.service.waiting import CONVERGED, STORED, NameTaken, Outcome

#: Two requests that create one name this close together were made at once:
#: the later one is no edit of what the earlier one made.
AT_ONCE = timedelta(seconds=0.2)
STATS_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class InstanceReply:
    """``restarting`` holds its name where it gets a new process for the edit."""

    details: Details
    outcome: Outcome
    is_new: bool = False
    restarting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """Celery's own ``stats`` of the worker, beside the details."""

    stats: Mapping[str, object]
    details: Details


@dataclass(frozen=True, slots=True)
class _Put:
    """What was stored; the ``reply`` is there where nothing is waited for."""

    goal: Goal
    is_new: bool = False
    reply: InstanceReply | None = None


def _is_free(_tx: Transaction) -> None:
    """A name that was not there before, or that nobody else can have."""


class Instances:
    def __init__(self, context: Context) -> None:
        self._context = context

    # Reading

    def names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        check_name("app", app)
        with self._context.store.reading() as view:
            view.app(app)
            return view.instance_names(app, after, limit)

    def get(self, app: str, name: str) -> Details:
        _check_path(app, name)
        with self._context.store.reading() as view:
            return self._details(view, instance_of(view, app, name))

    def log(self, app: str, name: str, size: int) -> bytes:
        """The last *size* bytes of its log."""
        self.get(app, name)
        return self._context.logs.tail(name, size)

    def stats(self, app: str, name: str, timeout_s: float | None = None) -> Stats:
        """What the worker says of itself; ``Unavailable`` when it says nothing."""
        found = self.get(app, name)
        with self._asking(found) as worker:
            stats = self._context.questions.stats(worker, timeout_s or STATS_TIMEOUT_S)
        return Stats(stats, found)

    def tasks(self, app: str, name: str, timeout_s: float | None = None) -> Sequence[RunningTask]:
        """Those that it runs, the longest first; ``Unavailable`` when it says nothing."""
        with self._asking(self.get(app, name)) as worker:
            within_s = timeout_s or STATS_TIMEOUT_S
            told = self._context.questions.active([worker], within_s).get(name)
        if told is None:
            raise Unavailable(f"{worker.nodename} did not answer within {within_s:g} s")
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(told, key=lambda each: (each.started_at or latest, each.id))

    @contextmanager
    def _asking(self, found: Details) -> Iterator[Worker]:
        self._check_askable(found)
        with self._context.store.reading() as view:
            worker = view.worker(found.instance.name)
        with self._context.waits.slot() as is_free:
            if not is_free:
                raise Unavailable("too many requests are waiting already", "ask again")
            yield worker

    # Creating and editing

    def put(
        self, app: str, name: str | None, given: Mapping[str, Any], timeout_s: float | None
    ) -> InstanceReply:
        """Create it and wait until it is ready, or edit it by what is *given*.

        Without a *name* it gets a UUID. An edit answers when it is stored.
        Raises ``Conflict`` where the name is another app's, is being
        deleted, or was created otherwise at the same moment.
        """
        check_name("app", app)
        wanted = str(uuid.uuid4()) if name is None else check_instance_name(name)
        changes = instance_changes(given)
        was_there = self._is_there(wanted)
        with ExitStack() as stack:
            if name is not None and not was_there:
                # Outside of the transaction, which others wait for: it asks all branches.
                check = stack.enter_context(self._context.claims.held(wanted))
            else:
                check = _is_free
            put = self._put(app, wanted, changes, given.get("branch"), was_there, check)
        self._context.hints.send()
        if put.reply is not None:
            return put.reply
        try:
            outcome = self._wait(put.goal, timeout_s)
        except NameTaken:
            if put.is_new:
                with suppress(CymeError):
                    self.delete(app, wanted, is_forced=False, timeout_s=timeout_s)
            raise
        return InstanceReply(self.get(app, wanted), outcome, is_new=put.is_new)

    def _put(
        self,
        app: str,
        name: str,
        changes: Mapping[str, Any],
        branch: str | None,
        was_there: bool,
        check: Callable[[Transaction], None],
    ) -> _Put:
        with self._context.store.writing() as tx:
            owner = tx.app(app)
            check_alive(owner)
            stored = _instance_or_none(tx, name)
            if stored is None:
                check(tx)
                self._check_branch(branch)
                made = self._create(tx, owner, name, changes)
                return _Put(ready(made, self._broker_key(made, owner)), is_new=True)
            _check_owner(stored, app)
            check_alive(stored)
            _check_stays(stored, branch)
            goal = ready(stored, self._broker_key(stored, owner))
            if was_there and not self._is_newborn(tx, stored):
                return _Put(goal, reply=self._edit(tx, owner, stored, changes))
            _check_same(stored, changes)
            return _Put(goal)

    def _create(
        self, tx: Transaction, owner: App, name: str, changes: Mapping[str, Any]
    ) -> Instance:
        instance = Instance(
            name=name,
            app=owner.name,
            branch=self._context.here.id,
            created_at=self._context.clock.now(),
            **changes,
        )
        _check_worker(tx, owner, instance)
        check_room(tx, instance.branch)
        tx.add_instance(instance)
        return instance

    def _edit(
        self,
        tx: Transaction,
        owner: App,
        stored: Instance,
        changes: Mapping[str, Any],
    ) -> InstanceReply:
        edited = replace(stored, **changes)
        restarting: tuple[str, ...] = ()
        if edited != stored:
            _check_worker(tx, owner, edited)
            here = self._context.here
            if needs_new_process(assemble(stored, owner, here), assemble(edited, owner, here)):
                restarting = (stored.name,)
            edited = tx.save_instance(edited)
        return InstanceReply(self._details(tx, edited), CONVERGED, restarting=restarting)

    # Acting

    def enable(self, app: str, name: str, timeout_s: float | None) -> Outcome:
        return self._act(app, name, lambda one: replace(one, is_enabled=True), ready, timeout_s)

    def disable(self, app: str, name: str, timeout_s: float | None) -> Outcome:
        return self._act(app, name, lambda one: replace(one, is_enabled=False), stopped, timeout_s)

    def restart(self, app: str, name: str, timeout_s: float | None) -> Outcome:
        """A new process, the old one ended warmly."""

        def again(one: Instance) -> Instance:
            if not one.is_enabled:
                raise Conflict(f"{name} is disabled", "enable it instead")
            return replace(one, restarts=one.restarts + 1)

        return self._act(app, name, again, ready, timeout_s)

    def autoscale(
        self, app: str, name: str, given: Mapping[str, Any], timeout_s: float | None
    ) -> InstanceReply:
        """Change ``max_concurrency`` and ``min_concurrency`` as *given*."""
        _check_path(app, name)
        changes = instance_changes(given)
        with self._context.store.writing() as tx:
            stored = instance_of(tx, app, name)
            check_alive(stored)
            owner = tx.app(app)
            worker = assemble(stored, owner, self._context.here)
            if worker.pool == "solo":
                raise Invalid("a solo worker cannot scale: it is one process")
            edited = replace(stored, **changes)
            _check_worker(tx, owner, edited)
            if edited != stored:
                edited = tx.save_instance(edited)
            found = self._details(tx, edited)
        self._context.hints.send()
        if not edited.is_enabled:
            return InstanceReply(found, CONVERGED)
        goal = scaled if worker.is_autoscaled else ready
        outcome = self._wait(goal(edited, broker_key(worker)), timeout_s)
        return InstanceReply(found, outcome)

    def delete(
        self, app: str | None, name: str, is_forced: bool, timeout_s: float | None
    ) -> Outcome:
        """Stop it, kill it if *is_forced*, and forget it. ``None`` is any app."""
        check_name("instance", name)
        with self._context.store.writing() as tx:
            stored = instance_of(tx, app, name)
            wanted = replace(stored, is_deleting=True, is_forced=stored.is_forced or is_forced)
            marked = stored if wanted == stored else tx.save_instance(wanted)
            goal = gone(marked, self._broker_key(marked, tx.app(marked.app)))
        self._context.hints.send()
        return self._wait(goal, timeout_s)

    def _act(
        self,
        app: str,
        name: str,
        edit: Callable[[Instance], Instance],
        goal: Callable[[Instance, str], Goal],
        timeout_s: float | None,
    ) -> Outcome:
        _check_path(app, name)
        with self._context.store.writing() as tx:
            stored = instance_of(tx, app, name)
            check_alive(stored)
            edited = edit(stored)
            if edited != stored:
                edited = tx.save_instance(edited)
            key = self._broker_key(edited, tx.app(app))
        self._context.hints.send()
        return self._wait(goal(edited, key), timeout_s)

    def _wait(self, goal: Goal, timeout_s: float | None) -> Outcome:
        return STORED if timeout_s is None else self._context.waits.until([goal], timeout_s)

    # Checks

    def _check_branch(self, branch: str | None) -> None:
        if branch and branch != self._context.here.id:
            raise NotFound(
                f"there is no branch {check_name('branch', branch)!r} here",
                f"this is branch {self._context.here.id!r}; leave it out",
            )

    def _check_askable(self, found: Details) -> None:
        name = found.instance.name
        if not found.instance.is_enabled:
            raise Unavailable(f"{name} is disabled, there is no worker to ask", "enable it")
        with self._context.store.reading() as view:
            branch = branch_or_none(view, found.instance.branch)
        reason = why_down(branch, [broker_key(found.worker)], self._context.clock.now())
        if reason:
            raise Unavailable(f"{name} cannot be asked: {reason}", "ask again later")

    def _is_newborn(self, view: View, stored: Instance) -> bool:
        age = self._context.clock.now() - stored.created_at
        return (
            stored.generation == 1
            and timedelta(0) <= age < AT_ONCE
            and not _was_observed(view.status(stored.name))
        )

    def _is_there(self, name: str) -> bool:
        with self._context.store.reading() as view:
            return _instance_or_none(view, name) is not None

    def _details(self, view: View, instance: Instance) -> Details:
        return details(view, instance, self._context.here, self._context.clock.now())

    def _broker_key(self, instance: Instance, app: App) -> str:
        return broker_key(assemble(instance, app, self._context.here))


def _check_path(app: str, name: str) -> None:
    check_name("app", app)
    check_name("instance", name)


def _check_owner(instance: Instance, app: str) -> None:
    if instance.app != app:
        raise Conflict(
            f"the name {instance.name!r} is taken by an instance of app {instance.app!r}",
            "names of instances are unique across apps",
        )


def _check_stays(stored: Instance, branch: str | None) -> None:
    if branch and branch != stored.branch:
        raise Conflict(
            f"{stored.name} is on branch {stored.branch!r}", "delete it and create it there"
        )


def _check_same(stored: Instance, changes: Mapping[str, Any]) -> None:
    asked = Instance(
        name=stored.name,
        app=stored.app,
        branch=stored.branch,
        created_at=stored.created_at,
        **changes,
    )
    if stored != asked:
        raise Conflict(
            f"{stored.name} was created with other parameters at the same moment",
            "ask again to edit it",
        )


def _check_worker(view: View, owner: App, instance: Instance) -> None:
    """What only shows once instance and app are seen together."""
    pool = instance.pool or owner.pool or DEFAULT_POOL
    check_limits(pool, instance.max_concurrency, instance.min_concurrency)
    for queue in instance.queues:
        view.queue(owner.name, queue)


def _was_observed(status: Status | None) -> bool:
    return status is not None and status.ready is True


def _instance_or_none(view: View, name: str) -> Instance | None:
    try:
        return view.instance(name)
    except NotFound:
        return None
