"""What runners say becomes history, by real brokers, and what they do not say, too."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Consumer, Queue

from cyme_supd.brokers import bounded, connections
from cyme_supd.config import Config
from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.orders import (
    RUNNER_EXPIRES_S,
    RUNNER_KEY,
    RUNNER_PREFIX,
    Claim,
    Grant,
    Reason,
    Refusal,
    Withdrawal,
)
from cyme_supd.runner.desk import Desk
from cyme_supd.runner.outbox import Outbox
from cyme_supd.runner.runner import Me, Runner
from cyme_supd.scheduler import answerer as answerers
from cyme_supd.seal import make_key
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.workers import inbox, sharing, taking
from cyme_supd.workers.outgoing import Message, Outgoing
from tests.scheduling import Scheduling, answering
from tests.support import eventually, let_pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come soon, and so does the end of patience; silence is a matter of each test."""
    monkeypatch.setattr(answerers, "SWEEP_EVERY_S", 0.1)
    monkeypatch.setattr(inbox, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(inbox, "IDLE_S", 0.1)
    monkeypatch.setattr(inbox, "STEADY_S", 0.5)


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    return make_key(tmp_path / "runner.key")


@pytest.fixture(params=["valkey", "rabbitmq"])
def scheduling(request: pytest.FixtureRequest, key: bytes, tmp_path: Path) -> Iterator[Scheduling]:
    taking.install()
    store = SqlStore(sqlite_url(tmp_path / "branch.db"), "memory://", branch="b1")
    migrate(store.engine)
    made = Scheduling(request.getfixturevalue(f"{request.param}_url"), store, key)
    yield made
    made.close()
    store.close()


@pytest.fixture
def runner(scheduling: Scheduling, tmp_path: Path) -> Iterator[Runner]:
    made = Runner(scheduling.url, scheduling.seal, tmp_path / "root", Me("h", "w1", 1))
    yield made
    made.close()


class Puppet:
    """A runner that says what a test wants."""

    def __init__(self, scheduling: Scheduling) -> None:
        self._of = scheduling
        self._outbox = Outbox(scheduling.url, scheduling.seal)
        self.cancelled: list[str] = []
        self.desk = Desk(scheduling.url, scheduling.seal, self.cancelled.append)

    def say(self, *said: Any) -> None:
        for each in said:
            self._outbox.put_now(self._of.reply, each)

    def claim(self, run: Run, nonce: str = "a" * 32) -> Claim:
        return Claim(run.id, run.job_id, nonce, self.desk.name, "h", "w1", 1)

    def close(self) -> None:
        self.desk.close()
        self._outbox.close(5.0)


@pytest.fixture
def puppet(scheduling: Scheduling) -> Iterator[Puppet]:
    made = Puppet(scheduling)
    eventually(lambda: made.desk.is_listening)
    yield made
    made.close()


def test_from_the_claim_to_the_end(scheduling: Scheduling, runner: Runner, tmp_path: Path) -> None:
    job = scheduling.job(command="echo $A; exit 3", environment={"A": "b"}, retries=1)
    run = scheduling.order(job)
    with answering(scheduling):
        assert runner.handle(scheduling.sealed(run)) == "failed"
        eventually(lambda: scheduling.now(run).attempt == 2)
        again = scheduling.now(run)
        assert (again.status, again.nonce, again.orders) == (RunStatus.QUEUED, None, 0)
        assert runner.handle(scheduling.sealed(run)) == "failed"
        end = eventually(lambda: _ended(scheduling, run))
        assert (end.status, end.exit_code, end.attempt) == (RunStatus.FAILED, 3, 2)
        assert (end.host, end.instance) == ("h", "w1")
        assert end.started_at <= end.finished_at
        # It has had its end, and nobody gets it again.
        assert runner.handle(scheduling.sealed(run)) is None
    with scheduling.store.reading() as view:
        output = view.run_output(run.id)
    assert output is not None
    assert (output.tail, output.size) == (b"b\n", 2)
    assert {path.read_text() for path in (tmp_path / "root").rglob("*.log")} == {"b\n"}
    assert len(list((tmp_path / "root").rglob(f"{run.id}.*log"))) == 2
    once = ["starting", "failed"]
    assert scheduling.events(run) == [*once, "retrying", *once]


def test_cancelled_while_it_runs_and_before(scheduling: Scheduling, runner: Runner) -> None:
    job = scheduling.job(command="echo begun; exec sleep 4335.25", overlap="queue")
    run, next_one = scheduling.order(job), scheduling.order(job, order_at=None, orders=0)
    last = scheduling.order(job, order_at=None, orders=0)
    with answering(scheduling):
        thread = threading.Thread(target=runner.handle, args=(scheduling.sealed(run),))
        thread.start()
        eventually(lambda: scheduling.now(run).started_at)
        assert scheduling.now(next_one).order_at is None
        want_cancelled(scheduling, run, last)
        eventually(lambda: _ended(scheduling, last))
        end = eventually(lambda: _ended(scheduling, run))
        thread.join()
        # Its end lets the next one be ordered.
        eventually(lambda: scheduling.now(next_one).order_at)
    assert end.status == scheduling.now(last).status == RunStatus.CANCELLED
    assert scheduling.now(next_one).status == RunStatus.QUEUED


def test_what_waits_for_nobody_goes_on(scheduling: Scheduling) -> None:
    """As after a crash between an end and what it lets go on."""
    runs = {
        overlap: [scheduling.order(job, order_at=None, orders=0) for _ in range(2)]
        for overlap in ("queue", "allow")
        for job in [scheduling.job(command="true", overlap=overlap)]
    }

    def ordered(overlap: str) -> int:
        return sum(scheduling.now(run).order_at is not None for run in runs[overlap])

    with answering(scheduling):
        eventually(lambda: ordered("allow") == 2 and ordered("queue") == 1)


def test_silence_is_loss_and_a_word_after_all_is_not(
    scheduling: Scheduling, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scheduling.order(scheduling.job(command="true"))
    with answering(scheduling):
        answers = puppet.desk.ask("a" * 32)
        puppet.say(puppet.claim(run))
        assert isinstance(answers.get(timeout=10), Grant)
        monkeypatch.setattr(answerers, "LOST_AFTER_S", 0.5)
        eventually(lambda: scheduling.now(run).status == RunStatus.LOST)
        monkeypatch.setattr(answerers, "LOST_AFTER_S", 60.0)
        puppet.say(Withdrawal(run.id, "a" * 32))
        eventually(lambda: scheduling.now(run).status == RunStatus.QUEUED)
        # A claim that was given up is not granted, however late it comes.
        puppet.say(puppet.claim(run))
        assert answers.get(timeout=10) == Refusal(run.id, "a" * 32, Reason.CLAIMED)
        assert scheduling.now(run).status == RunStatus.QUEUED
    assert scheduling.events(run) == ["lost", "queued"]


def test_nothing_is_lost_where_nobody_could_hear(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answerers, "LOST_AFTER_S", 0.1)
    monkeypatch.setattr(inbox, "STEADY_S", 3600.0)
    job = scheduling.job(command="true")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    given = {"status": RunStatus.RUNNING, "nonce": "a" * 32, "heard_at": long_ago, "order_at": None}
    run = scheduling.order(job, **given)
    gone = scheduling.order(job, app="gone", **given)
    with answering(scheduling):
        # Of an app that is gone nobody ever hears again.
        eventually(lambda: scheduling.now(gone).status == RunStatus.LOST)
        let_pass(0.5)
        assert scheduling.now(run).status == RunStatus.RUNNING
        monkeypatch.setattr(inbox, "STEADY_S", 0.0)
        eventually(lambda: scheduling.now(run).status == RunStatus.LOST)


def test_what_one_has_taken_and_left_comes_to_another(
    scheduling: Scheduling, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "GONE_AFTER_S", 0)
    run = scheduling.order(scheduling.job(command="true"))
    answers = puppet.desk.ask("a" * 32)
    puppet.say(puppet.claim(run))
    hold(scheduling, "gone")
    with answering(scheduling):
        assert answers.get(timeout=20).run == run.id


def hold(scheduling: Scheduling, sharer: str) -> None:
    """Take what is there, and go without a word."""
    url = scheduling.url
    sharers = sharing.Sharers(url, scheduling.reply, sharer)
    options = sharers.options() if url.startswith("redis") else {}
    connection = connections.connection(url, transport=taking.transport_of(url), **options)
    sharers.look(connection)
    channel = connection.channel()
    got: list[Any] = []
    queue = Queue(scheduling.reply, durable=True)
    with Consumer(channel, [queue], on_message=got.append, accept=["json"]):
        eventually(lambda: connection.drain_events(timeout=5) or got)
    if url.startswith("redis"):
        # Its own end would give them back.
        channel.qos.restore_at_shutdown = False
        channel.qos._delivered.clear()
    bounded.let_go(connection)


def test_garbage_among_what_is_said(scheduling: Scheduling, puppet: Puppet) -> None:
    run = scheduling.order(scheduling.job(command="true"))
    outgoing = Outgoing(scheduling.url, 5.0)
    with answering(scheduling):
        answers = puppet.desk.ask("a" * 32)
        unknown = replace(run, id="0" * 8 + run.id[8:])
        puppet.say(puppet.claim(unknown))
        assert answers.get(timeout=10) == Refusal(unknown.id, "a" * 32, Reason.UNKNOWN)
        for body in (b"{", b"[]", b'{"sealed": "x"}'):
            outgoing.put(scheduling.reply, [Message("x", body)])
        puppet.say(puppet.claim(run))
        assert isinstance(answers.get(timeout=10), Grant)
    outgoing.close()


def test_alone(scheduling: Scheduling, puppet: Puppet, key: bytes, tmp_path: Path) -> None:
    config = Config(str(tmp_path), "b1", scheduling.url, False, "x")
    config.save()
    with scheduling.store.writing() as tx:
        tx.share_key(RUNNER_KEY, key.hex())
    run = scheduling.order(scheduling.job(command="true"))
    answers = puppet.desk.ask("a" * 32)
    puppet.say(puppet.claim(run))
    words = [sys.executable, "-m", "cyme_supd.cli.results", "-D", str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as alone:
        try:
            assert answers.get(timeout=60).run == run.id
            alone.terminate()
            assert alone.wait(60) == 0
        finally:
            alone.kill()


def test_what_is_for_a_runner_that_is_gone_goes(scheduling: Scheduling) -> None:
    """On AMQP there is no such queue any more; Redis forgets it."""
    outgoing = Outgoing(scheduling.url, 5.0)
    name = f"{RUNNER_PREFIX}gone"
    missing = outgoing.put_each([(name, Message("x", b"{}"))])
    outgoing.close()
    if not scheduling.url.startswith("redis"):
        assert missing == {name}
        return
    with redis.Redis.from_url(scheduling.url) as client:
        assert 0 < client.ttl(name) <= RUNNER_EXPIRES_S
        assert not client.exists(taking.copies_of(name))


def want_cancelled(scheduling: Scheduling, *runs: Run) -> None:
    with scheduling.store.writing() as tx:
        tx.save_runs([replace(tx.run(run.id), wants_cancel=True) for run in runs])


def _ended(scheduling: Scheduling, run: Run) -> Run | None:
    now = scheduling.now(run)
    return now if now.finished_at else None
