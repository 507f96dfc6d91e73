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
    if process is None:
        return False
    config = process.config
    is_marked = config.environment is not None and config.environment.get(MARKER) == name
    # Sections of one name are merged: the mark is there still where somebody
    # else's has put another command in the place of ours.
    return is_marked and config.command.rstrip("'").endswith(f"/instances/{name}")
