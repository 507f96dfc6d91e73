"""What a figure is held against: a bare worker, a stock supervisord."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Producer, Queue
from kombu.pidbox import Mailbox

from benchmarks.harness import DEADLINE_S, celery, end, start
from cyme_supd.supervisord.client import Supervisord
from tests.support import eventually

_READY = b" ready."
_MAILBOX = Mailbox("celery", type="fanout")
PASSWORD = "bench"
#: How often a worker that does not answer yet is asked again.
ASK_EVERY_S = 0.005


def write_app(directory: Path, broker: str) -> None:
    """The least that ``celery -A peer`` can be: ``peer.py`` in *directory*."""
    (directory / "peer.py").write_text(
        f"from celery import Celery\n\napp = Celery('peer', broker={broker!r})\n"
    )


def lean(launched: Sequence[str], node: str) -> list[str]:
    """The words that an instance was *launched* with, for the app ``peer`` and another node."""
    words = list(launched)
    words[words.index("-A") + 1] = "peer"
    words[words.index("-n") + 1] = node
    words[words.index("-Q") + 1] = f"dq.{node.partition('@')[0]}"
    return words


def default() -> list[str]:
    """``celery worker`` as a person types it; by itself it does not say that it is ready."""
    return [celery(), "-A", "peer", "worker", "--loglevel", "INFO"]


@contextmanager
def worker(argv: Sequence[str], directory: Path) -> Iterator[tuple[float, int]]:
    """A ``celery worker`` that is ready: the seconds that took, and its pid."""
    reading, writing = os.pipe()
    begun = time.perf_counter()
    process = start(argv, directory, writing)
    os.close(writing)
    try:
        _read_until_ready(reading)
        yield time.perf_counter() - begun, process.pid
    finally:
        end(process)
        os.close(reading)


def _read_until_ready(output: int) -> None:
    # Against a deadline: what a worker says depends on its log level.
    deadline = time.monotonic() + DEADLINE_S
    poll = select.poll()
    poll.register(output, select.POLLIN | select.POLLHUP)
    said = b""
    while _READY not in said:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError(f"the worker has not said that it is ready: {said.decode()}")
        more = os.read(output, 65536)
        if not more:
            raise RuntimeError(f"the worker ended: {said.decode()}")
        said += more


def wait_until_logged(log: Path, size: int) -> None:
    """Until the worker says that it is ready, in *log* past its first *size* bytes."""

    def is_logged() -> bool:
        if log.stat().st_size <= size:
            return False
        with log.open("rb") as file:
            file.seek(size)
            return _READY in file.read()

    eventually(is_logged, DEADLINE_S, every_s=0.002)


class Caller:
    """Asks workers of one broker whether they answer, on a standing reply queue.

    With less delay than the interface, which shows what the branch saw.
    """

    def __init__(self, broker: str) -> None:
        self._connection = Connection(broker)
        self._address = f"bench-{uuid4().hex}"
        self._answers: dict[tuple[str, str], Any] = {}
        replies = Queue(
            self._address, _MAILBOX.reply_exchange, self._address, durable=False, auto_delete=True
        )
        self._consumer = Consumer(
            self._connection.default_channel,
            [replies],
            callbacks=[self._receive],
            no_ack=True,
            accept=["json"],
        )
        self._producer = Producer(self._connection.channel())

    def __enter__(self) -> Caller:
        self._consumer.consume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._consumer.cancel()
        self._connection.release()

    def _receive(self, body: Mapping[str, Any], message: Any) -> None:
        ticket = str(message.headers.get("ticket"))
        self._answers.update({(ticket, node): said for node, said in body.items()})

    def wait_for(self, node: str, command: str = "ping") -> Any:
        """What *node* answers to a *command* put from now on."""
        ticket, deadline = uuid4().hex, time.monotonic() + DEADLINE_S
        self._answers.clear()
        while (ticket, node) not in self._answers:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{node} does not answer")
            self._ask(node, command, ticket)
            self._drain(time.monotonic() + ASK_EVERY_S, (ticket, node))
        return self._answers[ticket, node]

    def wait_until_consumed(self, queue: str, node: str) -> None:
        """Until *node* itself says that it consumes from *queue*."""
        deadline = time.monotonic() + DEADLINE_S
        while queue not in {found["name"] for found in self.wait_for(node, "active_queues")}:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{node} does not consume from {queue}")

    def _ask(self, node: str, command: str, ticket: str) -> None:
        reply_to = {"exchange": _MAILBOX.reply_exchange.name, "routing_key": self._address}
        self._producer.publish(
            {
                "method": command,
                "arguments": {},
                "destination": [node],
                "ticket": ticket,
                "reply_to": reply_to,
            },
            exchange=_MAILBOX.exchange,
            declare=[_MAILBOX.exchange],
            headers={"clock": 0, "expires": time.time() + DEADLINE_S},
        )

    def _drain(self, until: float, wanted: tuple[str, str]) -> None:
        while wanted not in self._answers and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=left)


class StockSupervisord:
    """A plain supervisord in *directory*; *programs* are command lines by name.

    *extra* are more lines for its configuration.
    """

    def __init__(
        self, directory: Path, programs: Mapping[str, Sequence[str]], extra: str = ""
    ) -> None:
        conf = directory / "supervisord.conf"
        conf.write_text(_conf(directory, programs) + extra)
        self._directory = directory
        self._output = directory / "supervisord.out"
        self.process = start(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)],
            directory,
            self._output,
        )
        self._client = Supervisord(directory / "s.sock", PASSWORD, read_timeout_s=DEADLINE_S)

    def call(self, method: str, *params: Any) -> Any:
        """What its XML-RPC interface answers."""
        return self._client.call(method, *params)

    def wait_until_running(self) -> None:
        eventually(self._is_running, DEADLINE_S, every_s=0.1)

    def _is_running(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"supervisord ended: {self._output.read_text()}")
        try:
            return all(found["statename"] == "RUNNING" for found in self.programs().values())
        except Exception as exc:
            raise AssertionError(f"supervisord does not answer: {exc}") from exc

    def programs(self) -> dict[str, dict[str, Any]]:
        found = self._client.call("supervisor.getAllProcessInfo")
        return {record["name"]: record for record in found}

    def log(self, name: str) -> Path:
        """What the program says."""
        return self._directory / name / "log"

    def end(self) -> None:
        end(self.process, signal.SIGTERM)


def _conf(directory: Path, programs: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "[unix_http_server]",
        f"file={directory}/s.sock",
        "username=cyme",
        f"password={PASSWORD}",
        "[supervisord]",
        f"logfile={directory}/supervisord.log",
        f"pidfile={directory}/supervisord.pid",
        f"childlogdir={directory}",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for name, argv in programs.items():
        place = directory / name
        place.mkdir()
        lines += [
            f"[program:{name}]",
            f"command={' '.join(argv)}",
            f"directory={place}",
            f'environment=PYTHONPATH="{directory}"',
            "redirect_stderr=true",
            f"stdout_logfile={place}/log",
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def stock(
    directory: Path, programs: Mapping[str, Sequence[str]], extra: str = ""
) -> Iterator[StockSupervisord]:
    """One whose programs have all started."""
    running = StockSupervisord(directory, programs, extra)
    try:
        running.wait_until_running()
        yield running
    finally:
        running.end()
