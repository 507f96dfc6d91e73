"""What dispatcher and runner say to one another about one run of a job. Pure.

The dispatcher says :class:`Order`, :class:`Grant`, :class:`Refusal` and
:class:`Cancel`; the runner :class:`Claim`, :class:`Withdrawal`,
:class:`Started`, :class:`Alive`, :class:`Output` and :class:`Ended`. On the
wire each is a JSON object with its ``kind``; what is not exactly one of them
is :exc:`Invalid`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from cyme_supd.domain.naming import ENVIRONMENT_NAME, NAME, check_queue_name
from cyme_supd.domain.task import RESULTS_PREFIX
from cyme_supd.errors import Invalid

#: What the worker's task is called.
JOB_TASK = "cyme.job"
#: A queue of its own for each process that runs jobs.
RUNNER_PREFIX = "cyme.runner."
#: Brokers delete the queue of a runner that has been gone for so long.
RUNNER_EXPIRES_S = 600
#: What the key is called that all at one database have.
RUNNER_KEY = "runner"
#: What is said to those who have a key, whichever of them hears it first.
_ANSWERED_PREFIX = f"{RESULTS_PREFIX}jobs."

#: How much of the end of a run's output is told, and how much of it is kept.
MAX_TAIL = 64 * 1024
DEFAULT_OUTPUT = 10 * 1024 * 1024
MAX_OUTPUT = 1024 * 1024 * 1024
MAX_COMMAND = 1024 * 1024
MAX_ARGUMENTS = 4096
MAX_ENVIRONMENT = 1024
MAX_TIMEOUT_S = 31 * 86400.0
MAX_TEXT = 1024


class RunEnd(StrEnum):
    """How a run that was started can end, in its runner's words."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a run is not granted."""

    #: Somebody has it, or had it.
    CLAIMED = "claimed"
    CANCELLED = "cancelled"
    #: Its deadline is over.
    LATE = "late"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Order:
    """There is a run to be claimed, at the queue ``reply``. Says nothing of what it is."""

    run: str
    job: str
    reply: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A runner wants that run. Said again with the same ``nonce`` it is the same claim."""

    run: str
    job: str
    nonce: str
    reply: str
    host: str
    instance: str
    pid: int


@dataclass(frozen=True, slots=True)
class Grant:
    """The run is that claim's alone, and this is what is to be run.

    Either ``command``, for a shell, or ``argv``, without one.
    """

    run: str
    nonce: str
    job: str
    name: str
    category: str
    fire_time: datetime
    command: str | None
    argv: tuple[str, ...] | None
    environment: Mapping[str, str]
    user: str | None
    timeout_s: float | None
    max_output: int = DEFAULT_OUTPUT


@dataclass(frozen=True, slots=True)
class Refusal:
    run: str
    nonce: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the run that this nonce was granted."""

    run: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """That claim is given up: nothing was or will be started by it."""

    run: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Started:
    run: str
    nonce: str
    pid: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Alive:
    run: str
    nonce: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Output:
    """The end of what was printed so far; ``size`` is how much that is in all."""

    run: str
    nonce: str
    size: int
    tail: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Either ``exit_code`` or ``signal`` where the job ran at all."""

    run: str
    nonce: str
    status: RunEnd
    exit_code: int | None
    signal: int | None
    error: str | None
    started_at: datetime
    finished_at: datetime
    size: int
    is_truncated: bool
    tail: bytes
    host: str
    instance: str
    pid: int


Message = Order | Claim | Grant | Refusal | Cancel | Withdrawal | Started | Alive | Output | Ended
Read = Callable[[Any], Any]


def answers_queue(key: bytes) -> str:
    """What runners answer to whose orders are sealed with *key*: it is told from no other."""
    return _ANSWERED_PREFIX + hashlib.sha256(key).hexdigest()[:16]


def to_wire(message: Message) -> dict[str, Any]:
    """In JSON's types."""
    said = {each.name: _plain(getattr(message, each.name)) for each in fields(message)}
    return {"kind": type(message).__name__.lower(), **said}


def from_wire(said: object) -> Message:
    """The message that *said* is; :exc:`Invalid` names what cannot be."""
    kind = said.get("kind") if isinstance(said, Mapping) else None
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None or not isinstance(said, Mapping):
        raise Invalid("a message between dispatcher and runner has no kind that is known")
    names = {each.name for each in fields(cls)}
    if said.keys() != {"kind", *names}:
        raise Invalid(f"{kind}: not exactly the fields {', '.join(sorted(names))}")
    message: Message = cls(**{name: _read(str(kind), name, said[name]) for name in names})
    if isinstance(message, Grant) and (message.command is None) == (message.argv is None):
        raise Invalid("grant: either command or argv")
    return message


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


def _read(kind: str, name: str, value: Any) -> Any:
    try:
        return _READS[name](value)
    except (TypeError, ValueError, OverflowError, AttributeError, Invalid):
        raise Invalid(f"{kind}: {name} cannot be that") from None


def _check(is_so: bool) -> None:
    if not is_so:
        raise ValueError


def _text(most: int, least: int = 0) -> Read:
    def read(value: Any) -> str:
        _check(isinstance(value, str) and least <= len(value) <= most and "\0" not in value)
        value.encode()
        return str(value)

    return read


def _whole(least: int, most: int) -> Read:
    def read(value: Any) -> int:
        _check(type(value) is int and least <= value <= most)
        return int(value)

    return read


def _or_none(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _id(value: Any) -> str:
    _check(isinstance(value, str) and str(UUID(value)) == value)
    return str(value)


def _job(value: Any) -> str:
    # It names a folder, too.
    _check(isinstance(value, str) and NAME.fullmatch(value) is not None)
    return str(value)


def _nonce(value: Any) -> str:
    _check(isinstance(value, str) and len(value) == 32 and bytes.fromhex(value).hex() == value)
    return str(value)


def _reply(value: Any) -> str:
    name = check_queue_name("queue", value)
    _check(name.startswith((RESULTS_PREFIX, RUNNER_PREFIX)))
    return name


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    _check(at.tzinfo is not None)
    return at.astimezone(UTC)


def _argv(value: Any) -> tuple[str, ...]:
    _check(isinstance(value, list) and 1 <= len(value) <= MAX_ARGUMENTS and value[0] != "")
    argv = tuple(map(_text(MAX_COMMAND), value))
    _check(sum(map(len, argv)) <= MAX_COMMAND)
    return argv


def _environment(value: Any) -> dict[str, str]:
    _check(isinstance(value, dict) and len(value) <= MAX_ENVIRONMENT)
    read = _text(MAX_COMMAND)
    for name in value:
        _check(isinstance(name, str) and ENVIRONMENT_NAME.fullmatch(name) is not None)
    return {name: read(text) for name, text in value.items()}


def _timeout(value: Any) -> float:
    _check(type(value) in (int, float) and 0 < value <= MAX_TIMEOUT_S)
    return float(value)


def _bool(value: Any) -> bool:
    _check(isinstance(value, bool))
    return bool(value)


def _tail(value: Any) -> bytes:
    tail = base64.b64decode(value, validate=True)
    _check(len(tail) <= MAX_TAIL)
    return tail


_KINDS: dict[str, Any] = {cls.__name__.lower(): cls for cls in Message.__args__}
_READS: dict[str, Read] = {
    "run": _id,
    "job": _job,
    "nonce": _nonce,
    "reply": _reply,
    "host": _text(255),
    "instance": _text(255),
    "pid": _whole(1, 2**31),
    "name": _text(MAX_TEXT),
    "category": _text(MAX_TEXT),
    "fire_time": _time,
    "command": _or_none(_text(MAX_COMMAND, least=1)),
    "argv": _or_none(_argv),
    "environment": _environment,
    "user": _or_none(_text(255, least=1)),
    "timeout_s": _or_none(_timeout),
    "max_output": _whole(0, MAX_OUTPUT),
    "reason": Reason,
    "at": _time,
    "size": _whole(0, 2**63 - 1),
    "tail": _tail,
    "status": RunEnd,
    "exit_code": _or_none(_whole(0, 255)),
    "signal": _or_none(_whole(1, 255)),
    "error": _or_none(_text(MAX_TEXT)),
    "started_at": _time,
    "finished_at": _time,
    "is_truncated": _bool,
}
