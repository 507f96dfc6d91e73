"""The files between a branch and the workers it launches."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from cyme_supd.config import Config, boot_path, default_celery, write_private
from cyme_supd.domain.launch import Launch, launch
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Running
from cyme_supd.domain.tail import Piece, Place
from cyme_supd.errors import Unavailable
from cyme_supd.workers.pidbox import reply_address

log = logging.getLogger(__name__)

LOG_SIZE = 5 * 1024 * 1024


class LaunchedFiles:
    """``<root>/instances/<name>/``: ``launch.json`` in, ``running.json`` out.

    For whoever writes neither: each is read anew.
    """

    def __init__(self, instances: Path) -> None:
        self._instances = instances

    def written(self, name: str) -> str | None:
        return self._launch(name).get("digest")

    def queues(self, name: str) -> Mapping[str, str]:
        declared = self._launch(name).get("boot", {}).get("queues", [])
        return {entry["name"]: entry.get("digest", "") for entry in declared}

    def running(self, name: str, pid: int) -> Running | None:
        content = _read(self._instances / name / "running.json")
        if content is None or content.get("pid") != pid:
            return None
        return Running(pid, str(content.get("identity")))

    def _launch(self, name: str) -> dict[str, Any]:
        return _read(self._instances / name / "launch.json") or {}


class LaunchFiles(LaunchedFiles):
    """The same, for the branch.

    Digests and what runs are remembered, so that a pass over a fleet at rest
    reads no file; only this branch writes the first, and the second changes
    with the pid.
    """

    def __init__(self, instances: Path) -> None:
        super().__init__(instances)
        self._written: dict[str, str | None] = {}
        self._running: dict[str, Running] = {}

    def write(self, name: str, launch: Launch) -> None:
        folder = self._instances / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / "launch.json", json.dumps(launch.as_dict()).encode())
        except OSError as exc:
            self._written.pop(name, None)
            raise Unavailable(f"cannot write the launch file of {name}: {exc}") from exc
        self._written[name] = launch.digest

    def written(self, name: str) -> str | None:
        if name not in self._written:
            self._written[name] = super().written(name)
        return self._written[name]

    def running(self, name: str, pid: int) -> Running | None:
        known = self._running.get(name)
        if known is None or known.pid != pid:
            known = super().running(name, pid)
            if known is not None:
                self._running[name] = known
        return known

    def remove(self, name: str) -> None:
        folder = self._instances / name
        try:
            with _locked(folder / "lock"):
                self._written.pop(name, None)
                self._running.pop(name, None)
                shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            raise Unavailable(
                f"a process of {name} has not ended yet",
                "it is from before supervisord started, and finishes what it has begun",
            ) from None
        except OSError as exc:
            raise Unavailable(f"cannot remove the folder of {name}: {exc}") from exc


def launch_of(config: Config, worker: Worker) -> Launch:
    """How a branch that *config* describes launches *worker*."""
    return launch(
        worker,
        default_celery(),
        boot_path(),
        config.loglevel,
        reply_address(config.id),
        config.targets,
    )


class WorkerLogs:
    """The ends of the workers' logs."""

    def __init__(self, instances: Path) -> None:
        self._instances = instances

    def tail(self, name: str, size: int) -> bytes:
        try:
            with open(self._instances / name / "worker.log", "rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - size))
                return file.read(size)
        except FileNotFoundError:
            return b""
        except OSError as exc:
            raise Unavailable(f"cannot read the log of {name}: {exc}") from exc

    def read(self, name: str, place: Place | None, size: int) -> Piece:
        try:
            with open(self._instances / name / "worker.log", "rb") as file:
                return piece(file, place, size)
        except FileNotFoundError:
            return Piece(b"", Place())
        except OSError as exc:
            raise Unavailable(f"cannot read the log of {name}: {exc}") from exc


def piece(file: BinaryIO, place: Place | None, size: int) -> Piece:
    number, end = os.fstat(file.fileno()).st_ino, file.seek(0, os.SEEK_END)
    is_known = place is not None and place.file == number and place.offset <= end
    begin = place.offset if place is not None and is_known else 0
    start = max(begin, end - size)
    file.seek(start)
    data = file.read(end - start)
    skipped = start - begin if place is not None else 0
    if place is None and start:
        # Whoever begins here begins with a line.
        data = data.partition(b"\n")[2]
    return Piece(data, Place(number, end), skipped)


def trim_logs(instances: Path, size: int = LOG_SIZE) -> list[str]:
    """Move the content of every log over *size* bytes to ``worker.log.1``.

    Names of those that were moved come back. The file itself stays: the
    worker has it open, to append, and goes on at its beginning. A line that
    it writes between the copy and the cut is lost.
    """
    trimmed = []
    for path in sorted(instances.glob("*/worker.log")):
        try:
            if path.stat().st_size > size:
                shutil.copyfile(path, path.with_name("worker.log.1"))
                os.truncate(path, 0)
                trimmed.append(path.parent.name)
        except FileNotFoundError:
            continue
        except OSError as exc:
            log.warning("the log of %s cannot be trimmed: %s", path.parent.name, exc)
    return trimmed


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock that a worker holds; ``BlockingIOError`` where one does.

    With the file the lock would go: the next of that name would lock another.
    """
    with ExitStack() as held:
        with suppress(FileNotFoundError):
            file = held.enter_context(open(path, "r+b"))
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in *path*; ``None`` where there is none that is whole."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
