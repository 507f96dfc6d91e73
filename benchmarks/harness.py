"""What every bench needs: brokers, a branch, folders, and an end to all of them."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil

from benchmarks.figures import ENOUGH_PAIRS
from cyme_supd.config import Paths, load
from cyme_supd.supervisord.client import Supervisord
from tests import services
from tests.support import eventually, still_running

#: Nothing that is measured takes longer, however busy the machine.
DEADLINE_S = 120.0


def pairs_wanted(description: str | None, default: int = ENOUGH_PAIRS) -> int:
    """``--pairs`` of the command line."""
    return wanted(description, pairs=default)["pairs"]


def wanted(description: str | None, **defaults: int) -> dict[str, int]:
    """Numbers of the command line, such as ``--pairs``; none is below one."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    # As ^C does: what was started is ended.
    signal.signal(signal.SIGTERM, _end)
    return {name: max(1, value) for name, value in vars(parser.parse_args()).items()}


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


@contextmanager
def folder() -> Iterator[Path]:
    """A private folder with a path short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="cyme-bench-") as path:
        yield Path(path)


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a Valkey of this bench's own."""
    with folder() as place, services.valkey(place) as url:
        yield url


@contextmanager
def rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ's virtual host of this bench's own."""
    with folder() as place, services.rabbitmq(place) as broker, broker.vhost() as url:
        yield url


BROKERS = {"Valkey": valkey, "RabbitMQ": rabbitmq}


class Branch:
    """A ``cyme-branch`` on *broker*, in a folder and on a port of its own."""

    def __init__(self, root: Path, broker: str, *words: str) -> None:
        self.paths = Paths(root)
        self.port = services.free_port()
        self._output = root.with_name(f"{root.name}.out")
        self.process = start(
            [_beside_python("cyme-branch"), f":{self.port}", "-D", str(root), "-b", broker, *words],
            root.parent,
            self._output,
        )

    def wait_until_up(self) -> None:
        eventually(self._is_up, DEADLINE_S, every_s=0.05)

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"cyme-branch ended: {self._output.read_text()}")
        # The hint's socket is there once the branch listens.
        if not self.paths.hints.exists():
            return False
        try:
            return bool(self.ask("GET", "/health/")["ok"])
        except (OSError, RuntimeError):
            return False

    @property
    def supervisord(self) -> Supervisord:
        config = load(self.paths.root)
        return Supervisord(self.paths.supervisord_socket, config.supervisor_password)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """The JSON that comes back; ``RuntimeError`` for an error."""
        return self.send(method, path, json.dumps(body) if body else None)

    def send(self, method: str, path: str, content: str | None = None) -> Any:
        """As :meth:`ask`, with a JSON text for a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, content, {"Content-Type": _JSON})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text}")
        return json.loads(text)

    def launch(self, name: str) -> dict[str, Any]:
        """What the instance is launched with."""
        content: dict[str, Any]
        content = json.loads((self.paths.instances / name / "launch.json").read_text())
        return content

    def last_words(self) -> str:
        """The end of what all of its programs said."""
        return "\n".join(self._output.read_text().splitlines()[-40:])

    def end(self) -> None:
        """Stop it; whatever does not follow is killed."""
        end(self.process, signal.SIGINT)


_JSON = "application/json"


@contextmanager
def branch(broker: str, *words: str) -> Iterator[Branch]:
    """A branch that answers, with the app ``foo``; *words* are more for its command line."""
    with folder() as place:
        running = Branch(place / "r", broker, *words)
        try:
            running.wait_until_up()
            running.ask("POST", "/foo/")
            yield running
        except Exception as exc:
            exc.add_note(running.last_words())
            raise
        finally:
            running.end()


def celery() -> str:
    return _beside_python("celery")


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def start(
    argv: Sequence[str], directory: Path, output: Path | int, has_session: bool = True
) -> subprocess.Popen[bytes]:
    """A process that ^C at the bench does not reach: in a session of its own, or a group.

    Linux shares processors out among sessions first. What supervisord starts
    has one session for all; so must what many of those are compared with.
    """
    stdout = output if isinstance(output, int) else os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            argv,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=has_session,
            process_group=None if has_session else 0,
        )
    finally:
        if stdout != output:
            os.close(stdout)


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """Have it end by signal *number*, and kill it and its children when it does not."""
    children = _children(process.pid)
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        children += _children(process.pid)
        process.kill()
        process.wait()
    for child in still_running(children):
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def timed(act: Callable[[], object]) -> float:
    """Seconds that *act* takes."""
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def seconds_to_end(pid: int, number: int) -> float:
    """From the signal until the process *pid* is no more."""
    with gone(pid) as wait:
        begun = time.perf_counter()
        os.kill(pid, number)
        wait()
        return time.perf_counter() - begun


@contextmanager
def gone(pid: int) -> Iterator[Callable[[], None]]:
    """What waits for the end of *pid*, to the moment: polling would add its interval."""
    handle = os.pidfd_open(pid)

    def wait() -> None:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(DEADLINE_S * 1000):
            raise TimeoutError(f"process {pid} has not ended")

    try:
        yield wait
    finally:
        os.close(handle)
