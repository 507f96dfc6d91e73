"""A task sent once more: the message, made of what was kept of the first one. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cyme_supd.domain.ledger import FINAL, Record, observed
from cyme_supd.domain.ledgerstore import Tracked

#: Of the first message's headers, what is not said again.
_NOT_AGAIN = frozenset({"eta", "expires", "group", "group_index", "retries"})

NOT_OVER, NOT_KEPT, RETRIED = "not over", "not kept", "retried"


class LeftOut(Exception):
    """Why a task is not sent again: ``reason`` is one of this module's words."""

    def __init__(self, reason: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Again:
    """A message as it is to be sent; ``of`` is the id of the task that it repeats."""

    id: str
    of: str
    routing_key: str
    headers: Mapping[str, Any]
    body: str
    encoding: str
    priority: int | None = None


def check_over(task: Tracked) -> None:
    """Raises :exc:`LeftOut` for one that may still be run by itself."""
    state = task.record.state
    if state not in FINAL and task.lost is None:
        raise LeftOut(
            NOT_OVER,
            f"task {task.record.id!r} has not ended: it is {state}",
            "wait for its end, or revoke it",
        )


def check_first(task: Tracked, retries: Iterable[Tracked]) -> None:
    """Raises :exc:`LeftOut` where one of its *retries* is under way, or has gone well."""
    for each in retries:
        state = each.record.state
        if each.lost is None and (state not in FINAL or state == "SUCCESS"):
            raise LeftOut(
                RETRIED,
                f"task {task.record.id!r} was sent again as {each.record.id!r}: that is {state}",
                "add force=1 to have it run once more",
            )


def again(task: Tracked, kept: str | None, id: str, origin: str) -> Again:
    """The message that repeats *task* as the task *id*; *kept* is what was kept of its own.

    It is a child of the first. A time to begin or to expire at is not repeated, which
    would have passed, nor a group or chord, which would count it twice; what was to
    follow it, in a chain or as a callback, follows this one. Raises :exc:`LeftOut`.
    """
    if kept is None:
        raise LeftOut(
            NOT_KEPT,
            f"the arguments of task {task.record.id!r} were not kept",
            "they are hidden, or were too long or in no JSON: send it from where it came from",
        )
    try:
        return _repeated(task.record, json.loads(kept), id, origin)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise LeftOut(
            NOT_KEPT,
            f"the message of task {task.record.id!r} cannot be read",
            "it is compressed, or no JSON: send it from where it came from",
        ) from None


def _repeated(record: Record, said: Mapping[str, Any], id: str, origin: str) -> Again:
    headers = {name: value for name, value in said["headers"].items() if name not in _NOT_AGAIN}
    told = {
        "id": id,
        "root_id": record.get("root") or record.id,
        "parent_id": record.id,
        "retries": 0,
        "origin": origin,
        **{f"{name}repr": record.get(name) for name in ("args", "kwargs") if record.get(name)},
    }
    body = _body(said["body"], said.get("wrapped") == "base64", id, "task" in headers)
    priority = said.get("priority")
    return Again(
        id,
        record.id,
        str(said["routing_key"] or ""),
        {**headers, **told},
        body,
        str(said["encoding"] or "utf-8"),
        priority if isinstance(priority, int) else None,
    )


def _body(text: str, is_wrapped: bool, id: str, is_second: bool) -> str:
    """The first protocol has in it what the second one has in headers."""
    if is_wrapped:
        text = base64.b64decode(text).decode()
    body = json.loads(text)
    if is_second:
        # As it was, unless something has to go: numbers are written as they were read.
        if not (isinstance(body, list) and len(body) == 3 and isinstance(body[2], dict)):
            return text
        if not body[2].get("chord"):
            return text
        return _written([body[0], body[1], {**body[2], "chord": None}])
    gone = {"eta": None, "expires": None, "taskset": None, "chord": None, "retries": 0, "id": id}
    return _written({**body, **gone})


def _written(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def announced(letter: Again, task: Tracked, at: float) -> Record:
    """What is known of a retry before it is sent: nobody sends a second one meanwhile."""
    get = task.record.get
    return observed(
        letter.id,
        at,
        "SENT",
        0,
        name=get("name"),
        parent=letter.of,
        root=letter.headers["root_id"],
        routing_key=get("routing_key"),
        retry_of=letter.of,
        args=get("args"),
        kwargs=get("kwargs"),
    )


def unsent(letter: Again, at: float, why: str) -> Record:
    """It is not with the broker: it may be sent again."""
    return observed(letter.id, at, "REJECTED", 0, error=f"NotSent: {why}")
