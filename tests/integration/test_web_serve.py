"""The interface behind its real server: how it starts, refuses, and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.streams import Stream
from tests.support import eventually, still_running

SCRIPT = """
import sys
from cyme_supd.web.serve import serve
from cyme_supd.web.settings import Settings
from cyme_supd.service import ThisBranch
from tests.unit.service_support import (
    Backends,
    Hints,
    Logs,
    PlayedBranch,
    PlayedClock,
    RunLogs,
)
from cyme_supd.clock import SystemClock
from cyme_supd.service import Service
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.testing.questions import MemoryQuestions
from cyme_supd.testing.store import MemoryStore
from cyme_supd.testing.strays import MemoryStrays
from cyme_supd.testing.taskbroker import MemoryTaskBroker
from dataclasses import replace
from tests.unit.values import the_launch

BROKER = "redis://127.0.0.1:6379/0"

def make():
    store, clock = MemoryStore(BROKER), SystemClock()
    with store.writing() as tx:
        row = PlayedBranch(store, PlayedClock()).row()
        tx.save_branch(replace(row, started_at=clock.now(), sup_interval=100.0))
    fleet = MemoryFleet(clock)
    here = ThisBranch("b1", BROKER, False, 100.0)
    return Service(store=store, hints=Hints(), questions=MemoryQuestions(), logs=Logs(),
                   clock=clock, here=here, strays=MemoryStrays(), run_logs=RunLogs(),
                   backends=Backends(),
                   broker_queues=MemoryBrokerQueues(), publisher=MemoryPublisher(),
                   task_broker=MemoryTaskBroker(),
                   launched=MemoryLaunches(), launch_of=the_launch, mailbox=fleet,
                   presence=fleet)

settings = Settings(branch="b1", host=sys.argv[1], port=int(sys.argv[2]), processes=1)
serve(replace(settings, api_rate=int(sys.argv[3])), make)
"""
CHECKOUT = Path(__file__).parents[2]


class Server:
    def __init__(self, host: str, home: Path, api_rate: int = 0) -> None:
        self.host = host
        self.port = _free_port(host)
        self._path = home / "web.log"
        self._log = self._path.open("wb")
        self.arbiter = psutil.Popen(
            [sys.executable, "-c", SCRIPT, host, str(self.port), str(api_rate)],
            cwd=CHECKOUT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        bracketed = f"[{host}]" if ":" in host else host
        self.url = f"http://{bracketed}:{self.port}"

    def wait_until_up(self) -> None:
        def is_up() -> bool:
            try:
                return httpx.get(f"{self.url}/ping/").status_code == 200
            except httpx.TransportError:
                assert self.arbiter.poll() is None, "it ended"
                return False

        eventually(is_up, within_s=30)

    def ask(self, raw: bytes) -> bytes:
        """What comes back for *raw*, sent as it is."""
        with socket.create_connection((self.host, self.port), timeout=10) as connection:
            connection.sendall(raw)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer

    def log(self) -> bytes:
        return self._path.read_bytes()

    def close(self) -> None:
        with self._log, suppress(psutil.NoSuchProcess):
            # Its workers go with it; that they do is tested here, not relied upon.
            for each in (*self.arbiter.children(recursive=True), self.arbiter):
                each.kill()
            self.arbiter.wait(10)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server("127.0.0.1", tmp_path)
    try:
        running.wait_until_up()
        yield running
    finally:
        running.close()


def test_it_listens_on_an_ipv6_address(tmp_path: Path) -> None:
    running = Server("::1", tmp_path)
    try:
        running.wait_until_up()
        assert httpx.get(f"{running.url}/").json() == []
    finally:
        running.close()


def test_what_the_server_itself_refuses_has_the_error_body(server: Server) -> None:
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    for raw in (
        b"GET /\x00 HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/9.9\r\n" + host + b"\r\n",
        b"G@T / HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /" + b"a" * 10000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 10000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Bad Header: x\r\n\r\n",
        b"PUT /foo/ HTTP/1.1\r\n" + host + b"Transfer-Encoding: nonsense\r\n\r\n",
        b"PUT /foo/ HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
        b"PUT /foo/ HTTP/1.1\r\n" + host + b"Content-Length: x\r\n\r\n",
        b"PUT /foo/ HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\nConnection: close\r\n\r\nZZ\r\n",
    ):
        head, _, body = server.ask(raw).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert 400 <= status < 500, raw[:80]
        assert b"Content-Security-Policy: default-src 'none'" in head, raw[:80]
        assert set(json.loads(body)["error"]) == {"code", "message", "hint"}, raw[:80]


def test_a_body_in_chunks_has_the_same_limit(server: Server) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    answer = httpx.put(f"{server.url}/foo/", content=parts(), headers=headers, timeout=30)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def kept_alive(server: Server) -> Callable[[], None]:
    client = httpx.Client()
    client.get(f"{server.url}/ping/")
    return client.close


def silent(server: Server) -> Callable[[], None]:
    return socket.create_connection((server.host, server.port)).close


def waiting(server: Server) -> Callable[[], None]:
    answers: list[httpx.Response] = []

    def wait() -> None:
        answers.append(httpx.put(f"{server.url}/foo/instances/w1/", timeout=40))

    def check() -> None:
        thread.join(10)
        assert answers[0].status_code == 503
        assert answers[0].json()["error"]["code"] == "unavailable"

    httpx.put(f"{server.url}/foo/").raise_for_status()
    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: httpx.get(f"{server.url}/foo/instances/").json() == ["w1"])
    return check


def listening(server: Server) -> Callable[[], None]:
    held = ExitStack()
    client = held.enter_context(httpx.Client(base_url=server.url, timeout=30))
    stream = held.enter_context(Stream(client, "/api/events/"))
    eventually(lambda: stream.events)

    def check() -> None:
        eventually(lambda: stream.has_ended)
        held.close()

    return check


@pytest.mark.parametrize("hold", [None, kept_alive, silent, waiting, listening])
def test_it_ends_soon_and_whole(
    hold: Callable[[Server], Callable[[], None]] | None, server: Server
) -> None:
    workers = server.arbiter.children()
    release = hold(server) if hold else None
    server.arbiter.send_signal(signal.SIGTERM)
    assert server.arbiter.wait(20) == 0
    if release:
        release()
    assert still_running(workers) == []
    # They ended by themselves, before the arbiter's patience did.
    assert b"SIGKILL" not in server.log()


def test_streams_leave_threads_for_others(server: Server) -> None:
    """And whoever goes away leaves room for the next."""
    with ExitStack() as held:
        client = held.enter_context(httpx.Client(base_url=server.url, timeout=30))
        streams = [Stream(client, "/api/events/") for _ in range(20)]
        refused = [each.answer for each in streams if each.answer.status_code == 503]
        assert len(refused) == 8
        assert all(int(each.headers["Retry-After"]) > 0 for each in refused)
        for each in streams:
            held.enter_context(each)
        assert httpx.get(f"{server.url}/ping/").json() == {"ok": "pong"}
        assert httpx.get(f"{server.url}/").json() == []
    with httpx.Client(base_url=server.url, timeout=30) as client:

        def is_let_in() -> bool:
            with Stream(client, "/api/events/") as stream:
                return stream.answer.status_code == 200

        eventually(is_let_in)


def test_workers_do_not_outlive_an_arbiter_that_is_killed(server: Server) -> None:
    workers = server.arbiter.children()
    assert workers
    server.arbiter.kill()
    server.arbiter.wait(10)
    eventually(lambda: not still_running(workers))


def test_a_worker_that_is_killed_is_replaced(server: Server) -> None:
    (worker,) = server.arbiter.children()
    worker.kill()
    eventually(lambda: server.arbiter.children() not in ([], [worker]))
    server.wait_until_up()


@pytest.mark.parametrize("size", [0, 20_000])
def test_one_too_many_is_refused_and_the_connection_goes_on(tmp_path: Path, size: int) -> None:
    """Also where a body came along, and whichever the route."""
    server = Server("127.0.0.1", tmp_path, api_rate=1)
    try:
        server.wait_until_up()
        with httpx.Client(base_url=server.url, timeout=5) as client:
            while client.get("/").status_code == 200:
                pass
            for path in ("/foo/", "/foo/queue/tasks/http://example.com/"):
                # One more may be asked each second, however long this has taken.
                while (refused := client.post(path, content=b"{" * size)).status_code == 404:
                    pass
                assert refused.status_code == 429
                assert 1 <= int(refused.headers["Retry-After"]) <= 2
                assert client.get("/ping/").json() == {"ok": "pong"}
    finally:
        server.close()
