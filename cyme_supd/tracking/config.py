"""The configuration of an application whose tasks are tracked."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from celery.app.utils import sanitize_url
from celery.utils.collections import AttributeDict

from cyme_supd.domain.broker import MASK
from cyme_supd.domain.masking import masked
from cyme_supd.errors import Invalid
from cyme_supd.tracking import sentry, settings, topology


# A dictionary, as Celery asks it for several settings at each publish.
class Config(AttributeDict):  # type: ignore[misc]
    """What ``app.config_from_object`` takes; *queues* are all it has to be told.

    *queues* are the names of those that the application consumes from or publishes
    to. Celery's settings are keywords in lower case, Config's own and the
    application's in upper case; both are attributes and keys of what comes out.
    Settings that are not given are taken from the environment: ``CELERY_`` and the
    name, or what *ENV_PREFIX* says instead of ``CELERY_``.
    """

    def __init__(self, queues: Any, *, ENV_PREFIX: str = "CELERY_", **given: Any) -> None:
        said = {
            **settings.from_environment(os.environ, ENV_PREFIX),
            **settings.checked(given),
        }
        for variable in settings.overruled(given, os.environ):
            warnings.warn(f"Celery takes {variable} of the environment instead", stacklevel=2)
        own = {**settings.OWN, **said}
        if own["SENTRY_DSN"]:
            sentry.check()
        made = {**_tracked(queues, own), **_results(said, own)}
        super().__init__({**own, **made, **said}, ENV_PREFIX=ENV_PREFIX, QUEUES=queues)

    def __repr__(self) -> str:
        shown = [(name, self[name]) for name in sorted(self) if name.islower()]
        return f"Config({', '.join(f'{name}={_shown(name, value)!r}' for name, value in shown)})"


def _tracked(queues: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """Celery's settings without which a task might be published and not be seen."""
    platform = said["PLATFORM_QUEUE_NAME"]
    exchange = said.get("task_default_exchange") or topology.EXCHANGE
    default = said.get("task_default_queue") or topology.DEFAULT_QUEUE
    names = topology.names(queues, platform, default)
    return {
        "task_queues": topology.queues(names, platform, exchange),
        "task_routes": topology.routes(names),
        "task_default_queue": default,
        "task_default_exchange": exchange,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": default,
        # One that Celery made up would be bound to an exchange of its own: what goes
        # there nobody else would see.
        "task_create_missing_queues": False,
        "task_track_started": True,
    }


def _results(said: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str]:
    """The backend that the template tells, where anything of it is told."""
    if not any(name.startswith("RESULT_") for name in said):
        return {}
    parts = {name: own[name] for name in own if name.startswith("RESULT_DB_")}
    for name in ("RESULT_DB_USER", "RESULT_DB_PASS"):
        parts[name] = quote(str(parts[name]), safe="")
    try:
        return {"result_backend": own["RESULT_BACKEND_TEMPLATE"].format_map(parts)}
    except (KeyError, ValueError, AttributeError) as exc:
        known = " ".join(f"{{{name}}}" for name in parts)
        raise Invalid(f"RESULT_BACKEND_TEMPLATE cannot be filled in: {exc!r}", known) from None


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, str):
        # Celery knows more forms of URLs than others do.
        value = sanitize_url(value, MASK)
    hidden = masked({name: value})
    return hidden[name]
