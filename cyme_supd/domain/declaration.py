"""What a queue may be declared as. Pure; errors only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from cyme_supd.domain.naming import DIRECT_PREFIX, check_queue_name, nearest
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.values import MAX_TOTAL, parsed, refuse_unstorable
from cyme_supd.errors import Invalid

EXCHANGE_TYPES = ("direct", "topic", "fanout")
DEFAULT_EXCHANGE_TYPE = "direct"


def check_own_queue_name(name: object) -> str:
    """A queue that may be declared: those of the instances themselves may not."""
    checked = check_queue_name("queue", name)
    if checked.startswith(DIRECT_PREFIX):
        raise Invalid(
            f"queues that start with {DIRECT_PREFIX!r} are the instances' own",
            "choose another name",
        )
    return checked


def declaration(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a :class:`~cyme_supd.domain.spec.Queue`, as *given* changes them.

    *given* has ``exchange exchange_type routing_key options``; ``None`` is
    the default: the queue's name, direct, the queue's name, none.
    """
    refuse_unstorable(given)
    changes: dict[str, Any] = {}
    for field, kind in (("exchange", "exchange"), ("routing_key", "routing key")):
        if field in given:
            changes[field] = check_queue_name(kind, given[field] or name)
    if "exchange_type" in given:
        changes["exchange_type"] = _exchange_type(given["exchange_type"])
    if "options" in given:
        changes["options"] = _options(given["options"])
    return changes


def defaults(name: str) -> dict[str, Any]:
    return {
        "exchange": name,
        "exchange_type": DEFAULT_EXCHANGE_TYPE,
        "routing_key": name,
        "options": {},
    }


def entry(queue: Queue) -> dict[str, Any]:
    """The declaration as a worker gets it, with a ``digest`` of all of it."""
    declared = {
        "name": queue.name,
        "exchange": queue.exchange,
        "exchange_type": queue.exchange_type,
        "routing_key": queue.routing_key,
        "options": dict(queue.options),
    }
    text = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return {**declared, "digest": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _exchange_type(value: object) -> str:
    # A type the worker does not know sends it into a loop of reconnects in
    # which it answers nobody.
    if value is None:
        return DEFAULT_EXCHANGE_TYPE
    if value not in EXCHANGE_TYPES:
        raise Invalid("exchange_type: unknown", f"one of: {', '.join(EXCHANGE_TYPES)}")
    return str(value)


def _options(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        value = parsed("options", value)
    if not isinstance(value, Mapping):
        raise Invalid("options: a JSON object")
    if len(json.dumps(value)) > MAX_TOTAL:
        raise Invalid(f"options: longer than {MAX_TOTAL} characters")
    for name in value:
        if name not in _OPTIONS:
            raise Invalid(f"options: {str(name)[:60]!r} is unknown", nearest(str(name), _OPTIONS))
    return {name: _OPTIONS[name](name, inner) for name, inner in value.items()}


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"options: {name} is true or false")
    return value


def _arguments(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"options: {name} is a JSON object")
    return dict(value)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 2**31:
        raise Invalid(f"options: {name} is a number of seconds")
    return value


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Invalid(f"options: {name} is a whole number within {least}-{most}")
        return value

    return read


_OPTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(
        (
            "durable",
            "auto_delete",
            "queue_durable",
            "queue_auto_delete",
            "exchange_durable",
            "exchange_auto_delete",
        ),
        _flag,
    ),
    **dict.fromkeys(
        ("queue_arguments", "exchange_arguments", "binding_arguments", "consumer_arguments"),
        _arguments,
    ),
    "delivery_mode": _whole(1, 2),
    "expires": _seconds,
    "message_ttl": _seconds,
    "max_length": _whole(1, 2**31),
    "max_length_bytes": _whole(1, 2**40),
    "max_priority": _whole(1, 255),
}
