"""The bundled app's task, as its worker calls it: every request ends in a stated result."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import Reject
from kombu import Connection, Queue

from cyme_supd.config import boot_path
from cyme_supd.domain.target import Policy
from cyme_supd.errors import Unavailable
from cyme_supd.workers import bundled
from cyme_supd.workers.fetch import FetchFailed
from cyme_supd.workers.reports import Reports
from tests.integration.raw_server import Server, saying, serving

Run = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def queue(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(bundled, "reports", Reports(valkey_url))
    monkeypatch.setattr(bundled, "POLICY", Policy(is_loopback_allowed=True))
    return f"cyme.results.{secrets.token_hex(6)}"


@pytest.fixture
def run(queue: str) -> Iterator[Run]:
    task = bundled.request
    task.push_request(id="i1", reply_to=queue, headers={"cyme_app": "foo"}, cyme_app="foo")
    yield task.run
    task.pop_request()


def told(url: str, queue: str) -> list[dict[str, Any]]:
    found = []
    with Connection(url) as connection:
        bound = Queue(queue)(connection.channel())
        while (message := bound.get(no_ack=True)) is not None:
            found.append(json.loads(message.body))
    return found


def test_an_answer(server: Server, run: Run, queue: str, valkey_url: str) -> None:
    server.behave = saying(b"HTTP/1.1 503 x\r\nContent-Length: 2\r\n\r\n\xff\0")
    sent = {"headers": [["A", "b"]], "body": "/w==", "encoding": "base64"}
    assert run("POST", server.url("/x"), **sent) == 503
    (ended,) = told(valkey_url, queue)
    assert (ended["id"], ended["app"], ended["state"]) == ("i1", "foo", "SUCCESS")
    assert (ended["error"], ended["at"][-1]) == (None, "Z")
    assert set(ended["result"]) == {
        "status_code", "headers", "body", "encoding", "truncated", "elapsed_s", "url",
    }  # fmt: skip
    assert server.bodies == [b"\xff"]


def test_no_answer(run: Run, queue: str, valkey_url: str) -> None:
    for url in ("http://169.254.169.254/", "http://127.0.0.1:1/", "nonsense"):
        with pytest.raises(FetchFailed) as caught:
            run("GET", url)
        (ended,) = told(valkey_url, queue)
        assert (ended["state"], ended["result"]) == ("FAILURE", None)
        assert ended["error"] == str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"body": "\u20ac", "encoding": "base64"},
        {"body": "\u20ac", "encoding": "ascii"},
        {"body": "x", "encoding": "no-such"},
        {"headers": [["A"]]},
        {"headers": 7},
        {"headers": [["\u20ac", "b"]]},
        {"headers": [["A", "b\r\nC: d"]]},
        {"headers": [["A", " b "]]},
        {"method": "GET /\r\n"},
        {"method": ""},
        {"method": None},
        {"url": None},
    ],
    ids=str,
)
def test_arguments_that_nobody_queued_here(
    given: dict[str, Any], server: Server, run: Run, queue: str, valkey_url: str
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011
        run(**{"method": "POST", "url": server.url(), **given})
    (ended,) = told(valkey_url, queue)
    assert (ended["state"], ended["result"]) == ("FAILURE", None)
    assert ended["error"]


def test_what_nobody_foresaw(
    run: Run, queue: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(bundled, "fetch", fail)
    with pytest.raises(ZeroDivisionError):
        run("GET", "http://h/")
    (ended,) = told(valkey_url, queue)
    assert (ended["state"], ended["error"]) == ("FAILURE", "the worker failed: ZeroDivisionError")


def test_a_result_that_cannot_be_told_gives_the_task_back(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def send(self, *_: Any) -> None:
            raise Unavailable("the broker is not to be had")

    monkeypatch.setattr(bundled, "reports", Away())
    with pytest.raises(Reject) as caught:
        run("GET", server.url())
    assert caught.value.requeue is True


@pytest.mark.parametrize("reply_to", [None, "", "celery", "cyme.result"])
def test_a_task_that_no_branch_waits_for(reply_to: str | None, server: Server) -> None:
    class Nobody:
        def send(self, *_: Any) -> None:
            raise AssertionError("nobody asked")

    task = bundled.request
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundled, "reports", Nobody())
        patch.setattr(bundled, "POLICY", Policy(is_loopback_allowed=True))
        task.push_request(id="i1", reply_to=reply_to)
        assert task.run("GET", server.url()) == 200
        task.pop_request()


#: Every step that is sure to have started before PutAgain does. Celery orders
#: the others by their hashes: another way in every process.
BEFORE = """
import cyme_boot
from celery.utils.imports import symbol_by_name
from cyme_supd.workers.bundled import PutAgain
before, left = set(), [PutAgain]
while left:
    needed = {symbol_by_name(each) for each in left.pop().requires}
    left += needed - before
    before |= needed
print(*sorted(each.__name__ for each in before))
"""


def test_what_was_lost_comes_back_when_the_worker_knows_its_queues() -> None:
    boot: dict[str, object] = {"app": None, "config": {}, "queues": [], "node": "w1@b"}
    environment = {**os.environ, "CYME_BOOT": json.dumps(boot), "PYTHONPATH": boot_path()}
    said = subprocess.run(
        [sys.executable, "-c", BEFORE], env=environment, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stderr
    assert "TakeQueues" in said.stdout.split()
