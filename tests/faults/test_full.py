"""The disk of a branch's root is full, and has room again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance import processes
from tests.acceptance.harness import BranchHost
from tests.faults.fleet import Fleet
from tests.faults.rows import Hit, Row, repeat
from tests.support import let_pass

pytestmark = [pytest.mark.rows, pytest.mark.faults, pytest.mark.timeout(2400)]
SIZE = "48m"
FULL_S = 4.0


@pytest.fixture
def small(yard: Path, rabbitmq_url: str) -> Iterator[Fleet]:
    """A fleet whose root is a small disk of its own; its broker is elsewhere."""
    host = BranchHost("--sup-interval", "1", broker=rabbitmq_url)
    host.root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(host.root)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        host.root.rmdir()
        host.client.close()
        host.folder.rmdir()
        pytest.skip(f"this user may not mount a disk: {mounted.stderr.strip()}")
    with host:
        try:
            fleet = Fleet(host.start(), yard)
            for name in ("w1", "w2", "w3"):
                fleet.add(name)
            yield fleet
            host.end()
        finally:
            subprocess.run(["umount", "--lazy", str(host.root)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_full(small: Fleet) -> None:
    filler = small.host.root / "filler"
    statuses: set[int] = set()

    def run_full(_: int) -> Hit:
        fill(filler)
        try:
            processes.kill(small.pids()["w3"])
            for most in (2, 3, 2, 3):
                body = {"max": most, "min": 1, "timeout": 0}
                path = "/yard/instances/w1/autoscale/"
                response = small.host.client.post(path, json=body)
                statuses.add(response.status_code)
                if response.status_code in (200, 202):
                    small.wanted["w1"].limits = (most, 1)
                assert small.host.client.get("/yard/instances/").status_code == 200
                let_pass(FULL_S / 4)
        finally:
            os.unlink(filler)
        return Hit.now("w3")

    row = Row("disk of the root full for 4 s", "RabbitMQ", 30, 12)
    repeat(row, small, run_full)
    row.note = f"changes were answered {sorted(statuses)}"
    if statuses - {200, 202, 503}:
        row.violations.append(row.note)
    row.check()
