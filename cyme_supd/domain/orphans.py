"""What belongs to an app and to nobody who does anything about it. Pure.

What could not be asked is not found wanting: it is told of as not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.pause import Pause, said
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Depth

#: Settings of Celery that name tasks, and what makes a name a pattern there.
_BY_TASK = ("task_routes", "task_annotations")
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a worker says it consumes from, and which tasks it registers."""

    queues: frozenset[str]
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a queue.

    ``tasks`` counts the tasks of the ``looked`` messages that are taken next;
    ``None`` where the broker shows no message to who does not take it.
    """

    depth: Depth
    tasks: Mapping[str, int] | None = None
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Stray:
    """A process that a worker left behind; ``has_worker`` says that its
    instance has another one now."""

    pid: int
    instance: str
    command: str
    since: datetime
    has_worker: bool = False


@dataclass(frozen=True, slots=True)
class LeftQueue:
    """``is_paused`` says that somebody wants it so."""

    name: str
    depth: int
    reason: str
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class StrayConsumer:
    instance: str
    queue: str


@dataclass(frozen=True, slots=True)
class LostTask:
    """``queue`` is ``None`` where it is only named, ``count`` how many were seen to wait."""

    name: str
    queue: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be found out, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Orphans:
    queues: tuple[LeftQueue, ...]
    consumers: tuple[StrayConsumer, ...]
    tasks: tuple[LostTask, ...]
    processes: tuple[Stray, ...]
    unknown: tuple[Unknown, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What could be found out about an app.

    ``workers`` are all its instances with the pauses that hold them,
    ``declared`` the names of its queues. ``told`` is what those said that run,
    ``silent`` are those that may run and said nothing; ``waiting`` is by queue.
    ``unknown`` is why there is no more of this.
    """

    workers: tuple[Worker, ...]
    declared: frozenset[str]
    told: Mapping[str, Inventory]
    silent: frozenset[str]
    waiting: Mapping[str, Waiting]
    processes: tuple[Stray, ...] = ()
    unknown: tuple[Unknown, ...] = ()


def orphans(seen: Seen) -> Orphans:
    queues, doubtful = _queues(seen)
    lost = list(_lost(seen))
    # A task that is not registered anywhere is known only when everybody was heard.
    unheard = [_unheard_task(task, seen.silent) for task in lost] if seen.silent else []
    return Orphans(
        queues=tuple(queues),
        consumers=tuple(_consumers(seen)),
        tasks=() if seen.silent else tuple(lost),
        processes=seen.processes,
        unknown=tuple([*seen.unknown, *doubtful, *_unseen(seen), *dict.fromkeys(unheard)]),
    )


def named_tasks(config: Mapping[str, Any]) -> dict[str, str | None]:
    """Tasks that Celery's settings name, each with the queue it is sent to, if they say."""
    found: dict[str, str | None] = {}
    for each in _mapping(config.get("beat_schedule")).values():
        task = _mapping(each).get("task")
        if isinstance(task, str):
            found[task] = _queue_in(_mapping(each).get("options"))
    for setting in _BY_TASK:
        for name, options in _mapping(config.get(setting)).items():
            if not _PATTERN & set(name):
                found[name] = found.get(name) or _queue_in(options)
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _queue_in(options: Any) -> str | None:
    queue = _mapping(options).get("queue")
    return queue if isinstance(queue, str) else None


def _queues(seen: Seen) -> tuple[list[LeftQueue], list[Unknown]]:
    """Queues in which something waits for nobody; and those of which that is not known."""
    found, doubtful = [], []
    consumed = {name for told in seen.told.values() for name in told.queues}
    for name, waiting in sorted(seen.waiting.items()):
        depth = waiting.depth
        if not depth.messages or depth.consumers or name in consumed:
            continue
        wanting = [worker for worker in seen.workers if _should_consume(worker, name)]
        silent = sorted(worker.name for worker in wanting if worker.name in seen.silent)
        if silent and depth.consumers is None:
            doubtful.append(Unknown(f"queue {name}", f"{_list(silent)} should consume it"))
        else:
            reason, is_paused = _why_left(name, depth, wanting), bool(_hold(name, wanting))
            found.append(LeftQueue(name, depth.messages, reason, is_paused))
    return found, doubtful


def _should_consume(worker: Worker, queue: str) -> bool:
    wanted = {direct_queue(worker.name), *(each.name for each in worker.queues)}
    return worker.instance.is_enabled and not worker.instance.is_deleting and queue in wanted


def _why_left(queue: str, depth: Depth, wanting: list[Worker]) -> str:
    who = "nobody consumes it" if depth.consumers is not None else "no instance consumes it"
    if not wanting:
        return who
    hold = _hold(queue, wanting)
    if hold is not None:
        return f"{who}; {said('it', hold)}"
    names = sorted(worker.name for worker in wanting if queue not in worker.paused)
    return f"{who}; {_list(names)} should"


def _hold(queue: str, wanting: list[Worker]) -> Pause | None:
    """What keeps all of them that should from consuming it, where they are paused."""
    held = [worker.paused[queue] for worker in wanting if queue in worker.paused]
    return held[0] if held and len(held) == len(wanting) else None


def _consumers(seen: Seen) -> Iterator[StrayConsumer]:
    for name, told in sorted(seen.told.items()):
        for queue in sorted(told.queues - seen.declared - {direct_queue(name)}):
            yield StrayConsumer(name, queue)


def _lost(seen: Seen) -> Iterator[LostTask]:
    """Tasks that no worker which was heard registers: those that wait, then those named."""
    registered = {task for told in seen.told.values() for task in told.tasks}
    waiting: set[str] = set()
    for queue, found in sorted(seen.waiting.items()):
        for name, count in sorted((found.tasks or {}).items()):
            if name not in registered:
                waiting.add(name)
                yield LostTask(name, queue, count)
    for name, sent_to in sorted(_named(seen.workers).items()):
        if name not in registered | waiting:
            yield LostTask(name, sent_to, 0)


def _named(workers: Iterable[Worker]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for worker in workers:
        found.update(named_tasks(worker.extra_config))
    return found


def _unheard_task(task: LostTask, silent: frozenset[str]) -> Unknown:
    return Unknown(f"task {task.name}", f"{_list(sorted(silent))} may register it")


def _unseen(seen: Seen) -> Iterator[Unknown]:
    """Queues that were not looked into, or not to the end."""
    for name, waiting in sorted(seen.waiting.items()):
        messages = waiting.depth.messages
        if waiting.tasks is None and messages:
            reason = "its broker shows no message to who does not take it"
            yield Unknown(f"tasks in queue {name}", reason)
        elif waiting.tasks is not None and waiting.looked < messages:
            reason = f"{waiting.looked} of its {messages} messages were looked at"
            yield Unknown(f"tasks in queue {name}", reason)


def _list(names: list[str]) -> str:
    """The first of them, where they are many."""
    more = len(names) - 5
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:5])} and {more} more"
