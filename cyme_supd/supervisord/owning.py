"""Which of supervisord's programs are Cyme's workers. Runs inside it."""

from __future__ import annotations

from typing import Any

from cyme_supd.supervisord import MARKER


def is_ours(group: Any) -> bool:
    name = group.config.name
    process = group.processes.get(name)
    environment = None if process is None else process.config.environment
    return environment is not None and environment.get(MARKER) == name
