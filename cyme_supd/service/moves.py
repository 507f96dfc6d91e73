"""Moves the instances of a branch that drains to others, one by one.

Every step is stored before the next is made, and is found again by whoever
begins in the middle. With a store each the target is told to take the
instance, and answers by a token once for all; with one store for all it is one
transaction.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cyme_supd.domain.handover import as_json
from cyme_supd.domain.moving import Move, Moving, Step
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import Instance
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.service.arrivals import LOOK, MOVE, PREPARE, TAKE, Arrivals, check_takes
from cyme_supd.service.context import Context

log = logging.getLogger(__name__)

ASK_S = 2.0
#: How soon one is tried again that nobody took.
RETRY_S = 30.0


class Moves:
    """Of the branch here. For one thread, which calls ``look`` again and again."""

    def __init__(self, context: Context, arrivals: Arrivals) -> None:
        self._context = context
        self._store = context.store
        self._fleet = context.fleet
        self._here = context.here
        self._arrivals = arrivals
        # By name: until when it is left alone, and who did not take it.
        self._put_off: dict[str, float] = {}
        self._refused: dict[str, set[str]] = {}

    def look(self) -> bool:
        """Make the next step, if there is one; whether another is to be expected soon."""
        with self._store.reading() as view:
            moving = view.moving(self._here.id)
            instance = _instance_or_none(view, moving.now) if moving and moving.now else None
        if moving is None:
            return False
        try:
            if moving.now is None:
                self._begin_next(moving)
            elif moving.has_left:
                self._await(moving)
            else:
                self._advance(moving, instance)
        except CymeError as exc:
            self._say(exc.message)
            return False
        return moving.now is not None

    # What is under way

    def _advance(self, moving: Moving, instance: Instance | None) -> None:
        if instance is None or instance.is_deleting or instance.move is None:
            # Somebody deleted it, and so it goes nowhere.
            self._save(Moving.without_now)
        elif instance.move.step is Step.HANDING:
            self._hand_over(instance, instance.move)
        elif instance.move.to not in self._fleet.others():
            self._turn(instance)
        elif instance.move.step is Step.RELEASED:
            self._go(instance, instance.move)

    def _turn(self, instance: Instance) -> None:
        """Its target is gone, and has not been told to take it: another, or it stays."""
        assert instance.move is not None
        gone, target = instance.move.to, self._target(instance)
        move = target and replace(instance.move, to=target, token=_token())
        log.warning("%s: branch %s is gone; it goes to %s", instance.name, gone, target or "nobody")
        if move:
            self._edit(instance, lambda now: replace(now, to=target), move=move)
        else:
            self._edit(instance, Moving.without_now, move=None)

    def _go(self, instance: Instance, move: Move) -> None:
        if self._here.is_shared:
            self._settle_there(instance, move)
            return
        # Stored before it is asked: whatever is heard of it then, the target may have it.
        self._edit(instance, None, move=replace(move, step=Step.HANDING))

    def _settle_there(self, instance: Instance, move: Move) -> None:
        """With one store for all: from one moment to the next it is the target's."""

        def left(now: Moving) -> Moving:
            return replace(now, has_left=True, reason="")

        self._edit(instance, left, move=None, branch=move.to)
        log.info("%s: moved to branch %s", instance.name, move.to)
        self._fleet.tell()

    def _hand_over(self, instance: Instance, move: Move) -> None:
        """Until the target has answered, it is neither here nor there for certain."""
        said = self._ask(move.to, TAKE, instance=as_json(instance), token=move.token)
        is_taken = said.get("is_taken")
        if is_taken is False:
            self._stay(instance, move.to, str(said.get("reason")))
        elif is_taken is True:
            self._leave(instance, move.to)
        else:
            self._say(f"branch {move.to} does not say whether it has it")

    def _leave(self, instance: Instance, target: str) -> None:
        with self._store.writing() as tx:
            if (now := tx.moving(self._here.id)) is not None:
                tx.save_moving(self._here.id, replace(now, has_left=True, reason=""))
            tx.remove_instance(instance.name)
        self._fleet.learn(instance.name, target)
        log.info("%s: moved to branch %s", instance.name, target)

    def _stay(self, instance: Instance, target: str, why: str) -> None:
        """The target has not taken it, and never will by this move."""
        self._note_refusal(instance.name, target)
        why = f"branch {target} does not take it: {why}"
        self._edit(
            instance, lambda now: now.without_now().with_failed(instance.name, why), move=None
        )

    # Who is elsewhere by now

    def _await(self, moving: Moving) -> None:
        assert moving.now is not None
        assert moving.to is not None
        if not moving.was_ready:
            self._save(Moving.without_now)
            return
        is_near = self._here.is_shared
        name, look = moving.now, self._arrivals.look
        said = look(name) if is_near else self._ask(moving.to, LOOK, name=name)
        if said.get("is_settled"):
            self._save(Moving.without_now)
        else:
            self._say(f"it is not ready on branch {moving.to} yet: {said.get('reason')}")

    # The next

    def _begin_next(self, moving: Moving) -> None:
        if not moving.is_on:
            self._end()
            return
        instance = self._next()
        if instance is None:
            self._say("")
            return
        target = self._target(instance)
        if target is None:
            return
        with self._store.writing() as tx:
            now, stored = tx.moving(self._here.id), _instance_or_none(tx, instance.name)
            if now is None or not now.is_on or stored != instance:
                return
            status = tx.status(instance.name)
            was_ready = status is not None and status.ready is True
            tx.save_instance(replace(instance, move=Move(target, _token())))
            tx.save_moving(self._here.id, now.beginning(instance.name, target, was_ready))
        log.info("%s: moves to branch %s", instance.name, target)
        self._context.hints.send()

    def _next(self) -> Instance | None:
        now = self._context.clock.monotonic()
        with self._store.reading() as view:
            born = sorted(view.born(self._here.id))
            for name in born:
                if self._put_off.get(name, now) <= now:
                    found = view.instance(name)
                    if not found.is_deleting:
                        return found
        return None

    def _target(self, instance: Instance) -> str | None:
        """Who can have it; ``None`` where nobody can now, which is stored."""
        try:
            target = self._fleet.elsewhere(self._refused.get(instance.name, ()))
        except CymeError as exc:
            if not self._put_off_if_refused(instance.name):
                self._say(exc.message)
            return None
        try:
            self._prepare(target, instance)
        except CymeError as exc:
            self._note_refusal(instance.name, target)
            why = f"branch {target} does not take it: {exc.message}"
            self._save(lambda now: now.with_failed(instance.name, why))
            return None
        return target

    def _prepare(self, target: str, instance: Instance) -> None:
        if self._here.is_shared:
            with self._store.reading() as view:
                check_takes(view, target)
            return
        said = as_json(instance)
        try:
            self._ask(target, PREPARE, instance=said)
        except NotFound:
            # What it does not know yet, it is told; if nobody does, it says so again.
            self._fleet.teach(target, instance.app)
            self._ask(target, PREPARE, instance=said)

    def _note_refusal(self, name: str, target: str) -> None:
        """Another is asked next; when all have been, it is left alone for a while."""
        self._refused.setdefault(name, set()).add(target)

    def _put_off_if_refused(self, name: str) -> bool:
        is_refused = self._refused.pop(name, None) is not None
        if is_refused:
            self._put_off[name] = self._context.clock.monotonic() + RETRY_S
        return is_refused

    # What all of it needs

    def _ask(self, target: str, step: str, **arguments: Any) -> Mapping[str, Any]:
        said = self._context.mailbox.ask(target, MOVE, {"step": step, **arguments}, ASK_S)
        return said if isinstance(said, Mapping) else {}

    def _edit(
        self,
        instance: Instance,
        change: Callable[[Moving], Moving] | None,
        **changes: Any,
    ) -> None:
        """Edit it with what is known of all; ``Conflict`` where it was edited meanwhile."""
        with self._store.writing() as tx:
            now = tx.moving(self._here.id)
            tx.save_instance(replace(instance, **changes))
            if now is not None and change is not None:
                tx.save_moving(self._here.id, change(now))
        self._context.hints.send()

    def _save(self, change: Callable[[Moving], Moving]) -> None:
        with self._store.writing() as tx:
            now = tx.moving(self._here.id)
            if now is not None and change(now) != now:
                tx.save_moving(self._here.id, change(now))

    def _end(self) -> None:
        with self._store.writing() as tx:
            now = tx.moving(self._here.id)
            # Perhaps it was asked for again.
            if now is not None and not now.is_on:
                tx.save_moving(self._here.id, None)

    def _say(self, reason: str) -> None:
        with self._store.reading() as view:
            now = view.moving(self._here.id)
        if now is not None and now != now.waiting_for(reason):
            if reason:
                log.info("instances do not move on: %s", reason)
            self._save(lambda now: now.waiting_for(reason))


def _token() -> str:
    return secrets.token_hex(16)


def _instance_or_none(view: View, name: str) -> Instance | None:
    try:
        return view.instance(name)
    except NotFound:
        return None
