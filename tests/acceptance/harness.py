"""A real ``cyme-branch``, started, asked and ended from outside, as people do."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.acceptance import processes
from tests.services import free_port
from tests.support import eventually, still_running

#: The programs of the environment that the tests run in.
BIN = Path(sys.executable).parent
#: Longer than any wait that a route may have.
HTTP_TIMEOUT_S = 70.0
UP_WITHIN_S = 30.0
DOWN_WITHIN_S = 30.0


@dataclass(frozen=True)
class Program:
    """What ``supervisorctl status`` says; the pid is 0 where there is no process."""

    state: str
    pid: int = 0


class BranchHost:
    """One root directory, and the branch that runs on it.

    The branch is a session of its own, on a port that the kernel gave. What
    it prints is in ``output``. Use it as a context: at its end the branch is
    ended, and whatever it left behind is an error.
    """

    def __init__(
        self,
        *arguments: str,
        broker: str | None = None,
        name: str = "root",
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # Short: a unix socket's path has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="cy", dir="/tmp"))
        self.root = self.folder / name
        self.port = free_port()
        self.broker_given = broker
        self.arguments = arguments
        self.cwd = cwd or self.folder
        self.environment = dict(environment or {})
        self.output = self.folder / "output"
        self.family: list[psutil.Process] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=HTTP_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> BranchHost:
        return self

    def __exit__(self, *_: object) -> None:
        left: list[str] = []
        try:
            self.end()
            left = self.left_behind()
        finally:
            self.client.close()
            processes.kill_all(self.residents())
            shutil.rmtree(self.folder)
        if left:
            raise AssertionError(f"left behind: {left}")

    # Starting and ending

    def start(self, *more: str) -> BranchHost:
        """Start the branch and wait until it answers."""
        self.launch(*more)
        self.await_up()
        return self

    def await_up(self) -> None:
        """Raises ``RuntimeError``, with what it said, when it ends instead."""
        eventually(self.is_up, UP_WITHIN_S, every_s=0.05)

    def launch(self, *more: str) -> None:
        """Start ``cyme-branch`` and do not wait for it."""
        broker = ["-b", self.broker_given] if self.broker_given else []
        self.spawn(f":{self.port}", "-D", str(self.root), *broker, *self.arguments, *more)

    def spawn(self, *words: str) -> None:
        """``cyme-branch`` with these words and no others."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(BIN / "cyme-branch"), *words],
                cwd=self.cwd,
                env={**plain_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        """Whether it serves and has looked at its workers once."""
        assert self.process is not None
        if self.process.poll() is not None:
            said = self.output.read_text(errors="replace")
            raise RuntimeError(f"cyme-branch ended with {self.process.returncode}: {said}")
        try:
            return self.client.get("/health/").status_code == 200
        except httpx.TransportError:
            return False

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """What ^C at its terminal does: a signal to the foreground group."""
        assert self.process is not None
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, number)

    def wait(self, within_s: float = DOWN_WITHIN_S) -> int:
        assert self.process is not None
        return self.process.wait(within_s)

    def end(self) -> None:
        """Stop it as a person does; by force where that takes too long."""
        if self.process is None or self.process.poll() is not None:
            return
        self.interrupt()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            processes.kill_all(each.pid for each in still_running(self.family))
            raise

    def left_behind(self) -> list[str]:
        """Processes, sockets and listening ports that should be gone."""
        try:
            eventually(lambda: not self.residents(), 10.0)
        except AssertionError:
            return [f"process {processes.described(pid)}" for pid in self.residents()]
        ports = [self.port, *([self.broker_port] if self.broker_port else [])]
        left = [f"port {port}" for port in ports if processes.listens(port)]
        return left + [f"socket {path}" for path in self.root.rglob("*") if path.is_socket()]

    def residents(self) -> list[int]:
        """Processes that belong to the branch, or did when it was last ended."""
        names = [str(self.root)]
        if (self.root / "branch.json").exists():
            names.append("@" + self.id)
        return [
            *processes.with_a_foot_in(*names),
            *(each.pid for each in still_running(self.family)),
        ]

    # The branch's own files

    @property
    def settings(self) -> dict[str, Any]:
        """``branch.json``."""
        settings: dict[str, Any] = json.loads((self.root / "branch.json").read_text())
        return settings

    @property
    def id(self) -> str:
        return str(self.settings["id"])

    @property
    def broker(self) -> str:
        """The URL of the broker its workers use unless they name another."""
        return str(self.settings["broker"])

    @property
    def broker_port(self) -> int | None:
        """The port of the broker it runs itself."""
        kept = self.root / "broker" / "address.json"
        return int(json.loads(kept.read_text())["port"]) if kept.exists() else None

    def log(self) -> str:
        return (self.root / "branch.log").read_text(errors="replace")

    # Other ways to look

    def control(self, *words: str) -> list[str]:
        """The words of a ``supervisorctl`` command."""
        return [str(BIN / "supervisorctl"), "-c", str(self.root / "supervisord.conf"), *words]

    def supervisorctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.control(*words),
            cwd="/",
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def programs(self) -> dict[str, Program]:
        """State and pid of every program, in the words of ``supervisorctl``."""
        lines = self.supervisorctl("status").stdout.splitlines()
        states = {line.split()[0]: line.split()[1] for line in lines}
        # It shows the pid of one that is STARTING only when it is asked for it.
        pids = self.supervisorctl("pid", *states).stdout.split()
        return {
            name: Program(state, int(pid))
            for (name, state), pid in zip(states.items(), pids, strict=True)
        }

    def pid(self, program: str) -> int:
        return int(self.supervisorctl("pid", program).stdout)

    def mains(self, instance: str) -> list[int]:
        """Main processes of this instance's worker, found in ``/proc``."""
        return processes.mains(f"{instance}@{self.id}")

    # Asking and changing over HTTP

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return self._said(self.client.get(path, params=params), status)

    def post(self, path: str, status: int = 200, **values: Any) -> Any:
        return self._said(self.client.post(path, json=values), status)

    def delete(self, path: str, status: int = 200, **params: Any) -> Any:
        return self._said(self.client.delete(path, params=params), status)

    def _said(self, response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, f"{response.status_code}: {response.text}"
        return response.json()

    def make(self, app: str, instance: str, **values: Any) -> Any:
        """A new instance that is ready."""
        made = self.post(f"/{app}/instances/{instance}/", 201, **values)
        assert made["ready"] is True, made
        return made

    def is_ready(self, app: str, instance: str) -> bool:
        try:
            return self.get(f"/{app}/instances/{instance}/")["ready"] is True
        except httpx.ConnectError:
            # The web that answered a moment ago was that of a tree which ends.
            return False


def cyme_branch(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``cyme-branch`` with what should make it end by itself, in words."""
    return subprocess.run(
        [str(BIN / "cyme-branch"), *arguments],
        cwd=cwd,
        env={**plain_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        start_new_session=True,
    )


def plain_environment() -> dict[str, str]:
    """The tests' environment, without what is there for the tests or for Cyme."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "CYME_", "CELERY_", "PYTEST_"))
    }


def unique(prefix: str) -> str:
    """A name that no other test of the run has at a shared broker."""
    return f"{prefix}-{secrets.token_hex(3)}"
