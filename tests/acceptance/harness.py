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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from xmlrpc.client import ServerProxy

import httpx
import psutil
from supervisor.options import make_namespec
from supervisor.xmlrpc import SupervisorTransport

from cyme_supd.config import USERNAME
from tests.acceptance import processes
from tests.services import free_port
from tests.support import eventually, still_running

#: The programs of the environment that the tests run in.
BIN = Path(sys.executable).parent
#: Longer than any wait that a route may have.
HTTP_TIMEOUT_S = 70.0
UP_WITHIN_S = 30.0
DOWN_WITHIN_S = 30.0
#: What every process of a branch inherits: the folder of its host.
MARK = "TESTED_FROM"


@dataclass(frozen=True)
class Program:
    """What supervisord says of it; the pid is 0 where there is no process."""

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
        programs: Path = BIN,
        fleet: str | None = None,
    ) -> None:
        # Short: a unix socket's path has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="cy", dir="/tmp"))
        self.root = self.folder / name
        self.port = free_port()
        self.broker_given = broker
        # Of others at a shared broker it is not to know.
        self.fleet = fleet or unique("fleet")
        self.arguments = arguments
        self.cwd = cwd or self.folder
        self.environment = dict(environment or {})
        self.programs_folder = programs
        self.output = self.folder / "output"
        self.family: list[psutil.Process] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=HTTP_TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> Self:
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
        own = [f":{self.port}", "-D", str(self.root), "--fleet", self.fleet, *broker]
        self.spawn(*own, *self.arguments, *more)

    def spawn(self, *words: str) -> None:
        """``cyme-branch`` with these words and no others."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(self.programs_folder / "cyme-branch"), *words],
                cwd=self.cwd,
                env={**plain_environment(), **self.environment, MARK: str(self.folder)},
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
        """Stop it as a person in a hurry does; by force where that takes too long.

        Warm ends take seconds, and have tests of their own.
        """
        if self.process is None or self.process.poll() is not None:
            return
        self.interrupt()
        try:
            eventually(self._is_over, DOWN_WITHIN_S, every_s=0.05)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            processes.kill_all(each.pid for each in still_running(self.family))
            raise

    def _is_over(self) -> bool:
        """Whether it has ended; if not, ^C once more."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.poll() is not None

    def left_behind(self) -> list[str]:
        """Processes, sockets and listening ports that should be gone."""
        try:
            eventually(lambda: not self.residents(), 10.0)
        except AssertionError:
            return [f"process {processes.described(pid)}" for pid in self.residents()]
        # Who is dying has no environment to be known by any more, and yet its sockets.
        with suppress(AssertionError):
            eventually(lambda: not self._open_ports(), 10.0)
        sockets = [f"socket {path}" for path in self.root.rglob("*") if path.is_socket()]
        return self._open_ports() + sockets

    def _open_ports(self) -> list[str]:
        ports = [self.port, *([self.broker_port] if self.broker_port else [])]
        return [f"port {port}" for port in ports if processes.listens(port)]

    def residents(self) -> list[int]:
        """Processes that belong to the branch, or did when it was last ended.

        Not by the branch's name, which one of another test may have as well.
        """
        return [
            *processes.with_a_foot_in(str(self.folder)),
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
        """State and pid of every program, by the names that ``supervisorctl`` has for them."""
        with self.supervisord() as server:
            found: Any = server.supervisor.getAllProcessInfo()
        return {
            make_namespec(one["group"], one["name"]): Program(one["statename"], one["pid"])
            for one in found
        }

    def pid(self, program: str) -> int:
        with self.supervisord() as server:
            found: Any = server.supervisor.getProcessInfo(program)
        return int(found["pid"])

    def supervisord(self) -> ServerProxy:
        """Its own interface: a ``supervisorctl`` for every look would take most of a test."""
        password = self.settings["supervisor_password"]
        url = f"unix://{self.root / 'supervisord.sock'}"
        return ServerProxy("http://127.0.0.1", SupervisorTransport(USERNAME, password, url))

    def mains(self, instance: str) -> list[int]:
        """Main processes of this instance's worker, found in ``/proc``."""
        own = processes.with_a_foot_in(str(self.folder))
        return [pid for pid in processes.mains(f"{instance}@{self.id}") if pid in own]

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
        except httpx.TransportError:
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
