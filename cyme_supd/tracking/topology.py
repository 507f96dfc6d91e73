"""Where tasks go: their queue, by their name, and the platform queue, all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cyme_supd.errors import Invalid

# Workers have it, too, where nothing of Cyme is installed.
from cyme_supd.workers.boot.cyme_topology import WorkQueue, keep_bindings, queues, routes

__all__ = ["DEFAULT_QUEUE", "EXCHANGE", "WorkQueue", "keep_bindings", "names", "queues", "routes"]

EXCHANGE = "task_exchange"
#: The one that Celery's own tasks are sent to, and those with no queue of their name.
DEFAULT_QUEUE = "celery"
#: AMQP's limit for names and keys, in bytes.
_LONGEST = 255


def names(queues: Any, platform: str, default: str) -> list[str]:
    """Those of the work queues, each once; :exc:`Invalid` for what cannot be one."""
    if isinstance(queues, str | bytes | Mapping) or not isinstance(queues, Iterable):
        raise Invalid("queues is a list of names", 'queues=["mail", "images"]')
    wanted = [*queues, DEFAULT_QUEUE, default]
    for name in (*wanted, platform):
        _check(name)
    return [name for name in dict.fromkeys(wanted) if name != platform]


def _check(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise Invalid(f"a queue's name is a string that is not empty, not {name!r}")
    if len(name.encode(errors="replace")) > _LONGEST:
        raise Invalid(f"a queue's name has at most {_LONGEST} bytes: {name[:40]!r}...")
    if "#" in name or "*" in name:
        raise Invalid(
            f"a queue cannot be named {name!r}", "it is bound by its name: * and # match others"
        )
