"""The process of one run, by way of its keeper."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyme_supd.domain.orders import MAX_TAIL, Grant, RunEnd
from cyme_supd.errors import SpawnFailed

KEEPER = str(Path(__file__).with_name("keeper.py"))
#: What is asked to end has so long until it is killed.
GRACE_S = 5.0
#: Nothing else of the runner's own environment reaches a job: there are secrets.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class End:
    """How it ended, as the keeper says."""

    status: RunEnd
    exit_code: int | None
    signal: int | None
    error: str | None
    started_at: datetime
    finished_at: datetime
    size: int
    is_truncated: bool


class Process:
    """Started when it is made. The thread that made it waits for its end.

    ``begin`` is called when there is a keeper, which does nothing yet: from then on
    the run may have happened.
    """

    def __init__(
        self,
        grant: Grant,
        log: Path,
        grace_s: float = GRACE_S,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._rest = b""
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", KEEPER],
                env={},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            raise SpawnFailed(f"no process can be started: {exc.strerror}") from exc
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._input = self._keeper.stdin
        self._output = self._keeper.stdout
        try:
            begin()
            self._input.write(json.dumps(wanted(grant, log, grace_s)).encode() + b"\n")
            self._input.flush()
            started = self._said(None)
        except (OSError, ValueError) as exc:
            self.close()
            raise SpawnFailed(f"the run could not be started: {exc}") from exc
        assert started is not None
        self.pid = int(started["pid"])
        self.started_at = _time(started["started_at"])

    def wait(self, within_s: float) -> End | None:
        """How it ended, or None where it has not within that time."""
        try:
            said = self._said(within_s)
        except (OSError, ValueError) as exc:
            raise SpawnFailed(f"the run's keeper is gone: {exc}") from exc
        return None if said is None else _end(said)

    def cancel(self) -> None:
        """Ask it to end; it is killed after its grace. From any thread."""
        with suppress(OSError, ValueError):
            os.write(self._input.fileno(), b"c")

    def kill(self) -> None:
        """All of it, now. From any thread."""
        with suppress(OSError, ValueError):
            self._input.close()

    def close(self) -> None:
        """Nothing of it is left when this returns."""
        self.kill()
        self._keeper.wait()
        self._output.close()

    def _said(self, within_s: float | None) -> Any:
        fd = self._output.fileno()
        while b"\n" not in self._rest:
            if not select.select([fd], [], [], within_s)[0]:
                return None
            data = os.read(fd, 65536)
            if not data:
                raise ValueError("it ended without a word")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)


def wanted(grant: Grant, log: Path, grace_s: float) -> dict[str, Any]:
    """What the keeper is told."""
    return {
        "argv": ["/bin/sh", "-c", grant.command] if grant.argv is None else list(grant.argv),
        "environment": environment(grant, os.environ),
        "user": grant.user,
        "timeout_s": grant.timeout_s,
        "grace_s": grace_s,
        "log": str(log),
        "max_output": grant.max_output,
        "max_tail": MAX_TAIL,
    }


def environment(grant: Grant, own: Mapping[str, str]) -> dict[str, str]:
    """What the job finds, besides its user's HOME and name."""
    return {
        "PATH": DEFAULT_PATH,
        **{name: own[name] for name in INHERITED if name in own},
        "SHELL": "/bin/sh",
        **grant.environment,
        "CYME_JOB": grant.name,
        "CYME_RUN_ID": grant.run,
        "CYME_FIRE_TIME": grant.fire_time.isoformat(),
    }


def _end(said: Mapping[str, Any]) -> End:
    failed = RunEnd.SUCCEEDED if said["exit_code"] == 0 else RunEnd.FAILED
    left = said["left"]
    return End(
        status=RunEnd(said["why"]) if said["why"] else failed,
        exit_code=said["exit_code"],
        signal=said["signal"],
        error=f"{left} of its processes could not be ended" if left else None,
        started_at=_time(said["started_at"]),
        finished_at=_time(said["finished_at"]),
        size=said["size"],
        is_truncated=said["is_truncated"],
    )


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
