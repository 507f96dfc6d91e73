"""A worker's section: constant, but for a checked name and a number."""

from __future__ import annotations

import sys
from pathlib import Path

from cyme_supd.config import Paths
from cyme_supd.domain.naming import check_instance_name
from cyme_supd.errors import Invalid
from cyme_supd.supervisord import MARKER
from cyme_supd.supervisord.rendering import launch_command, render

LONGEST_STOP_TIMEOUT_S = 2**31 - 1


def section(root: Path, name: str, stop_timeout_s: int, python: str = sys.executable) -> str:
    """``[program:<name>]`` of a worker in the branch at *root*.

    What the worker is, its launch file says; *stop_timeout_s* is how long
    it may take to end when it is asked to.
    """
    check_instance_name(name)
    if isinstance(stop_timeout_s, bool) or not isinstance(stop_timeout_s, int):
        raise Invalid("stop_timeout_s is a whole number of seconds")
    if not 0 <= stop_timeout_s <= LONGEST_STOP_TIMEOUT_S:
        raise Invalid(f"stop_timeout_s is not within 0-{LONGEST_STOP_TIMEOUT_S}")
    folder = Paths(root).instances / name
    return render(
        "program.conf.j2",
        name=name,
        command=launch_command(python, folder),
        log=folder / "worker.log",
        stop_timeout_s=stop_timeout_s,
        marker=MARKER,
    )
