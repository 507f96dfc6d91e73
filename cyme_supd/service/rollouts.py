"""Use-cases of rolling restarts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import View
from cyme_supd.domain.rollout import Rollout, RolloutState, RolloutStatus
from cyme_supd.domain.spec import App
from cyme_supd.errors import Conflict
from cyme_supd.service.context import Context
from cyme_supd.service.looking import check_alive

#: The worst of several branches is what is told of all.
_ORDER = (
    RolloutState.STOPPED,
    RolloutState.RUNNING,
    RolloutState.ABORTED,
    RolloutState.DONE,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """The last rolling restart of an app; ``rollout`` and ``state`` are
    ``None`` where there was none."""

    rollout: Rollout | None
    state: RolloutState | None
    restarted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    stopped_at: str | None = None
    reason: str = ""


class Rollouts:
    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, app: str) -> Progress:
        check_name("app", app)
        with self._context.store.reading() as view:
            return _progress(view, view.app(app))

    def start(self, app: str, max_unavailable: int | None) -> Progress:
        """Restart all enabled instances warmly, *max_unavailable* (one) at a time.

        ``Conflict`` while one is under way or has stopped.
        """
        check_name("app", app)
        with self._context.store.writing() as tx:
            stored = tx.app(app)
            check_alive(stored)
            before = _progress(tx, stored)
            if before.state in (RolloutState.RUNNING, RolloutState.STOPPED):
                raise Conflict(
                    f"a rolling restart of {app!r} is {before.state}",
                    f"POST /{app}/restart/resume/ or /{app}/restart/abort/",
                )
            number = before.rollout.number + 1 if before.rollout else 1
            wish = Rollout(number, max_unavailable or 1, self._context.clock.now())
            edited = replace(stored, rollout=wish)
            tx.save_app(edited)
            tx.touch_instances(app)
            found = _progress(tx, edited)
        self._context.hints.send()
        return found

    def resume(self, app: str) -> Progress:
        """Have one that stopped go on; the instance it stopped at is given another chance."""
        return self._edit(app, (RolloutState.STOPPED, RolloutState.ABORTED), _again)

    def abort(self, app: str) -> Progress:
        """Restart no more; those that were restarted stay so."""
        return self._edit(app, (RolloutState.RUNNING, RolloutState.STOPPED), _aborted)

    def _edit(
        self, app: str, states: tuple[RolloutState, ...], edit: Callable[[Rollout], Rollout]
    ) -> Progress:
        check_name("app", app)
        with self._context.store.writing() as tx:
            stored = tx.app(app)
            check_alive(stored)
            before = _progress(tx, stored)
            if before.rollout is None or before.state not in states:
                told = f"is {before.state}" if before.state else "was never asked for"
                raise Conflict(
                    f"the rolling restart of {app!r} {told}", f"POST /{app}/restart/ begins one"
                )
            edited = replace(stored, rollout=edit(before.rollout))
            tx.save_app(edited)
            tx.touch_instances(app)
            found = _progress(tx, edited)
        self._context.hints.send()
        return found


def _again(rollout: Rollout) -> Rollout:
    return replace(rollout, attempt=rollout.attempt + 1, is_aborted=False)


def _aborted(rollout: Rollout) -> Rollout:
    return replace(rollout, is_aborted=True)


def _progress(view: View, app: App) -> Progress:
    """What branches have stored of this attempt; the wish where one has not yet."""
    rollout = app.rollout
    if rollout is None:
        return Progress(None, None)
    this = (rollout.number, rollout.attempt)
    found = [each for each in view.rollouts(app=app.name) if (each.number, each.attempt) == this]
    told = {status.branch for status in found}
    untold = tuple(
        one.name
        for one in view.instances(app.name)
        if one.is_enabled and not one.is_deleting and one.branch not in told
    )
    stopped = next((status for status in found if status.stopped_at), None)
    return Progress(
        rollout,
        _state(rollout, found, bool(untold)),
        restarted=tuple(name for status in found for name in status.restarted),
        left=(*(name for status in found for name in status.left), *untold),
        stopped_at=stopped.stopped_at if stopped else None,
        reason=stopped.reason if stopped else "",
    )


def _state(rollout: Rollout, found: Sequence[RolloutStatus], has_more: bool) -> RolloutState:
    states = {status.state for status in found}
    if has_more:
        states.add(RolloutState.RUNNING)
    worst = next((each for each in _ORDER if each in states), RolloutState.DONE)
    is_over = rollout.is_aborted and worst is not RolloutState.DONE
    return RolloutState.ABORTED if is_over else worst
