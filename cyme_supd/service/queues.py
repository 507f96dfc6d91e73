"""Use-cases of queues: what an app declares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.domain import pause
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.declaration import check_own_queue_name, declaration, defaults
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.domain.samples import Point
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Depth
from cyme_supd.errors import Conflict, NotFound, Unavailable
from cyme_supd.service.brokers import broker_among, broker_of_queue, consumers_of
from cyme_supd.service.context import Context
from cyme_supd.service.gauges import queues_seen
from cyme_supd.service.goals import Goal, let_go
from cyme_supd.service.looking import branch_or_none, check_alive
from cyme_supd.service.observed import assemble, broker_key, is_known_down
from cyme_supd.service.waiting import CONVERGED, Outcome

#: A count that was expected may have moved by one part in so many.
MOVED = 10


@dataclass(frozen=True, slots=True)
class QueueDetails:
    """``depth`` is ``None`` where the broker did not tell, ``oldest_s`` where nobody knows."""

    queue: Queue
    depth: Depth | None
    oldest_s: float | None = None


@dataclass(frozen=True, slots=True)
class QueueReply:
    """``restarting`` names the instances that get a new process for the edit."""

    queue: Queue
    is_new: bool
    restarting: tuple[str, ...] = ()


class Queues:
    def __init__(self, context: Context) -> None:
        self._context = context

    def names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        check_name("app", app)
        with self._context.store.reading() as view:
            view.app(app)
            return view.queue_names(app, after, limit)

    def get(self, app: str, name: str) -> Queue:
        _check_path(app, name)
        with self._context.store.reading() as view:
            view.app(app)
            return view.queue(app, name)

    def details(self, app: str, name: str) -> QueueDetails:
        """The declaration, and how its broker has the queue; no outage keeps it waiting."""
        _check_path(app, name)
        with self._context.store.reading() as view:
            owner, queue = view.app(app), view.queue(app, name)
            broker = self._reachable(view, owner, name)
        depth = self._context.broker_queues.depth(broker, name) if broker else None
        shown = pause.shown(queue, self._context.clock.now())
        told = {(app, name): depth} if depth is not None else {}
        return _details(shown, told, queues_seen(self._context.metrics))

    def everyone(self) -> list[QueueDetails]:
        """Those of all apps, in the order of apps and names; one question to each broker."""
        with self._context.store.reading() as view:
            apps = {each.name: each for each in view.apps()}
            queues, instances = view.queues(), view.instances()
            branch = branch_or_none(view, self._context.here.id)
        theirs: dict[str, list[Instance]] = defaultdict(list)
        for one in instances:
            theirs[one.app].append(one)
        at: dict[str, list[Queue]] = defaultdict(list)
        for each in queues:
            mine = theirs[each.app]
            at[broker_among(mine, apps[each.app], each.name, self._context.here)].append(each)
        depths: dict[tuple[str, str], Depth] = {}
        for broker, its in at.items():
            depths |= self._depths(broker, its, branch)
        now, seen = self._context.clock.now(), queues_seen(self._context.metrics)
        return [_details(pause.shown(each, now), depths, seen) for each in queues]

    def _depths(
        self, broker: str, queues: Sequence[Queue], branch: Branch | None
    ) -> dict[tuple[str, str], Depth]:
        """By app and name; two apps may have queues of one name there."""
        if is_known_down(branch, parse_broker(broker).key, self._context.clock.now()):
            return {}
        names = sorted({each.name for each in queues})
        found = self._context.broker_queues.depths(broker, names)
        return {(each.app, each.name): found[each.name] for each in queues if each.name in found}

    def put(self, app: str, name: str, given: Mapping[str, Any]) -> QueueReply:
        """Declare it, or edit the declaration by what is *given*.

        Raises ``Invalid`` for what no queue can be.
        """
        _check_path(app, name)
        changes = declaration(name, given)
        with self._context.store.writing() as tx:
            check_alive(tx.app(app))
            stored = _queue_or_none(tx, app, name)
            if stored is None:
                reply = self._create(tx, app, name, changes)
            else:
                reply = _edit(tx, stored, changes)
        self._context.hints.send()
        return reply

    def delete(self, app: str, name: str, timeout_s: float | None, purge: bool = False) -> Outcome:
        """Forget the declaration; wait until those that run and answer let go of it.

        With *purge* the messages at the broker are dropped first. Only a
        declaration that is still there can be asked for again: were it
        forgotten before, messages that the broker could not drop then would
        be left where no route leads. What comes in between the two is done
        by whoever still consumes, or stays at the broker. Raises
        ``Unavailable`` where the broker is down; nothing is changed then.
        """
        _check_path(app, name)
        count = self._purge(app, name) if purge else None
        with self._context.store.writing() as tx:
            if count is not None:
                tx.save_audit(self._context.audit.purged(app, name, count))
            owner = tx.app(app)
            check_alive(owner)
            consumers = consumers_of(tx, app, name)
            tx.remove_queue(app, name)
            goals = [self._goal(tx.instance(one.name), owner, name) for one in consumers]
        self._context.hints.send()
        return self._context.waits.until(goals, timeout_s) if goals else CONVERGED

    def purge(self, app: str, name: str, expected: int | None = None) -> int:
        """Drop the messages at the broker that nobody has taken; how many there were.

        Where *expected* is given and the count has moved by more than a
        tenth of it: ``Conflict``, and nothing is dropped.
        """
        _check_path(app, name)
        count = self._purge(app, name, expected)
        with self._context.store.writing() as tx:
            tx.save_audit(self._context.audit.purged(app, name, count))
        return count

    def _purge(self, app: str, name: str, expected: int | None = None) -> int:
        with self._context.store.reading() as view:
            owner = view.app(app)
            check_alive(owner)
            view.queue(app, name)
            broker = self._reachable(view, owner, name)
        if broker is None:
            raise Unavailable(
                f"the broker of {name!r} is down, so its messages cannot be dropped",
                "nothing was changed; ask again when it is back, or without purge",
            )
        if expected is not None:
            self._check_count(broker, name, expected)
        return self._context.broker_queues.purge(broker, name)

    def _check_count(self, broker: str, name: str, expected: int) -> None:
        depth = self._context.broker_queues.depth(broker, name)
        if depth is None:
            raise Unavailable(
                f"the broker does not tell how many messages {name!r} has",
                "nothing was dropped; ask again, or without expect",
            )
        if abs(depth.messages - expected) * MOVED > expected:
            raise Conflict(
                f"{name!r} has {depth.messages} messages, not about {expected}",
                f"nothing was dropped; look again, or send expect={depth.messages}",
            )

    def _reachable(self, view: View, owner: App, queue: str) -> str | None:
        """The queue's broker, unless that is known to be down."""
        here = self._context.here
        broker = broker_of_queue(view, owner, queue, here)
        branch = branch_or_none(view, here.id)
        is_down = is_known_down(branch, parse_broker(broker).key, self._context.clock.now())
        return None if is_down else broker

    def _create(
        self, tx: Transaction, app: str, name: str, changes: Mapping[str, Any]
    ) -> QueueReply:
        fields = {**defaults(name), **changes}
        tx.add_queue(Queue(app=app, name=name, created_at=self._context.clock.now(), **fields))
        return QueueReply(tx.queue(app, name), is_new=True)

    def _goal(self, instance: Instance, owner: App, queue: str) -> Goal:
        worker = assemble(instance, owner, self._context.here)
        return let_go(instance, broker_key(worker), queue)


def _details(
    queue: Queue,
    depths: Mapping[tuple[str, str], Depth],
    seen: Mapping[tuple[str, ...], Point],
) -> QueueDetails:
    """Of that one, from what the brokers tell now and what was seen last."""
    key = (queue.app, queue.name)
    depth = depths.get(key)
    # What was seen is a moment old.
    is_empty = depth is not None and not depth.messages
    return QueueDetails(queue, depth, 0.0 if is_empty else seen.get(key, Point()).oldest_s)


def _edit(tx: Transaction, stored: Queue, changes: Mapping[str, Any]) -> QueueReply:
    edited = replace(stored, **changes)
    if edited == stored:
        return QueueReply(stored, is_new=False)
    tx.save_queue(edited)
    restarting = tuple(one.name for one in consumers_of(tx, stored.app, stored.name))
    return QueueReply(tx.queue(stored.app, stored.name), is_new=False, restarting=restarting)


def _queue_or_none(view: View, app: str, name: str) -> Queue | None:
    try:
        return view.queue(app, name)
    except NotFound:
        return None


def _check_path(app: str, name: str) -> None:
    check_name("app", app)
    check_own_queue_name(name)
