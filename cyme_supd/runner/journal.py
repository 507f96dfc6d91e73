"""What a runner has claimed and not begun: who outlives it gives that back.

A file for each process, ``<root>/runs/journals/<broker>-<random>``, which it holds
locked while it lives: a lock of the process, which nothing it starts inherits. In it
are slots of one size, one for each claim, written in one piece, so that whoever is
killed leaves each as it was or as it was to be. Not what the disk keeps matters,
but what the kernel has: nothing waits for the disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from cyme_supd.domain.orders import Withdrawal
from cyme_supd.errors import CymeError, Unavailable

log = logging.getLogger(__name__)

#: A page of memory holds a whole number of them.
SLOT = 1024
SWEEP_EVERY_S = 10.0
#: Of another broker, which no runner of this root uses any more.
KEPT_S = 86400.0

Withdraw = Callable[[str, Withdrawal], None]


class Journal:
    """Of one process. ``withdraw(reply, said)`` returns when the broker keeps it, or raises."""

    #: Its own files: a process can lock what it has locked already.
    _mine: ClassVar[set[str]] = set()

    def __init__(self, root: str | Path, broker: str, withdraw: Withdraw) -> None:
        self._folder = Path(root).absolute() / "runs" / "journals"
        self._broker = hashlib.sha256(broker.encode()).hexdigest()[:16]
        self._withdraw = withdraw
        self._path = self._folder / f"{self._broker}-{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._slots: dict[str, int] = {}
        self._given_up: dict[str, tuple[str, str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def note(self, run: str, nonce: str, reply: str) -> None:
        """To be called before it is claimed; ``Unavailable`` where it cannot be written down."""
        line = json.dumps({"run": run, "nonce": nonce, "reply": reply}).encode()
        with self._lock:
            taken = set(self._slots.values())
            slot = next(number for number in range(len(taken) + 1) if number not in taken)
            try:
                self._write(slot, line)
            except OSError as exc:
                raise Unavailable(f"no claim can be written down: {exc}") from exc
            self._slots[nonce] = slot

    def forget(self, nonce: str) -> None:
        """Nobody else is to give that claim back: it is refused, or its process begins now."""
        with self._lock:
            slot = self._slots.pop(nonce, None)
            if slot is not None:
                self._write(slot, b"")

    def give_up(self, run: str, nonce: str, reply: str) -> None:
        """Nothing is started by that claim any more; it is withdrawn when the broker is there."""
        with self._lock:
            self._given_up[nonce] = run, reply

    def close(self) -> None:
        """When nothing is claimed any more; what was given up and not kept is left to others."""
        self._stop.set()
        self._thread.join(SWEEP_EVERY_S)
        with self._lock:
            if self._fd is None:
                return
            if not self._slots:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None
            self._mine.discard(self._path.name)

    def sweep(self) -> None:
        """Give back what this process gave up, and what was claimed by those that are gone."""
        with self._lock:
            given_up = dict(self._given_up)
        for nonce, (run, reply) in given_up.items():
            self._withdraw(reply, Withdrawal(run, nonce))
            self.forget(nonce)
            with self._lock:
                del self._given_up[nonce]
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._folder)):
                if name not in self._mine:
                    self._sweep(self._folder / name)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.sweep()
            except (CymeError, OSError) as exc:
                log.warning("claims of those that are gone are not given back yet: %s", exc)
            self._stop.wait(SWEEP_EVERY_S)

    def _sweep(self, path: Path) -> None:
        is_ours = path.name.startswith(f"{self._broker}-")
        if not is_ours and time.time() - path.stat().st_mtime < KEPT_S:
            return
        with _abandoned(path) as data:
            for said in _claims(data if is_ours else b""):
                log.warning("run %s was claimed by a runner that is gone", said["run"])
                self._withdraw(said["reply"], Withdrawal(said["run"], said["nonce"]))
            if data is not None:
                path.unlink()

    def _write(self, slot: int, line: bytes) -> None:
        if len(line) >= SLOT:
            raise Unavailable("a claim is too long to be written down")
        if self._fd is None:
            self._fd = self._open()
        os.pwrite(self._fd, line.ljust(SLOT - 1) + b"\n", slot * SLOT)

    def _open(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody takes it for left behind: it has its name when it is locked.
        hidden = self._folder / f".{self._path.name}"
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._mine.add(self._path.name)
        os.rename(hidden, self._path)
        return fd


@contextmanager
def _abandoned(path: Path) -> Iterator[bytes | None]:
    """What is in a journal whose process is gone, held until the end; else None."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        yield _read(fd) if _is_free(fd) else None
    finally:
        os.close(fd)


def _is_free(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # Another one has just done with it.
    return os.fstat(fd).st_nlink > 0


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _claims(data: bytes | None) -> Iterator[dict[str, str]]:
    for line in (data or b"").split(b"\n"):
        with suppress(ValueError):
            yield json.loads(line)
