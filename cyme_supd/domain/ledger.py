"""What is known of a task, put together from what was seen of it in whatever order.

Each observation is a record of its own, and :func:`merge` the only way to put two
together: it does not matter in which order they come, how they are grouped, or how
often the same one does. So whoever crashed may read again what he has read before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

#: Longest text that is kept of what a task was given, has returned or failed with.
MOST_TEXT = 4096
_CUT = "..."
#: What databases take.
_MOST_NUMBER = 2**63

#: How far a task has come, where two are of one moment.
RANKS = {
    "SENT": 0,
    "RECEIVED": 1,
    "STARTED": 2,
    "RETRY": 3,
    "REJECTED": 4,
    "REVOKED": 5,
    "FAILURE": 6,
    "SUCCESS": 7,
}
#: After these there is nothing more, unless it is run again.
FINAL = frozenset({"REJECTED", "REVOKED", "FAILURE", "SUCCESS"})

#: Which of two values of a fact counts: the attempt it is of, when it was, who says so.
Order = tuple[int, float, int]


@dataclass(frozen=True, slots=True)
class Span:
    """When a state was first and last heard of, in epoch seconds."""

    first: float
    last: float

    def __or__(self, other: Span) -> Span:
        return Span(min(self.first, other.first), max(self.last, other.last))


@dataclass(frozen=True, slots=True)
class Record:
    """``facts`` by name, each with its order; read them with :meth:`get`."""

    id: str
    facts: Mapping[str, tuple[Order, str | int | float | bool]] = field(default_factory=dict)
    states: Mapping[str, Span] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        found = self.facts.get(name)
        return None if found is None else found[1]

    @property
    def state(self) -> str:
        """The last end that was heard of; of one that has not ended, the last it did."""
        ends = {name: span for name, span in self.states.items() if name in FINAL}
        begun = {name: span for name, span in self.states.items() if name != "SENT"}
        # Who sends is heard late where the queue was long, and again for each retry.
        heard = ends or begun or self.states
        if not heard:
            return "PENDING"
        return max(heard, key=lambda name: (heard[name].last, RANKS[name]))

    @property
    def is_over(self) -> bool:
        return self.state in FINAL


def merge(one: Record, other: Record) -> Record:
    """All that both say of the same task."""
    if one.id != other.id:
        raise ValueError(f"{one.id} and {other.id} are two tasks")
    facts = dict(one.facts)
    for name, fact in other.facts.items():
        facts[name] = max(facts.get(name, fact), fact, key=_precedence)
    states = dict(one.states)
    for name, span in other.states.items():
        states[name] = states.get(name, span) | span
    return Record(one.id, facts, states)


def _precedence(fact: tuple[Order, Any]) -> tuple[Order, str, str]:
    """Total, so that of two that are told at once all choose the same."""
    order, value = fact
    return order, type(value).__name__, str(value)


def merged(records: Iterable[Record]) -> Record:
    """At least one."""
    return reduce(merge, records)


def observed(id: str, at: float, state: str = "", attempt: int = 0, /, **facts: Any) -> Record:
    """One observation; what is None of *facts* is not known."""
    order = (attempt, at, RANKS.get(state, -1))
    known = {name: (order, _kept(value)) for name, value in facts.items() if value is not None}
    return Record(id, known, {state: Span(at, at)} if state in RANKS else {})


def _kept(value: Any) -> str | int | float | bool:
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _MOST_NUMBER):
        return value
    # Writing out what is nested, or a number of a million digits, can fail.
    return f"<{type(value).__name__}>"


def bounded(text: str, most: int = MOST_TEXT) -> str:
    """*text* as every database takes it, and no longer than *most*."""
    if text.isascii() and len(text) <= most and "\0" not in text:
        return text
    clean = text.replace("\0", "\ufffd").encode(errors="replace").decode()
    return clean if len(clean) <= most else clean[: most - len(_CUT)] + _CUT


#: Task events, by the state they tell of and the attempt.
_EVENTS = {
    "task-sent": "SENT",
    "task-received": "RECEIVED",
    "task-started": "STARTED",
    "task-retried": "RETRY",
    "task-rejected": "REJECTED",
    "task-revoked": "REVOKED",
    "task-failed": "FAILURE",
    "task-succeeded": "SUCCESS",
}


def from_event(event: Mapping[str, Any]) -> Record | None:
    """What a worker's event tells; None for one that is of no task, or makes no sense."""
    state = _EVENTS.get(str(event.get("type")))
    id, at = event.get("uuid"), event.get("timestamp")
    if state is None or not is_id(id) or not is_moment(at):
        return None
    assert isinstance(id, str)
    return observed(
        id,
        float(at),  # type: ignore[arg-type]
        state,
        whole(event.get("retries")),
        name=event.get("name"),
        worker=event.get("hostname") if state != "SENT" else None,
        runtime=event.get("runtime") if is_moment(event.get("runtime")) else None,
        result=event.get("result"),
        error=event.get("exception"),
        traceback=event.get("traceback"),
    )


def from_result(id: str, at: float, state: str, **told: Any) -> Record | None:
    """What the result backend has: ``result`` or ``error`` and ``traceback``, ``worker``."""
    if not is_id(id) or state not in RANKS:
        return None
    return observed(id, at, state, 0, **told)


def is_id(value: Any) -> bool:
    """Whether it can be a task's: Celery's are UUIDs, and users have their own."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def is_moment(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < 1e11


def whole(value: Any) -> int:
    """A number of attempts; what is none is the first."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 2**31 else 0
