"""How the host is doing: its load, disk and memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

_MEMINFO = Path("/proc/meminfo")


def measure(root: Path) -> dict[str, Any]:
    """``load_average``: over 1, 5 and 15 minutes. ``disk_use``: percent of the
    disk that *root* is on. ``memory``: ``total`` and ``available`` bytes.
    ``None`` for what the host does not tell."""
    return {
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "disk_use": _disk_use(root),
        "memory": _memory(),
    }


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process, as the kernel has it; not by a debugger."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    # Its name stands in parentheses and may hold anything, these too.
    return stat.rpartition(")")[2].split()[:1] == ["T"]


def _disk_use(root: Path) -> float | None:
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return None
    return round(100 * usage.used / usage.total, 1)


def _memory() -> dict[str, int] | None:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        total, available = (
            1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable")
        )
    except (OSError, KeyError, ValueError):
        return None
    return {"total": total, "available": available}
