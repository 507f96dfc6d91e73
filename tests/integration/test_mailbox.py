"""Branches that ask one another while broker, branch or asker is in trouble."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection

from cyme_supd.errors import NoAnswer, Unavailable
from cyme_supd.mailbox.post import Post
from tests.acceptance.harness import unique
from tests.mailboxes import QUICK_COMMAND, Posts, is_heard
from tests.relay import relayed
from tests.support import eventually, let_pass

CHECKOUT = Path(__file__).parents[2]
LONG_S = 20.0


def either(quick: str) -> list[Any]:
    """For what is the same on both brokers and takes seconds: one of them in ``make test``."""
    (other,) = {"valkey", "rabbitmq"} - {quick}
    return [quick, pytest.param(other, marks=pytest.mark.faults)]


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def posts(broker: str) -> Iterator[Posts]:
    with Posts(broker, unique("f")) as posts:
        yield posts


@contextmanager
def branch_process(posts: Posts) -> Iterator[subprocess.Popen[str]]:
    """A branch called ``process``, which asks ``slow``; it ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mailbox_process", posts.broker, posts.fleet],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def took_s(ask: Callable[[], object], error: type[Exception]) -> float:
    begun = time.monotonic()
    with pytest.raises(error):
        ask()
    return time.monotonic() - begun


def test_questions_of_many_threads_each_have_their_own_answer(posts: Posts) -> None:
    for id in ("b1", "b2"):
        posts.branch(id, {"same": lambda arguments, _, id=id: [id, arguments["n"]]})
    asker = posts.asker()
    eventually(lambda: is_heard(asker, "b1", "b2"))

    def ask(n: int) -> Any:
        return asker.ask(f"b{1 + n % 2}", "same", {"n": n}, LONG_S)

    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(ask, range(500))) == [[f"b{1 + n % 2}", n] for n in range(500)]


def test_what_is_quick_does_not_wait_behind_what_is_not(posts: Posts) -> None:
    release = threading.Event()
    posts.branch("b1", {"wait": lambda arguments, deadline_s: release.wait(30)})
    asker = posts.asker()
    eventually(lambda: is_heard(asker, "b1"))
    for _ in range(5):
        asker.cast("wait", {}, "b1")
    assert asker.ask("b1", QUICK_COMMAND, {}, LONG_S) == "pong"
    release.set()


@pytest.mark.parametrize("trouble", ["cut", "hold"])
def test_a_broker_that_is_away_or_hangs_and_comes_back(posts: Posts, trouble: str) -> None:
    release = threading.Event()
    posts.branch("b1", {"wait": lambda arguments, deadline_s: release.wait(30)})
    with relayed(posts.broker) as (relay, url):
        asker = posts.asker(broker=url)
        eventually(lambda: is_heard(asker, "b1"))
        with ThreadPoolExecutor(1) as thread:
            under_way = thread.submit(asker.ask, "b1", "wait", {}, 1.5)
            getattr(relay, trouble)()
            assert isinstance(under_way.exception(10), Unavailable)
        release.set()
        # Known to be away, or not known and asked for as long as one may.
        eventually(lambda: took_s(lambda: asker.ask("b1", QUICK_COMMAND, {}, 0.5), Unavailable))
        assert not answers_of(asker)
        asker.cast(QUICK_COMMAND, {})

        relay.mend()
        relay.resume()
        answered = eventually(lambda: answer_of(asker, "b1"), 20)
        assert answered == "pong"


def test_one_that_loses_its_connection_is_asked_where_it_is_then(posts: Posts) -> None:
    asker = posts.asker()
    with relayed(posts.broker) as (relay, url):
        posts.branch("b1", {"who": lambda arguments, deadline_s: "b1"}, broker=url)
        eventually(lambda: is_heard(asker, "b1"))
        relay.cut()
        with ThreadPoolExecutor(1) as thread:
            under_way = thread.submit(asker.ask, "b1", "who", {}, LONG_S)
            let_pass(0.1)
            relay.mend()
            assert under_way.result() == "b1"


def answers_of(asker: Post) -> Mapping[str, Any]:
    """None where the broker is known to be away, as where all have lapsed."""
    try:
        return asker.scatter(QUICK_COMMAND, {}, 0.5).answers
    except Unavailable:
        return {}


def answer_of(asker: Post, branch: str) -> Any:
    try:
        return asker.ask(branch, QUICK_COMMAND, {}, 0.5)
    except (Unavailable, NoAnswer):
        return None


@pytest.mark.parametrize("broker", either("rabbitmq"), indirect=True)
def test_a_broker_that_vanishes_without_a_word_is_found_again(
    posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUIET_S", "LATE_S"):
        monkeypatch.setattr(f"cyme_supd.mailbox.line.{name}", 0.5)
    with relayed(posts.broker) as (relay, url):
        branch = posts.branch("b1", broker=url)
        asker = posts.asker()
        eventually(lambda: is_heard(asker, "b1") and is_heard(branch, "b1"))
        before = asker.peers()["b1"].heartbeat.address
        # What is open now hangs for ever, and new connections are good.
        relay.mute()

        eventually(lambda: asker.peers()["b1"].heartbeat.address != before, 20)
        assert asker.ask("b1", QUICK_COMMAND, {}, LONG_S) == "pong"


def test_a_broker_that_is_not_there() -> None:
    with Posts("redis://127.0.0.1:1/0", unique("f")) as posts:
        asker = posts.asker()
        assert took_s(lambda: asker.ask("b1", QUICK_COMMAND, {}, 5.0), Unavailable) < 4.0
        assert took_s(lambda: asker.scatter(QUICK_COMMAND, {}, 5.0), Unavailable) < 1.0
        assert asker.peers() == {}


@pytest.mark.parametrize("broker", either("valkey"), indirect=True)
def test_a_branch_that_is_killed_while_it_is_asked(posts: Posts) -> None:
    asker = posts.asker()
    with branch_process(posts) as process:
        eventually(lambda: is_heard(asker, "process"))
        with ThreadPoolExecutor(1) as thread:
            under_way = thread.submit(asker.ask, "process", "hang", {}, LONG_S)
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            begun = time.monotonic()
            process.kill()
            with pytest.raises(Unavailable, match="went while it was asked"):
                under_way.result()
        assert time.monotonic() - begun < LONG_S / 2


@pytest.mark.parametrize("broker", either("valkey"), indirect=True)
def test_what_a_branch_finds_when_it_wakes_is_too_old(posts: Posts) -> None:
    asker = posts.asker()
    with branch_process(posts) as process:
        eventually(lambda: is_heard(asker, "process"))
        assert asker.ask("process", "count", {}, LONG_S) == 1
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: all_threads_are_stopped(process.pid))
        for _ in range(3):
            with pytest.raises((NoAnswer, Unavailable)):
                asker.ask("process", "count", {}, 0.2)
        let_pass(0.3)
        os.kill(process.pid, signal.SIGCONT)
        eventually(lambda: is_heard(asker, "process"))
        assert asker.ask("process", "count", {}, LONG_S) == 2


def all_threads_are_stopped(pid: int) -> bool:
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


@pytest.mark.parametrize("broker", either("rabbitmq"), indirect=True)
def test_of_two_with_one_id_only_the_later_is_asked(
    posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def who(name: str) -> dict[str, Callable[[Mapping[str, Any], float], Any]]:
        return {"who": lambda arguments, deadline_s: asked.append(name)}

    caplog.set_level(logging.ERROR)
    says: dict[str, Any] = {"interval_s": 1.0}
    before = datetime.now(UTC)
    later = before + timedelta(hours=1)
    posts.branch("b1", who("later"), started_at=later, url="later", **says)
    posts.branch("b1", who("earlier"), started_at=before, url="earlier", **says)
    asker = posts.asker()
    eventually(lambda: len(caplog.messages) == 2)
    assert all("says that it is branch b1" in each for each in caplog.messages)
    eventually(lambda: is_heard(asker, "b1"))
    for _ in range(5):
        asker.ask("b1", "who", {}, LONG_S)
        assert asker.scatter("who", {}, LONG_S).answers == {"b1": None}
    assert asked.count("later") == 10


def test_nothing_is_left_at_the_broker(posts: Posts) -> None:
    before = left_at(posts.broker, posts.fleet, [])
    release = threading.Event()
    slow = posts.branch("slow", {"slow": lambda arguments, deadline_s: release.wait(30)})
    asker = posts.asker()
    with branch_process(posts):
        eventually(lambda: is_heard(asker, "process", "slow"))
        addresses = [peer.heartbeat.address for peer in asker.peers().values()]
        assert left_at(posts.broker, posts.fleet, addresses) != [] or "redis" in posts.broker
        # It is killed while it asks, and is answered when it is gone.
    release.set()
    slow.stop()
    asker.stop()

    def check() -> bool:
        left = left_at(posts.broker, posts.fleet, addresses)
        assert left == before
        return True

    eventually(check)


def left_at(url: str, fleet: str, addresses: list[str]) -> list[str]:
    """Keys that have to do with the fleet; its exchanges, and queues of those *addresses*."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url, decode_responses=True) as server:
            return sorted(key for key in server.scan_iter() if fleet in key)
    exchanges = [f"{fleet}.presence", f"{fleet}.pidbox"]
    queues = [*addresses, *(f"{each}.{name}" for each in addresses for name in exchanges)]
    return [
        *(each for each in exchanges if is_there(url, "exchange_declare", each)),
        *(each for each in queues if is_there(url, "queue_declare", each)),
    ]


def is_there(url: str, declare: str, name: str) -> bool:
    with Connection(url) as connection, connection.channel() as channel:
        try:
            getattr(channel, declare)(name, passive=True) if declare == "queue_declare" else (
                channel.exchange_declare(name, "fanout", passive=True)
            )
        except connection.channel_errors as exc:
            # Locked, which it is by the connection that has it.
            return getattr(exc, "reply_code", None) != 404
    return True
