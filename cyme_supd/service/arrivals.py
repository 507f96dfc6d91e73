"""Instances that other branches hand over: whether they can come, and how they do here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyme_supd.domain.handover import instance_from
from cyme_supd.domain.parameters import check_limits
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import DEFAULT_POOL, Instance
from cyme_supd.domain.status import Condition
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound
from cyme_supd.service.context import Context
from cyme_supd.service.looking import check_alive, check_room, details

#: The mailbox's command, and what may be asked by it.
MOVE = "move"
PREPARE, TAKE, LOOK = "prepare", "take", "look"


class Arrivals:
    """The answers of the branch that instances move to."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def answer(self, arguments: Mapping[str, Any], _left_s: float) -> dict[str, Any]:
        step = arguments.get("step")
        if step == LOOK:
            return self.look(str(arguments.get("name")))
        said = arguments.get("instance")
        if step not in (PREPARE, TAKE) or not isinstance(said, Mapping):
            raise Invalid("move: this branch does not know how", "update it")
        if step == TAKE:
            return self.take(str(arguments.get("token")), said)
        self.prepare(instance_from(said, self._context.here.id))
        return {}

    def prepare(self, instance: Instance) -> None:
        """Raise what would keep *instance* from being stored here, as far as is known."""
        with self._context.store.reading() as view:
            check_takes(view, self._context.here.id)
            self._check(view, instance)

    def take(self, token: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Have the instance here from now on, or never by this *token*.

        Asked again it says the same, whatever became of the instance.
        """
        try:
            with self._context.store.writing() as tx:
                before = tx.receipt(token)
                if before is None:
                    instance = instance_from(said, self._context.here.id)
                    self._check(tx, instance)
                    check_room(tx, instance.branch)
                    tx.add_instance(instance)
                    tx.save_receipt(token, True)
        except CymeError as exc:
            return self._refuse(token, exc)
        self._context.hints.send()
        return {"is_taken": before is not False, "reason": "" if before is None else "as before"}

    def _refuse(self, token: str, exc: CymeError) -> dict[str, Any]:
        with self._context.store.writing() as tx:
            # The same question may have come twice, and the other been first.
            before = tx.receipt(token)
            if before is None:
                tx.save_receipt(token, False)
        return {"is_taken": before is True, "reason": exc.message}

    def _check(self, view: View, instance: Instance) -> None:
        """Raise where it cannot be here."""
        owner = view.app(instance.app)
        check_alive(owner)
        if owner.user and not self._context.here.is_root:
            raise Invalid(f"app {owner.name!r} has a user, and this branch does not run as root")
        check_limits(
            instance.pool or owner.pool or DEFAULT_POOL,
            instance.max_concurrency,
            instance.min_concurrency,
        )
        for queue in instance.queues:
            view.queue(owner.name, queue)
        if view.workers_named([instance.name]):
            raise Conflict(f"there is an instance {instance.name!r} already")

    def look(self, name: str) -> dict[str, Any]:
        """Whether it is waited for in vain: ``is_settled``; if not, the ``reason``."""
        with self._context.store.reading() as view:
            try:
                found = view.instance(name)
            except NotFound:
                return {"is_settled": True, "reason": "it is not there any more"}
            shown = details(view, found, self._context.here, self._context.clock.now())
        if found.is_deleting or not found.is_enabled or found.move is not None:
            return {"is_settled": True, "reason": "nobody wants it to run there"}
        status = shown.status
        is_ready = status is not None and status.ready is True
        is_of_now = status is not None and status.generation >= found.generation
        why = _why(status.conditions) if status is not None else "it has not been looked at"
        return {"is_settled": is_ready and is_of_now, "reason": why}


def check_takes(view: View, branch: str) -> None:
    """Raise where the *branch* takes no instances, though it may not have said so yet."""
    if view.is_draining(branch):
        raise Conflict(f"branch {branch!r} is draining")
    check_room(view, branch)


def _why(conditions: tuple[Condition, ...]) -> str:
    found = [each for each in conditions if each.type == "Ready"]
    return f"{found[0].reason} {found[0].message}".strip() if found else "not ready yet"
