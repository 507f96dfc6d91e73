"""Where the tasks of applications that are tracked are seen, and how long they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.declaration import defaults
from cyme_supd.domain.ledger import RANKS
from cyme_supd.domain.ledgerstore import source_key
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.errors import Invalid

PLATFORM_QUEUE, EXCHANGE, DEFAULT_QUEUE = "platform.fifo", "task_exchange", "celery"
#: What is kept of each state, unless it is said otherwise.
KEEP_S, KEEP_COUNT = 30 * 86400.0, 1_000_000
#: Workers of one source that are told apart.
MOST_WORKERS = 10_000
#: Where there is nothing to be said of the end, there was none that was seen.
STATES = (*RANKS, "PENDING")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KEEP = re.compile(r"([A-Z]+|\*)=(?:([0-9]{1,9})([smhd]))?(?:,([0-9]{1,12}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A platform queue: ``broker`` is its URL, ``backends`` those of who publishes there."""

    broker: str
    queue: str = PLATFORM_QUEUE
    exchange: str = EXCHANGE
    backends: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return source_key(parse_broker(self.broker).key, self.queue)


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many seconds, and how many."""

    age_s: float = KEEP_S
    count: int = KEEP_COUNT


def places_of(
    apps: Iterable[App], default_broker: str, brokers: Mapping[str, Iterable[str]] | None = None
) -> list[Place]:
    """One for all those that publish to the same.

    *brokers* has by application those that instances of it have of their own.
    """
    found: dict[str, Place] = {}
    tracked = [app for app in apps if app.is_tracked]
    others = [
        replace(app, broker=broker)
        for app in tracked
        for broker in (brokers or {}).get(app.name, ())
    ]
    for app in (*tracked, *others):
        place = place_of(app, default_broker)
        known = found.get(place.source)
        backends = dict.fromkeys((*(known.backends if known else ()), *place.backends))
        exchange = known.exchange if known else place.exchange
        found[place.source] = Place(place.broker, place.queue, exchange, tuple(backends))
    return list(found.values())


class Applications(Protocol):
    """The part of a view of the store that says which applications there are."""

    def apps(self) -> list[App]: ...

    def instances(self, app: str, /) -> Sequence[Instance]: ...


def tracked_places(view: Applications, default_broker: str) -> list[Place]:
    """Where the tasks of all that are tracked are seen."""
    apps = [app for app in view.apps() if app.is_tracked]
    own = {
        app.name: sorted({one.broker for one in view.instances(app.name) if one.broker})
        for app in apps
    }
    return places_of(apps, default_broker, own)


def place_of(app: App, default_broker: str) -> Place:
    """Where the tasks of *app* are seen if it is tracked."""
    said = app.extra_config.get
    return Place(
        app.broker or default_broker,
        PLATFORM_QUEUE,
        str(said("task_default_exchange") or EXCHANGE),
        (app.result_backend,) if app.result_backend else (),
    )


def declared(app: App, queues: Iterable[Queue]) -> tuple[Queue, ...]:
    """*queues* as workers of *app* have them: on the topic exchange, where it is tracked.

    Those that were put on an exchange of their own stay there, and are not seen.
    """
    if not app.is_tracked:
        return tuple(queues)
    exchange = place_of(app, "").exchange
    return tuple(
        replace(queue, exchange=exchange, exchange_type="topic") if _is_plain(queue) else queue
        for queue in queues
    )


def _is_plain(queue: Queue) -> bool:
    told = {"exchange": queue.exchange, "exchange_type": queue.exchange_type}
    usual = {name: value for name, value in defaults(queue.name).items() if name in told}
    return told == usual and queue.routing_key == queue.name


def parse_keep(given: Iterable[str]) -> dict[str, Keep]:
    """``SUCCESS=7d,100000``, ``FAILURE=90d``, ``*=,5000``: by state; ``*`` are the others."""
    said: dict[str, Keep] = {}
    for text in given:
        match = _KEEP.fullmatch(text)
        if match is None or match[1] not in (*STATES, "*") or not (match[2] or match[4]):
            raise Invalid(
                f"{text[:60]!r} does not say how long tasks are kept",
                f"SUCCESS=7d,100000: a state ({', '.join(STATES)} or *), an age, a count",
            )
        age_s = float(match[2]) * _UNITS[match[3]] if match[2] else KEEP_S
        said[match[1]] = Keep(age_s, int(match[4]) if match[4] else KEEP_COUNT)
    others = said.get("*", Keep())
    return {state: said.get(state, others) for state in STATES}


@dataclass(slots=True)
class _Worker:
    """``told`` counts starts that events told of, beyond ``base`` of its own count."""

    pid: Any
    base: int = -1
    told: int = 0
    last: tuple[float, int] | None = None


class Heartbeats:
    """Whether events went missing: a worker's heartbeat has how many tasks it began.

    They overtake others of the same worker, so that each is looked at when the next
    one comes. Workers that tell of no task are none to be missed.
    """

    def __init__(self) -> None:
        self._workers: dict[str, _Worker] = {}

    def started(self, worker: str, pid: Any) -> None:
        self._known(worker, pid).told += 1

    def beat(self, worker: str, pid: Any, at: float, begun: int) -> tuple[float, float, int] | None:
        """Since when, until when and how many are missing, if some are."""
        known = self._known(worker, pid)
        before, known.last = known.last, (at, begun)
        if known.told == 0:
            return None
        if known.base < 0 or before is None:
            known.base, known.told = begun, 1
            return None
        missing = before[1] - known.base - (known.told - 1)
        if missing <= 0:
            return None
        since, known.base, known.told = before[0], begun, 1
        return since, at, missing

    def forget(self) -> None:
        """Somebody else may have heard them in between."""
        self._workers.clear()

    def _known(self, worker: str, pid: Any) -> _Worker:
        known = self._workers.get(worker)
        if known is None and len(self._workers) >= MOST_WORKERS:
            # Whoever may publish events can make up any number.
            self._workers.clear()
        if known is None or known.pid != pid:
            known = self._workers[worker] = _Worker(pid)
        return known


def is_gone(
    workers: Mapping[str, Any], worker: Any, started_at: float, now: float, silent_s: float
) -> bool:
    """Whether *worker*, which began a task then, cannot be at it any more.

    *workers* has by name when each began, as far as that was noticed, and when it was
    last heard; 0 for one that has said goodbye.
    """
    told = workers.get(worker) if isinstance(worker, str) else None
    if told is None:
        return False
    began, heard = told[:2]
    return bool(heard == 0 or now - heard > silent_s or began > started_at)
