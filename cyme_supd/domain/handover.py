"""An instance as JSON, from the branch that had it to the one that takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyme_supd.domain.contents import instant_from, pause_from
from cyme_supd.domain.naming import check_app_name, check_instance_name
from cyme_supd.domain.parameters import instance_changes
from cyme_supd.domain.spec import Instance
from cyme_supd.errors import Invalid

_SETTINGS = (
    "broker",
    "max_concurrency",
    "min_concurrency",
    "pool",
    "arguments",
    "extra_config",
    "stop_timeout_s",
    "hung_timeout_s",
    "queues",
)


def as_json(instance: Instance) -> dict[str, Any]:
    """All of it but whose it was."""
    settings = {name: _plain(getattr(instance, name)) for name in _SETTINGS}
    return {
        "name": instance.name,
        "app": instance.app,
        "created_at": instance.created_at.isoformat(),
        "is_enabled": instance.is_enabled,
        "generation": instance.generation,
        "restarts": instance.restarts,
        "pause": instance.pause and instance.pause.as_dict(),
        "settings": settings,
    }


def instance_from(said: Mapping[str, Any], branch: str) -> Instance:
    """The instance that :func:`as_json` told of, as one of *branch*.

    Raises ``Invalid`` for what no instance can be.
    """
    settings = said.get("settings")
    if not isinstance(settings, Mapping):
        raise Invalid("settings: not readable")
    known = {name: settings[name] for name in _SETTINGS if settings.get(name) is not None}
    return Instance(
        name=check_instance_name(str(said.get("name"))),
        app=check_app_name(str(said.get("app"))),
        branch=branch,
        created_at=instant_from(said.get("created_at")),
        is_enabled=said.get("is_enabled") is not False,
        generation=_count(said.get("generation"), 1),
        restarts=_count(said.get("restarts"), 0),
        pause=pause_from(said.get("pause")),
        **instance_changes(known),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _count(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise Invalid("not a whole number that can be stored")
    return value
