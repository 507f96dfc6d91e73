"""What messages may say. Whatever is wrong with one is an ``Invalid``, and it is dropped. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cyme_supd.domain.naming import check_instance_name, check_name, nearest
from cyme_supd.domain.parameters import BROKER_PARTS, app_changes
from cyme_supd.domain.values import load_json, shown
from cyme_supd.errors import Invalid

JSON = "application/json"
MAX_SIZE = 65536


class State(StrEnum):
    """What an update may want."""

    STOPPING = "stopping"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Creation:
    """An instance that should be. ``broker`` is a URL; ``None`` is the default."""

    name: str
    broker: str | None


@dataclass(frozen=True, slots=True)
class Update:
    name: str
    state: State


def read(content_type: str | None, body: str | bytes) -> Mapping[str, Any]:
    """The JSON object that a message is to be."""
    if str(content_type).partition(";")[0].strip().lower() != JSON:
        raise Invalid(f"its content type is {_shown(content_type)}, not {JSON}")
    if len(body) > MAX_SIZE:
        raise Invalid(f"it is longer than {MAX_SIZE}")
    said = load_json(body)
    if not isinstance(said, dict):
        raise Invalid("it is no JSON object")
    return said


def creation(said: Mapping[str, Any]) -> Creation:
    """``id`` is the name of the instance; beside it there may be the parts of its broker.

    Anything else is refused: where a part is misspelt, the instance would be
    made at another broker than was meant.
    """
    known = ("id", *BROKER_PARTS)
    for key in said:
        if key not in known:
            raise Invalid(f"{_shown(key)} is not known", nearest(key[:40], known))
    return Creation(check_instance_name(said.get("id")), _broker(said))


def update(routing_key: str, said: Mapping[str, Any]) -> Update:
    """The routing key is the instance's name; an ``id``, where there is one, is to be the same."""
    name = check_name("instance", routing_key)
    if said.get("id", name) != name:
        raise Invalid(f"it is for {name}, and of {_shown(said['id'])}")
    try:
        return Update(name, State(str(said.get("state"))))
    except ValueError:
        states = ", ".join(State)
        raise Invalid(f"{_shown(said.get('state'))} is no state of it", states) from None


def _broker(said: Mapping[str, Any]) -> str | None:
    parts = {name: said[name] for name in BROKER_PARTS if said.get(name) is not None}
    if not parts:
        return None
    for name, value in parts.items():
        if name == "port":
            parts[name] = _port(value)
        elif not isinstance(value, str):
            raise Invalid(f"{name}: not text")
    if not parts.get("hostname"):
        raise Invalid("a broker without its hostname", "send all its parts, or none")
    broker: str = app_changes(parts, is_new=True, is_root=False)["broker"]
    return broker


def _port(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("port: not a number")
    return value


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, str) else type(value).__name__
