"""Remote control while its broker is away, hangs, or loses one connection only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from kombu import Connection

from cyme_supd.brokers import bounded, connections
from cyme_supd.clock import SystemClock
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable
from cyme_supd.workers.pidbox import REPLY_EXCHANGE
from cyme_supd.workers.questions import WorkerQuestions
from tests.integration.test_remote import Heard, a_worker_at, running
from tests.support import eventually


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.collectors.stop()
    eventually(lambda: not heard.beats & {thread.name for thread in threading.enumerate()}, 30)


@contextmanager
def frozen(url: str) -> Iterator[None]:
    pid = listener(url)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def listener(url: str) -> int:
    """The process that listens at the address in *url*."""
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            assert connection.pid is not None
            return int(connection.pid)
    raise AssertionError(f"nobody listens on {port}")


def is_well(heard: Heard, url: str) -> bool | None:
    return heard.collectors.pulse(url).is_well


@pytest.mark.parametrize("thread", ["asker", "collector"])
def test_the_pulse_comes_back_whichever_thread_lost_its_connection(
    thread: str, heard: Heard, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Connection] = {}

    def connect(conn: Connection) -> None:
        real(conn)
        made[threading.current_thread().name.partition(":")[0]] = conn

    real = bounded.connect
    monkeypatch.setattr(bounded, "connect", connect)
    heard.collectors.use([rabbitmq_url])
    eventually(lambda: is_well(heard, rabbitmq_url))

    made[thread].connection.transport.sock.shutdown(socket.SHUT_RDWR)

    eventually(lambda: heard.pulses == 3 and is_well(heard, rabbitmq_url))


def has_answered(heard: Heard, worker: Worker, since: float) -> bool:
    answer = heard.collectors.answer(worker)
    return answer is not None and answer.at > since


def test_answers_come_again_when_the_broker_was_emptied(
    heard: Heard, valkey_url: str, tmp_path: Path
) -> None:
    """On Redis the way back to the branch is a key like any other."""
    worker = a_worker_at(valkey_url)
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    with running(worker, tmp_path), redis.Redis.from_url(valkey_url) as server:
        eventually(lambda: heard.collectors.answer(worker), 30)
        for _ in range(2):
            assert server.delete(f"_kombu.binding.{REPLY_EXCHANGE.name}") == 1
            asked_at = time.monotonic()
            heard.collectors.ask_all()
            eventually(partial(has_answered, heard, worker, asked_at))


def test_what_was_asked_meanwhile_is_not_asked_when_it_is_back(
    heard: Heard, valkey_url: str
) -> None:
    worker = a_worker_at(valkey_url)
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    with redis.Redis.from_url(valkey_url) as server, server.pubsub() as ears:
        ears.psubscribe("*celery.pidbox*")
        eventually(lambda: ears.get_message() is not None)
        with frozen(valkey_url):
            eventually(lambda: is_well(heard, valkey_url) is False, 20)
            for limit in range(50):
                heard.collectors.autoscale([worker], limit, 0)
                heard.collectors.ask_all()
        eventually(lambda: is_well(heard, valkey_url), 20)
        heard.collectors.autoscale([worker], 99, 0)
        methods: list[bytes] = []

        def is_last_heard() -> bool:
            while message := ears.get_message():
                methods.append(base64.b64decode(json.loads(message["data"])["body"]))
            return any(b"99" in each for each in methods)

        eventually(is_last_heard)
    # The question of the collector that is back, and what was put after that.
    assert len(methods) <= 5


@pytest.mark.faults
def test_both_threads_show_signs_of_life_while_it_hangs(heard: Heard, valkey_url: str) -> None:
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    names = set(heard.beats)
    with frozen(valkey_url):
        eventually(lambda: is_well(heard, valkey_url) is False, 20)
        for _ in range(2):
            heard.beats.clear()
            eventually(lambda: heard.beats == names, 20)


def test_one_that_is_left_while_it_hangs_is_not_waited_for(valkey_url: str) -> None:
    heard = Heard()
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    names = set(heard.beats)
    with frozen(valkey_url):
        eventually(lambda: is_well(heard, valkey_url) is False, 20)
        heard.collectors.use([])
        heard.beats.clear()
        eventually(lambda: not names & {thread.name for thread in threading.enumerate()}, 30)
    # Who is watched and has ended counts as stuck.
    assert heard.retired == names
    assert heard.beats == set()


@pytest.mark.faults
def test_one_that_vanishes_without_a_word_is_found_again(heard: Heard, valkey_url: str) -> None:
    with Wire(valkey_url) as wire:
        heard.collectors.use([wire.url])
        eventually(lambda: is_well(heard, wire.url))
        # Connections stay open for ever, and new ones are good.
        wire.mute()
        eventually(lambda: is_well(heard, wire.url) is False, 20)

        eventually(lambda: is_well(heard, wire.url), 20)


class Wire:
    """Passes on what goes to a broker and comes from it, until it is mute."""

    def __init__(self, url: str) -> None:
        port = url.rsplit(":", 1)[1].partition("/")[0]
        self._target = ("127.0.0.1", int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(port, str(self._listener.getsockname()[1]))
        self._open: list[socket.socket] = []
        self._mute: set[socket.socket] = set()

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mute(self) -> None:
        """What is open now says nothing any more, and does not close."""
        self._mute.update(self._open)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if source not in self._mute:
                    target.sendall(chunk)


def test_a_queue_to_drop_is_dropped_when_it_is_back_unless_it_is_used_again(
    heard: Heard, valkey_url: str
) -> None:
    gone, again = a_worker_at(valkey_url, name="gone"), a_worker_at(valkey_url, name="again")
    with Connection(valkey_url) as connection:
        for worker in (gone, again):
            connection.SimpleQueue(f"dq.{worker.name}").close()
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    with frozen(valkey_url):
        eventually(lambda: is_well(heard, valkey_url) is False, 20)
        heard.collectors.drop_queue(gone)
        heard.collectors.drop_queue(again)
        heard.collectors.forget(again)

    with redis.Redis.from_url(valkey_url) as server:
        eventually(lambda: not server.exists("_kombu.binding.dq.gone"), 20)
        assert server.exists("_kombu.binding.dq.again")


def test_with_the_queue_goes_the_mailbox_of_one_that_was_killed(
    heard: Heard, valkey_url: str
) -> None:
    gone, kept = a_worker_at(valkey_url, name="gone"), a_worker_at(valkey_url, name="kept")
    bindings = "_kombu.binding.celery.pidbox"
    member = "\x06\x16\x06\x16{}.celery.pidbox".format
    heard.collectors.use([valkey_url])
    eventually(lambda: is_well(heard, valkey_url))
    with redis.Redis.from_url(valkey_url, decode_responses=True) as server:
        server.sadd(bindings, member(gone.nodename), member(kept.nodename))
        heard.collectors.drop_queue(gone)
        eventually(lambda: not server.sismember(bindings, member(gone.nodename)))
        assert server.sismember(bindings, member(kept.nodename))


def test_a_question_to_one_that_hangs_ends_and_leaves_nothing(valkey_url: str) -> None:
    questions = WorkerQuestions(SystemClock())
    with redis.Redis.from_url(valkey_url) as server:
        before = set(server.keys())
        with frozen(valkey_url):
            begun = time.monotonic()
            with pytest.raises(Unavailable):
                questions.stats(a_worker_at(valkey_url), 1)
            assert time.monotonic() - begun < 15
        with pytest.raises(Unavailable):
            questions.stats(a_worker_at(valkey_url), 0.3)
        assert set(server.keys()) <= before | {b"_kombu.binding.celery.pidbox"}


def test_a_resolver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        released.wait()
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        for url in ("redis://nowhere.example:6379/0", "amqp://guest:guest@nowhere.example//"):
            with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
                bounded.connect(connections.connection(url), within_s=0.2)
    finally:
        released.set()
    eventually(lambda: not any("connect" in each.name for each in threading.enumerate()))
