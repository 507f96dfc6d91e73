"""Which of supervisord's programs are Cyme's workers. Runs inside it."""

from __future__ import annotations

from typing import Any

from cyme_supd.supervisord import MARKER, TREE


def is_cymes(group: Any) -> bool:
    """Whether it is a worker of Cyme's, or the branch's own tree."""
    return group.config.name == TREE or is_ours(group)


def is_ours(group: Any) -> bool:
    name = group.config.name
    process = group.processes.get(name)
    environment = None if process is None else process.config.environment
    return environment is not None and environment.get(MARKER) == name
