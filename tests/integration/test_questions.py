"""Asking real workers for the tasks they run, whatever their brokers do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery import Celery

from cyme_supd.clock import SystemClock
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable
from cyme_supd.workers.questions import WorkerQuestions
from tests.integration.test_remote import a_worker_at, running
from tests.integration.test_remote_outages import frozen
from tests.support import eventually
from tests.unit.values import an_app

NOWHERE = "redis://127.0.0.1:1/0"
WITHIN_S = 0.8
Told = dict[str, tuple[RunningTask, ...]]
PROJECT = """\
import time

from celery import Celery

app = Celery("slow")
app.conf.task_ignore_result = True


@app.task
def work(seconds):
    time.sleep(seconds)
"""


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def busy(broker: str, tmp_path: Path) -> Iterator[tuple[Worker, int]]:
    """One that runs a task, with its pid; it ends with the test."""
    (tmp_path / "slow.py").write_text(PROJECT)
    worker = a_worker_at(broker, app=an_app(celery_app="slow:app"), max_concurrency=2)
    with running(worker, tmp_path) as process:
        eventually(lambda: counted(worker) == {"w1": ()}, 30)
        with Celery(broker=broker, set_as_current=False) as app:
            app.send_task("slow.work", [600], queue="dq.w1", task_id="slow-1")
        eventually(lambda: counted(worker)["w1"])
        yield worker, process.pid


def counted(*workers: Worker) -> Told:
    return WorkerQuestions(SystemClock()).active(workers, WITHIN_S)


def took_s(*workers: Worker) -> tuple[Told, float]:
    begun = time.monotonic()
    return counted(*workers), time.monotonic() - begun


def test_what_runs_and_who_is_silent(busy: tuple[Worker, int]) -> None:
    worker, _ = busy
    absent = a_worker_at(worker.broker, name="w2")
    found, seconds = took_s(worker, absent)
    assert found.keys() == {"w1"}
    (task,) = found["w1"]
    assert (task.instance, task.id, task.name) == ("w1", "slow-1", "slow.work")
    assert task.started_at is not None
    assert timedelta(0) < datetime.now(UTC) - task.started_at < timedelta(seconds=60)
    assert seconds < 2.0
    # Those that answer are not waited for any longer.
    eventually(lambda: took_s(worker)[1] < WITHIN_S)


def test_one_that_is_stopped_is_silent(busy: tuple[Worker, int]) -> None:
    worker, pid = busy
    os.kill(pid, signal.SIGSTOP)
    found, seconds = took_s(worker)
    assert found == {}
    assert seconds < 2.0
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: counted(worker).get("w1"))


def test_a_broker_that_hangs_keeps_nobody_waiting(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as server:
        before = set(server.keys())
        with frozen(valkey_url):
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="its broker is not to be had"):
                counted(a_worker_at(valkey_url))
            assert time.monotonic() - begun < 10.0
        assert set(server.keys()) <= before | {b"_kombu.binding.celery.pidbox"}


def test_a_broker_that_is_not_there() -> None:
    with pytest.raises(Unavailable, match="its broker is not to be had"):
        counted(a_worker_at(NOWHERE))
