"""Use-cases of applications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.domain import pause
from cyme_supd.domain.broker import Broker, parse_broker
from cyme_supd.domain.naming import check_app_name, check_name, listed
from cyme_supd.domain.parameters import app_changes, check_limits
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.spec import DEFAULT_POOL, App, Instance
from cyme_supd.errors import Conflict, CymeError, NotFound
from cyme_supd.service.context import Context
from cyme_supd.service.goals import Goal, gone, ready, stopped
from cyme_supd.service.looking import check_alive
from cyme_supd.service.observed import assemble, broker_key, needs_new_process
from cyme_supd.service.waiting import CONVERGED, Outcome


@dataclass(frozen=True, slots=True)
class AppDetails:
    """``broker`` is the one its workers use unless they name another."""

    app: App
    broker: Broker
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AppReply:
    """``restarting`` names the instances that get a new process for the edit."""

    details: AppDetails
    is_new: bool
    restarting: tuple[str, ...] = ()


class Apps:
    def __init__(self, context: Context) -> None:
        self._context = context

    def names(self, after: str = "", limit: int | None = None) -> list[str]:
        with self._context.store.reading() as view:
            return view.app_names(after, limit)

    def get(self, name: str) -> AppDetails:
        check_name("app", name)
        with self._context.store.reading() as view:
            return self._details(view, view.app(name))

    def put(self, name: str, given: Mapping[str, Any]) -> AppReply:
        """Create the app, or edit it by what is *given*.

        Raises ``Invalid`` for what cannot be, ``Conflict`` when somebody
        else created it otherwise at the same moment.
        """
        check_app_name(name)
        is_new = self._find(name) is None
        changes = app_changes(given, is_new=is_new, is_root=self._context.here.is_root)
        with self._context.store.writing() as tx:
            stored = _app_or_none(tx, name)
            if stored is None:
                reply = self._create(tx, name, changes)
            elif is_new:
                reply = self._joined(tx, stored, changes)
            else:
                reply = self._edit(tx, stored, changes)
        self._context.hints.send()
        return reply

    def delete(self, name: str, is_forced: bool, timeout_s: float | None) -> Outcome:
        """Remove the app; with *is_forced* its instances first, stopped warmly."""
        check_name("app", name)
        with self._context.store.writing() as tx:
            app = tx.app(name)
            goals = self._delete_instances(tx, app, is_forced)
            if goals:
                # It goes with its last instance, whoever is there to see it.
                tx.save_app(replace(app, is_deleting=True))
            else:
                tx.remove_app(name)
        self._context.hints.send()
        return self._context.waits.until(goals, timeout_s) if goals else CONVERGED

    def start(self, name: str, timeout_s: float | None) -> Outcome:
        """Enable all its instances."""
        return self._enable(name, True, ready, timeout_s)

    def stop(self, name: str, timeout_s: float | None) -> Outcome:
        """Disable all its instances."""
        return self._enable(name, False, stopped, timeout_s)

    # Editing

    def _create(self, tx: Transaction, name: str, changes: Mapping[str, Any]) -> AppReply:
        app = App(name=name, created_at=self._context.clock.now(), **changes)
        tx.add_app(app)
        return AppReply(self._details(tx, app), is_new=True)

    def _joined(self, tx: Transaction, stored: App, changes: Mapping[str, Any]) -> AppReply:
        check_alive(stored)
        if stored != App(name=stored.name, created_at=stored.created_at, **changes):
            raise Conflict(
                f"app {stored.name!r} was created with other parameters at the same moment",
                "ask again to edit it",
            )
        return AppReply(self._details(tx, stored), is_new=False)

    def _edit(self, tx: Transaction, stored: App, changes: Mapping[str, Any]) -> AppReply:
        check_alive(stored)
        edited = replace(stored, **changes)
        if edited == stored:
            return AppReply(self._details(tx, stored), is_new=False)
        instances = [one for one in tx.instances(stored.name) if not one.is_deleting]
        _check_pools(edited, instances)
        tx.save_app(edited)
        tx.touch_instances(stored.name)
        here = self._context.here
        restarting = tuple(
            one.name
            for one in instances
            if needs_new_process(assemble(one, stored, here), assemble(one, edited, here))
        )
        return AppReply(self._details(tx, edited), is_new=False, restarting=restarting)

    # Deleting

    def _delete_instances(self, tx: Transaction, app: App, is_forced: bool) -> list[Goal]:
        instances = tx.instances(app.name)
        if instances and not is_forced:
            raise Conflict(
                f"app {app.name!r} has instances: {listed([one.name for one in instances])}",
                "delete them first, or add force=1 to stop and remove them too",
            )
        marked = [
            one if one.is_deleting else tx.save_instance(replace(one, is_deleting=True))
            for one in instances
        ]
        return [gone(one, self._broker_key(one, app)) for one in marked]

    # Starting and stopping

    def _enable(
        self,
        name: str,
        is_enabled: bool,
        goal: Callable[[Instance, str], Goal],
        timeout_s: float | None,
    ) -> Outcome:
        check_name("app", name)
        with self._context.store.writing() as tx:
            app = tx.app(name)
            goals = [
                goal(_enabled(tx, one, is_enabled), self._broker_key(one, app))
                for one in tx.instances(name)
                if not one.is_deleting
            ]
        self._context.hints.send()
        return self._context.waits.until(goals, timeout_s)

    # Reading

    def _find(self, name: str) -> App | None:
        with self._context.store.reading() as view:
            return _app_or_none(view, name)

    def _details(self, view: View, app: App) -> AppDetails:
        broker = parse_broker(app.broker or self._context.here.broker)
        app = pause.shown(app, self._context.clock.now())
        return AppDetails(app, broker, tuple(view.instance_names(app.name)))

    def _broker_key(self, instance: Instance, app: App) -> str:
        return broker_key(assemble(instance, app, self._context.here))


def _app_or_none(view: View, name: str) -> App | None:
    try:
        return view.app(name)
    except NotFound:
        return None


def _enabled(tx: Transaction, instance: Instance, is_enabled: bool) -> Instance:
    if instance.is_enabled == is_enabled:
        return instance
    return tx.save_instance(replace(instance, is_enabled=is_enabled))


def _check_pools(app: App, instances: Sequence[Instance]) -> None:
    for one in instances:
        pool = one.pool or app.pool or DEFAULT_POOL
        try:
            check_limits(pool, one.max_concurrency, one.min_concurrency)
        except CymeError as exc:
            raise type(exc)(f"instance {one.name}: {exc.message}", exc.hint) from None
