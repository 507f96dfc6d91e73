"""What processes cost: processor time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks import harness

Pids = Mapping[str, int]


def tree(branch: harness.Branch) -> Pids:
    """What a branch consists of, without broker and workers."""
    found = branch.supervisord.call("supervisor.getAllProcessInfo")
    pids = {record["name"]: int(record["pid"]) for record in found if record["group"] == "cyme"}
    forked = psutil.Process(pids["web"]).children()
    workers = {f"web worker {number}": child.pid for number, child in enumerate(forked)}
    return {"supervisord": branch.process.pid, **pids, **workers}


def busy(pids: Pids) -> dict[str, float]:
    """Seconds on a processor, of all threads.

    Not utime and stime, whose unit of 10 ms is much of what is measured.
    """
    return {name: _nanoseconds(pid) / 1e9 for name, pid in pids.items()}


def _nanoseconds(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of process {pid}")
