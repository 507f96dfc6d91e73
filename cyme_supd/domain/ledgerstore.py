"""What the store knows of tasks that are tracked: parts of the views of :mod:`.ports`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cyme_supd.domain.ledger import Record
from cyme_supd.errors import Invalid

DEFAULT_PAGE, MAX_PAGE = 50, 2000
#: So many tasks are looked through for one page, those that began last first. It
#: bounds what a question costs, whatever it asks for; the next page goes on there.
MOST_LOOKED_AT = 5_000
#: Of each source; older ones make room.
MOST_REFUSALS = 1000
MOST_GAPS = 1000
#: Longest text in a column that is looked up: longer is cut, where it is asked for, too.
MOST_WORD = 255
#: In the place of a state: what is thought never to come.
LOST = "LOST"

#: Why a task is thought lost.
NEVER_RECEIVED, WORKER_GONE = "never received", "worker gone"
#: What was away during a gap.
MONITOR, EVENTS = "monitor", "events"

#: Where a page goes on: when the last task of it began, in microseconds, and its number.
Cursor = tuple[int, int]

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})", re.ASCII)
_KIND = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks are wanted, those that began last first.

    ``since`` and ``until`` are epoch seconds of when they began, the first included;
    ``text`` is anywhere in their arguments as they are shown, capitals as they are;
    ``error`` the kind of exception, ``state`` may be :data:`LOST`.
    """

    source: str | None = None
    name: str | None = None
    state: str | None = None
    worker: str | None = None
    queue: str | None = None
    error: str | None = None
    root: str | None = None
    parent: str | None = None
    since: float | None = None
    until: float | None = None
    text: str | None = None
    after: Cursor | None = None
    limit: int = DEFAULT_PAGE


#: Those of a query's fields that ask for one value.
EXACT = ("source", "name", "state", "worker", "queue", "error", "root", "parent")


@dataclass(frozen=True, slots=True)
class Tracked:
    """A task as it is kept: ``number`` is the store's own, ``began_at`` in microseconds."""

    number: int
    source: str
    began_at: int
    record: Record
    lost: str | None = None

    @property
    def cursor(self) -> Cursor:
        return self.began_at, self.number


@dataclass(frozen=True, slots=True)
class TaskPage:
    """``after`` is where the next one goes on; ``None`` where there is nothing more.

    A page may be empty, and not the last one: it has looked through as many as one may.
    """

    tasks: Sequence[Tracked]
    after: Cursor | None = None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Tasks that failed alike; ``last`` is the one of them that began last."""

    error: str
    count: int
    last: str
    began_at: int


@dataclass(frozen=True, slots=True)
class Gap:
    """From when until when something was away, in epoch seconds: ``what`` and why."""

    source: str
    what: str
    since: float
    until: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is not recorded as a task, kept aside: bounded, nothing decoded."""

    source: str
    at: float
    reason: str
    detail: str = ""
    content_type: str = ""
    headers: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Source:
    """Where tasks are seen: a platform queue of a broker, and what is known of it.

    Moments are epoch seconds: when a monitor was last there, when the last message
    and the last event came. ``server`` tells one run of the broker from the next;
    ``refused`` counts messages by the reason; of ``workers`` it has by name when each
    began, as far as that was noticed, when it was last heard, and its pid.
    """

    key: str
    queue: str
    watched_at: float = 0.0
    message_at: float = 0.0
    event_at: float = 0.0
    server: str = ""
    refused: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, Sequence[Any]] = field(default_factory=dict)


class Ledger(Protocol):
    def tracked(self, query: TaskQuery) -> TaskPage: ...

    def tracked_with(self, id: str, source: str | None = None) -> list[Tracked]:
        """One a source that has a task of that id, which is hardly ever more than one."""

    def tracked_messages(self, numbers: Collection[int]) -> dict[int, str]:
        """What is needed to send each again, where that was kept."""

    def tracked_retries(self, source: str, ids: Collection[str]) -> dict[str, list[Tracked]]:
        """Those that repeat the tasks with these ids, by the id of the first."""

    def tracked_errors(self, query: TaskQuery) -> list[ErrorGroup]:
        """Of the failed tasks that a page would look through: the most frequent first."""

    def oldest_tracked(
        self, source: str, states: Collection[str], before: float, after: Cursor, limit: int
    ) -> list[Tracked]:
        """Those that began before that moment and behind *after*, the oldest first."""

    def beyond(self, state: str, count: int) -> Cursor | None:
        """The newest of those that are too many, if there are more than *count*."""

    def sources(self) -> list[Source]: ...

    def gaps(self, since: float = 0.0, until: float = 1e11) -> list[Gap]:
        """Those that touch that span, the latest first."""

    def refusals(self, source: str, limit: int = DEFAULT_PAGE) -> list[Refusal]:
        """The latest first."""


class LedgerEdit(Protocol):
    def observe(
        self, source: str, records: Iterable[Record], messages: Mapping[str, str] | None = None
    ) -> None:
        """Put what was seen to what is known; each id at most once among *records*.

        *messages* by id are what it takes to send it again: the first is kept. Others
        who observe the same source wait.
        """

    def save_source(self, source: Source) -> None: ...
    def add_gap(self, gap: Gap) -> None: ...

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Keep them aside, and no more than :data:`MOST_REFUSALS` of a source."""

    def mark_lost(self, numbers: Collection[int], reason: str) -> None:
        """Until something is heard of them."""

    def forget_tracked(self, state: str, before: Cursor, limit: int) -> int:
        """Remove at most *limit*, the oldest first, up to the one at *before*; how many."""


def source_key(broker: str, queue: str) -> str:
    """Of the platform queue of that name at the broker with that key."""
    return hashlib.sha256(f"{broker} {queue}".encode()).hexdigest()[:16]


def micros(at: float) -> int:
    return round(at * 1e6)


def cursor_text(cursor: Cursor) -> str:
    return f"{cursor[0]}.{cursor[1]}"


def parse_cursor(text: str) -> Cursor:
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise Invalid("after: not where a page ended", "send what the page before it said")
    return int(match[1]), int(match[2])


def word(value: Any) -> str | None:
    """*value* as a column has it that is looked up."""
    return value[:MOST_WORD] if isinstance(value, str) and value else None


def error_kind(told: Any) -> str | None:
    """``ValueError`` of ``ValueError('x')`` and of ``ValueError: x``."""
    match = _KIND.match(told) if isinstance(told, str) else None
    return match[0][:MOST_WORD] if match else word(told)


def columns(record: Record) -> dict[str, Any]:
    """What of *record* is looked up, as :data:`EXACT` names it, and when it began."""
    state, id, get = record.state, record.id, record.get
    root, began = get("root"), [span.first for span in record.states.values()]
    return {
        "name": word(get("name")),
        "state": state,
        "worker": word(get("worker")),
        "queue": word(get("routing_key")),
        "error": error_kind(get("error")) if state in ("FAILURE", "RETRY") else None,
        "root": word(root) if root != id else None,
        "parent": word(get("parent")),
        "began_at": micros(min(began)) if began else 0,
    }


def has_text(record: Record, text: str) -> bool:
    return any(text in str(record.get(each) or "") for each in ("args", "kwargs"))
