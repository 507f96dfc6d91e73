"""Orders, claims and runs, by real brokers: what was granted runs once, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cyme_supd.domain.orders import Claim, Ended, Order, Output, RunEnd, Started, Withdrawal
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.runner.letters import order_message, said_message
from cyme_supd.runner.runner import Me, Runner
from cyme_supd.seal import Seal
from cyme_supd.workers.outgoing import Message, as_json
from tests import services
from tests.dispatching import Dispatcher, a_grant, dispatching
from tests.support import eventually, let_pass

Alone = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def alone(root: Path) -> Iterator[Alone]:
    begun: list[subprocess.Popen[bytes]] = []

    def start(dispatcher: Dispatcher, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        words = ["-q", dispatcher.queue, "-D", str(root), "-c", "2", *more]
        process = subprocess.Popen(
            [sys.executable, "-m", "cyme_supd.cli.runner", *words],
            env={**os.environ, "CYME_RUNNER_BROKER": dispatcher.url, **environment},
            stdin=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        with process:
            process.kill()


@pytest.fixture
def inside(root: Path) -> Iterator[Callable[..., Runner]]:
    """Makes runners in this process."""
    made: list[Runner] = []

    def make(dispatcher: Dispatcher, within_s: float = 30.0) -> Runner:
        runner = Runner(dispatcher.url, dispatcher.seal, root, Me("h", "w1", 1), within_s)
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def ended(dispatcher: Dispatcher, run: str) -> Ended:
    end: Ended = eventually(lambda: dispatcher.ended(run), 40)
    return end


def test_an_order_runs_once_however_often_it_comes(
    dispatcher: Dispatcher, alone: Alone, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    alone(dispatcher)
    runs = [
        dispatcher.order(3, command=f"echo $CYME_RUN_ID $SECRET >> {done}; echo out", environment={
            "SECRET": "hunter2"
        })
        for _ in range(5)
    ]  # fmt: skip
    for run in runs:
        end = ended(dispatcher, run)
        assert (end.status, end.exit_code, end.tail) == (RunEnd.SUCCEEDED, 0, b"out\n")
        assert (end.instance, end.size) == ("cyme-runner", 4)
        assert [each.pid for each in dispatcher.all(Started, run)]
    eventually(lambda: len(dispatcher.refusals) >= 10)
    assert sorted(lines(done)) == sorted(f"{run} hunter2" for run in runs)


def test_two_runners_and_one_that_is_killed(
    dispatcher: Dispatcher, alone: Alone, tmp_path: Path
) -> None:
    mark = "4333.25"
    done = tmp_path / "done"
    first = alone(dispatcher)
    lost = dispatcher.order(argv=("sleep", mark))
    eventually(lambda: dispatcher.all(Started, lost), 40)
    below = psutil.Process(first.pid).children(recursive=True)
    assert len(below) == 2
    first.kill()
    first.wait()
    eventually(lambda: not any(each.is_running() for each in below))
    runs = [dispatcher.order(command=f"echo $CYME_RUN_ID >> {done}") for _ in range(4)]
    # Once more, as the broker does: who has been killed has run it already.
    dispatcher.publish(lost)
    alone(
        dispatcher, "-D", str(tmp_path / "other"), "--key-file", str(tmp_path / "root/runner.key")
    )
    alone(dispatcher)
    for run in runs:
        assert ended(dispatcher, run).status == RunEnd.SUCCEEDED
    assert sorted(lines(done)) == sorted(runs)
    eventually(lambda: lost in dispatcher.refusals)
    assert dispatcher.ended(lost) is None


def test_killed_before_the_grant(dispatcher: Dispatcher, alone: Alone, tmp_path: Path) -> None:
    done = tmp_path / "done"
    dispatcher.is_silent = True
    first = alone(dispatcher)
    run = dispatcher.order(command=f"echo $CYME_RUN_ID >> {done}")
    eventually(lambda: dispatcher.all(Claim, run), 40)
    first.kill()
    first.wait()
    dispatcher.is_silent = False
    alone(dispatcher)
    assert ended(dispatcher, run).status == RunEnd.SUCCEEDED
    assert lines(done) == [run]


def test_a_run_that_nobody_grants_is_given_up(
    dispatcher: Dispatcher, inside: Callable[..., Runner], tmp_path: Path
) -> None:
    dispatcher.is_silent = True
    runner = inside(dispatcher, 1.0)
    run = dispatcher.order(command=f"echo x > {tmp_path / 'done'}")
    order = dispatcher.seal.close(Order(run, "j1", dispatcher.reply))
    settled: list[bool] = []
    assert runner.handle(order, lambda: settled.append(True)) is None
    (claim, *_) = eventually(lambda: dispatcher.all(Claim, run))
    (withdrawal,) = eventually(lambda: dispatcher.all(Withdrawal, run))
    assert (withdrawal.nonce, settled) == (claim.nonce, [True])
    # The answer comes after all, and is nothing any more.
    dispatcher._say(claim.reply, replace(dispatcher.runs[run], nonce=claim.nonce))
    dispatcher.is_silent = False
    runner._answer_within_s = 30.0
    assert runner.handle(order) == RunEnd.SUCCEEDED
    assert ended(dispatcher, run).nonce != claim.nonce
    assert len(dispatcher.all(Started, run)) == 1


def test_what_is_refused_does_not_run(
    dispatcher: Dispatcher, inside: Callable[..., Runner]
) -> None:
    unknown = a_grant(argv=("true",)).run
    order = dispatcher.seal.close(Order(unknown, "j1", dispatcher.reply))
    assert inside(dispatcher).handle(order) is None
    assert set(dispatcher.refusals) == {unknown}


def test_forged_messages_run_nothing(
    dispatcher: Dispatcher, alone: Alone, seal: Seal, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    other = Seal(b"o" * 32)
    alone(dispatcher)
    forged = a_grant(command=f"echo forged >> {done}")
    dispatcher.runs[forged.run] = forged
    order = Order(forged.run, "j1", dispatcher.reply)
    dispatcher.put(dispatcher.queue, order_message(other, order, "x"))
    body = [[], {"order": "gAAA", "command": f"echo x >> {done}"}, {}]
    dispatcher.put(dispatcher.queue, Message("i", as_json(body), {"task": "cyme.job"}))
    dispatcher.put(dispatcher.queue, Message("i", b"{", {}))
    # What the dispatcher has said itself, in another place.
    body = [[], {"order": seal.close(forged)}, {}]
    dispatcher.put(dispatcher.queue, Message("i", as_json(body), {"task": "cyme.job"}))
    dispatcher.is_silent = True
    run = dispatcher.order(command=f"echo granted >> {done}")
    (claim, *_) = eventually(lambda: dispatcher.all(Claim, run), 40)
    # A grant by who has no key, and one of another run.
    evil = a_grant(command=f"echo evil >> {done}")
    dispatcher._outgoing.put(claim.reply, [said_message(other, evil)])
    dispatcher._say(claim.reply, evil)
    dispatcher.is_silent = False
    assert ended(dispatcher, run).status == RunEnd.SUCCEEDED
    assert lines(done) == ["granted"]
    assert not dispatcher.all(Claim, forged.run)


def test_a_run_is_cancelled(dispatcher: Dispatcher, alone: Alone) -> None:
    alone(dispatcher)
    run = dispatcher.order(command="echo begun; exec sleep 4333.5", timeout_s=None)
    (said, *_) = eventually(lambda: dispatcher.all(Output, run), 40)
    assert said.tail == b"begun\n"
    dispatcher.cancel(run)
    end = ended(dispatcher, run)
    assert (end.status, end.signal) == (RunEnd.CANCELLED, signal.SIGTERM)


def test_a_warm_end_lets_it_end_and_takes_nothing_more(
    dispatcher: Dispatcher, alone: Alone, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    runner = alone(dispatcher, "-c", "1")
    run = dispatcher.order(command=f"until [ -e {go} ]; do sleep 0.05; done; echo done")
    eventually(lambda: dispatcher.all(Started, run), 40)
    runner.terminate()
    other = dispatcher.order(argv=("true",))
    let_pass(0.5)
    assert runner.poll() is None
    go.touch()
    assert runner.wait(30) == 0
    assert ended(dispatcher, run).tail == b"done\n"
    assert not dispatcher.all(Claim, other)
    alone(dispatcher)
    assert ended(dispatcher, other).status == RunEnd.SUCCEEDED


def test_a_second_signal_ends_what_runs(dispatcher: Dispatcher, alone: Alone) -> None:
    runner = alone(dispatcher)
    run = dispatcher.order(command="trap '' TERM; sleep 4333.75", timeout_s=None)
    eventually(lambda: dispatcher.all(Started, run), 40)
    runner.terminate()
    let_pass(0.3)
    runner.send_signal(signal.SIGINT)
    assert runner.wait(30) == 0
    assert ended(dispatcher, run).status == RunEnd.CANCELLED


def test_one_root_has_one_runner(dispatcher: Dispatcher, alone: Alone) -> None:
    alone(dispatcher)
    run = dispatcher.order(argv=("true",))
    ended(dispatcher, run)
    assert alone(dispatcher).wait(60) == 5


def test_no_key_no_runner(dispatcher: Dispatcher, alone: Alone, tmp_path: Path) -> None:
    assert alone(dispatcher, "--key-file", str(tmp_path / "none")).wait(60) == 4


def test_a_run_that_cannot_be_started_is_told(
    dispatcher: Dispatcher, inside: Callable[..., Runner], root: Path
) -> None:
    (root / "runs").mkdir()
    (root / "runs" / "j1").write_text("in the way")
    run = a_grant(argv=("true",))
    dispatcher.runs[run.run] = run
    order = dispatcher.seal.close(Order(run.run, "j1", dispatcher.reply))
    assert inside(dispatcher).handle(order) == RunEnd.FAILED
    end = ended(dispatcher, run.run)
    assert (end.exit_code, end.signal) == (None, None)
    assert end.error


def test_the_broker_is_away_while_it_runs(
    tmp_path: Path, seal: Seal, inside: Callable[..., Runner], alone: Alone
) -> None:
    done, go = tmp_path / "done", tmp_path / "go"
    with (
        services.rabbitmq_to_kill(None, tmp_path) as own,
        dispatching(own.broker.url("/"), seal) as dispatcher,
    ):
        alone(dispatcher)
        run = dispatcher.order(
            2, command=f"echo $CYME_RUN_ID >> {done}; until [ -e {go} ]; do sleep 0.1; done"
        )
        eventually(lambda: dispatcher.all(Started, run), 40)
        own.kill()
        go.touch()
        order = dispatcher.seal.close(Order(run, "j1", dispatcher.reply))
        with pytest.raises(Unavailable):
            inside(dispatcher, 0.5).handle(order)
        own.start()
        assert ended(dispatcher, run).status == RunEnd.SUCCEEDED
        other = dispatcher.order(command=f"echo $CYME_RUN_ID >> {done}")
        assert ended(dispatcher, other).status == RunEnd.SUCCEEDED
        assert lines(done) == [run, other]


def test_a_runner_that_stops_takes_nothing(
    dispatcher: Dispatcher, inside: Callable[..., Runner]
) -> None:
    runner = inside(dispatcher)
    runner.stop()
    order = dispatcher.seal.close(Order(a_grant(argv=("true",)).run, "j1", dispatcher.reply))
    with pytest.raises(Unavailable):
        runner.handle(order)
    with pytest.raises(CymeError):
        runner.handle("nonsense")
