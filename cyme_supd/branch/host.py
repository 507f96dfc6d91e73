"""How the host is doing, and what the kernel says of its processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from cyme_supd.launch import MARKER

_MEMINFO = Path("/proc/meminfo")
_UPTIME = Path("/proc/uptime")


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
    return stat(pid)[:1] == ["T"]


def stat(pid: int) -> list[str]:
    """What ``/proc`` says of a process from its state on; nothing of one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # Its name stands in parentheses and may hold anything, these too.
    return text.rpartition(")")[2].split()


def parent(pid: int) -> int:
    """The process that started this one, or has adopted it; 0 where there is none."""
    return int((stat(pid) or ["", "0"])[1])


def age_s(started: int) -> float:
    """How long ago that was, in ticks since the host came up."""
    return float(_UPTIME.read_text().split()[0]) - started / os.sysconf("SC_CLK_TCK")


def launch_directory(pid: int) -> Path | None:
    """The folder that a process, or who started it, was launched in; else ``None``."""
    wanted = f"{MARKER}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = [each for each in environment if each.startswith(wanted)]
    return Path(os.fsdecode(found[0][len(wanted) :])) if found else None


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
