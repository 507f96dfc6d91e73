"""Celery's messages as the platform queue has them: what a hostile one may not do.

No body is unpickled, none longer than :data:`MOST_BODY` is decoded, and whatever is
wrong with a message comes out as :class:`Refused`, with a reason to count it by.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from cyme_supd.domain.broker import MASK
from cyme_supd.domain.ledger import MOST_TEXT, Record, bounded, is_id, observed, whole
from cyme_supd.domain.masking import masked
from cyme_supd.errors import Invalid

#: Longer ones are recorded by their headers, and cannot be sent again.
MOST_BODY = 256 * 1024

NO_TASK, NO_ID, CONTENT, BODY = "no task", "no id", "content type", "body"

_SECRET = re.compile(r"passw|passphrase|secret|token|credential|(?:api|access|private)_?key", re.I)
#: ``password='...'`` and ``"api_key": "..."``, as Python and JSON write them.
_NAMED_SECRET = re.compile(
    r"""([\w-]{0,64}(?:passw|passphrase|secret|token|credential|api_?key|access_?key|private_?key)
    [\w-]{0,64}["']?\s{0,4}[:=]\s{0,4})
    ("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,)}\]]+)""",
    re.IGNORECASE | re.VERBOSE,
)


class Refused(Exception):
    """A message that is not recorded as a task; ``reason`` is one of this module's words."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {bounded(detail, 200)}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Redaction:
    """What of arguments is not kept.

    ``patterns`` are of text; ``tasks`` are names, or patterns of names such as
    ``billing.*``, of tasks whose arguments are not kept at all.
    """

    patterns: tuple[re.Pattern[str], ...] = ()
    tasks: tuple[str, ...] = ()

    def hides(self, task: str) -> bool:
        """Whether nothing of the arguments of *task* is kept."""
        return any(fnmatchcase(task, each) for each in self.tasks)

    def of(self, task: str, text: str) -> str:
        if self.hides(task):
            return MASK
        if "://" in text:
            text = str(masked(text))
        # The other one looks at every place for a long name: only where there is one.
        if _SECRET.search(text):
            text = _NAMED_SECRET.sub(rf"\1{MASK}", text)
        for pattern in self.patterns:
            text = pattern.sub(MASK, text)
        return text


def redaction(patterns: Iterable[str], tasks: Iterable[str]) -> Redaction:
    """Of what somebody has said; ``Invalid`` for what is no pattern."""
    return Redaction(tuple(map(_pattern, patterns)), tuple(tasks))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise Invalid(f"--redact: {text[:60]!r} is no pattern: {exc}") from None


@dataclass(frozen=True, slots=True)
class Message:
    """As it came: nothing of it has been looked into."""

    body: bytes | str
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    exchange: str = ""
    routing_key: str = ""


def parse(message: Message, at: float, redaction: Redaction = Redaction()) -> Record:
    """What *message*, seen *at* that moment, tells of its task."""
    headers: Any = message.headers
    if not isinstance(headers, Mapping) or not isinstance(message.properties, Mapping):
        raise Refused(NO_TASK, "headers")
    if message.content_type not in ("application/json", "json"):
        raise Refused(CONTENT, str(message.content_type))
    # The first protocol has all of it in the body.
    told = headers if "task" in headers else _first_protocol(message)
    id, name = told.get("id"), told.get("task")
    if not isinstance(name, str) or not name:
        raise Refused(NO_TASK)
    if not isinstance(id, str) or not is_id(id):
        raise Refused(NO_ID, str(type(id).__name__))
    facts = {fact: _text(told.get(key)) for fact, key in _FACTS.items()}
    arguments = {
        kind: redaction.of(name, text)
        for kind in ("args", "kwargs")
        if (text := _arguments(told, kind)) is not None
    }
    attempt = whole(told.get("retries"))
    return observed(
        id,
        at,
        "SENT",
        attempt,
        name=name,
        retries=attempt,
        routing_key=_text(message.routing_key),
        exchange=_text(message.exchange),
        nesting=whole(told.get("replaced_task_nesting")),
        **facts,
        **arguments,
    )


_FACTS = {
    "root": "root_id",
    "parent": "parent_id",
    "group": "group",
    "eta": "eta",
    "expires": "expires",
    "producer": "origin",
}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _arguments(told: Mapping[str, Any], kind: str) -> str | None:
    """As the producer wants them shown, which may hide what the body has."""
    shown = told.get(f"{kind}repr")
    if isinstance(shown, str):
        # What is beyond what is kept is not searched for secrets, either.
        return shown[:MOST_TEXT]
    return None


def _first_protocol(message: Message) -> Mapping[str, Any]:
    body = decoded(message)
    if not isinstance(body, dict) or "task" not in body:
        raise Refused(NO_TASK)
    try:
        shown = {
            f"{kind}repr": json.dumps(body[kind], ensure_ascii=False)
            for kind in ("args", "kwargs")
            if kind in body
        }
    except RecursionError as exc:
        raise Refused(BODY, str(exc)) from None
    return {**body, "group": body.get("taskset"), **shown}


def decoded(message: Message) -> Any:
    """What is in the body; :exc:`Refused` if it is not JSON, or too long to look."""
    raw = message.body.encode(errors="replace") if isinstance(message.body, str) else message.body
    if message.properties.get("body_encoding") == "base64":
        raw = _unwrapped(raw)
    if len(raw) > MOST_BODY:
        raise Refused(BODY, f"{len(raw)} bytes")
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError) as exc:
        raise Refused(BODY, str(exc)) from None


def _unwrapped(raw: bytes) -> bytes:
    """As kombu's virtual transports wrap bodies, which makes them longer by a third."""
    if len(raw) > MOST_BODY * 2:
        raise Refused(BODY, f"{len(raw)} bytes")
    try:
        return base64.b64decode(raw, validate=True)
    except ValueError as exc:
        raise Refused(BODY, str(exc)) from None


def payload(message: Message) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments, to send the task again as it was."""
    body = decoded(message)
    if isinstance(body, dict):
        args, kwargs = body.get("args", []), body.get("kwargs", {})
    else:
        args, kwargs = (*body, None, None)[:2] if isinstance(body, list) else (None, None)
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Refused(BODY, "no arguments")
    return args, kwargs
