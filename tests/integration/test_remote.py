"""Remote control of a real worker, over real brokers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from cyme_supd.clock import SystemClock
from cyme_supd.config import boot_path, default_celery
from cyme_supd.domain.declaration import entry
from cyme_supd.domain.launch import launch
from cyme_supd.domain.spec import Queue as Declaration
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer
from cyme_supd.errors import Unavailable
from cyme_supd.workers.pidbox import reply_address
from cyme_supd.workers.questions import WorkerQuestions
from cyme_supd.workers.remote import Collectors
from tests.relay import relayed
from tests.support import eventually
from tests.unit.values import AT, a_worker

BRANCH = "b1"


class Heard:
    """Collectors, and what they called back with."""

    def __init__(self) -> None:
        self.news: list[str] = []
        self.pulses = 0
        self.beats: set[str] = set()
        self.retired: set[str] = set()
        self.collectors = Collectors(
            BRANCH,
            SystemClock(),
            on_news=self.news.append,
            on_pulse=self._on_pulse,
            beat=self.beats.add,
            on_use=lambda _: None,
            retire=self.retired.add,
            pulse_interval_s=0.3,
        )

    def _on_pulse(self) -> None:
        self.pulses += 1


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.collectors.stop()
    eventually(lambda: not heard.beats & {thread.name for thread in threading.enumerate()})


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@contextmanager
def running(worker: Worker, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker, booted as the launcher does it."""
    wanted = launch(worker, default_celery(), boot_path(), "INFO", reply_address(BRANCH))
    environment = {
        **os.environ,
        **wanted.environment,
        "CYME_BOOT": json.dumps(dict(wanted.boot)),
        "PYTHONPATH": boot_path(),
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(wanted.argv, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def a_worker_at(broker: str, **changes: Any) -> Worker:
    return replace(a_worker(**changes), broker=broker)


def test_a_worker_says_itself_that_it_is_ready(heard: Heard, broker: str, tmp_path: Path) -> None:
    worker = a_worker_at(broker, max_concurrency=2)
    heard.collectors.use([broker])
    eventually(lambda: heard.collectors.pulse(broker).is_well)

    with running(worker, tmp_path) as process:
        answer = eventually(lambda: heard.collectors.answer(worker), 30)

        assert answer.pid == process.pid
        assert answer.autoscale == (2, 1)
        assert answer.queues == {"dq.w1": ""}
        assert "w1@b1" in heard.news


def test_limits_that_were_told_are_seen(heard: Heard, broker: str, tmp_path: Path) -> None:
    worker = a_worker_at(broker)
    heard.collectors.use([broker])
    with running(worker, tmp_path):
        eventually(lambda: heard.collectors.answer(worker), 30)

        heard.collectors.autoscale([worker], 3, 2)

        def has_scaled() -> bool:
            answer = heard.collectors.answer(worker)
            return answer is not None and answer.autoscale == (3, 2)

        eventually(has_scaled)


def test_queues_come_with_their_declarations_at_boot_and_later(
    heard: Heard, broker: str, tmp_path: Path
) -> None:
    early, late = _queue("early", "topic", {"max_priority": 9}), _queue("late", "fanout", {})
    worker = a_worker_at(broker, queues=("early",))
    worker = replace(worker, queues=(early,))
    heard.collectors.use([broker])
    with running(worker, tmp_path):
        answer = eventually(lambda: heard.collectors.answer(worker), 30)
        # Whoever is answered for the first time has its queues already.
        assert answer.queues == {"dq.w1": "", "early": entry(early)["digest"]}

        heard.collectors.consume(worker, [entry(late)])
        eventually(lambda: "late" in _answer(heard, worker).queues)
        assert _declared(broker, "early") == ("ex.early", "topic", "key.early")
        assert _declared(broker, "late") == ("ex.late", "fanout", "key.late")

        # One it knows it binds to nothing else, and does not tell that it had.
        heard.collectors.consume(worker, [entry(replace(early, routing_key="other"))])
        heard.collectors.consume(worker, [entry(_queue("last", "direct", {}))])
        eventually(lambda: "last" in _answer(heard, worker).queues)
        assert _answer(heard, worker).queues["early"] == entry(early)["digest"]

        heard.collectors.cancel(worker, ["early"])
        eventually(lambda: "early" not in _answer(heard, worker).queues)


def test_a_queue_that_is_there_otherwise_is_refused_and_harms_nobody(
    heard: Heard, rabbitmq_url: str, tmp_path: Path
) -> None:
    poison = _queue("poison", "direct", {"max_priority": 9})
    with Connection(rabbitmq_url) as connection:
        Queue("poison", Exchange("ex.poison"), "key.poison")(connection.channel()).declare()
    worker = replace(a_worker_at(rabbitmq_url), queues=(poison,))
    heard.collectors.use([rabbitmq_url])
    with running(worker, tmp_path) as process:
        answer = eventually(lambda: heard.collectors.answer(worker), 30)
        assert answer.refused["poison"][0] == entry(poison)["digest"]
        assert "PRECONDITION_FAILED" in answer.refused["poison"][1]

        heard.collectors.consume(worker, [entry(_queue("good", "direct", {})), entry(poison)])
        eventually(lambda: "good" in _answer(heard, worker).queues)

        answer = _answer(heard, worker)
        assert answer.pid == process.pid
        assert "poison" not in answer.queues


def test_it_has_its_queues_again_when_it_has_connected_again(
    heard: Heard, broker: str, tmp_path: Path
) -> None:
    early, late = _queue("kept", "topic", {}), _queue("kept.too", "direct", {})
    with relayed(broker) as (line, near):
        worker = replace(a_worker_at(near), queues=(early,))
        heard.collectors.use([near])
        with running(worker, tmp_path) as process:
            eventually(lambda: heard.collectors.answer(worker), 30)
            heard.collectors.consume(worker, [entry(late)])
            eventually(lambda: "kept.too" in _answer(heard, worker).queues)
            heard.collectors.forget(worker)

            line.cut()
            line.mend()

            answer = eventually(lambda: _asked(heard, worker), 30)
            assert answer.pid == process.pid
            assert answer.queues.keys() == {"dq.w1", "kept", "kept.too"}


def test_a_queue_that_became_another_while_it_was_away_is_refused(
    heard: Heard, rabbitmq_url: str, tmp_path: Path
) -> None:
    changed, good = _queue("changed", "direct", {}), _queue("unchanged", "direct", {})
    with relayed(rabbitmq_url) as (line, near):
        worker = replace(a_worker_at(near), queues=(changed, good))
        heard.collectors.use([near])
        with running(worker, tmp_path) as process:
            eventually(lambda: heard.collectors.answer(worker), 30)
            heard.collectors.forget(worker)

            line.cut()
            with Connection(rabbitmq_url) as connection:
                other = Queue("changed", Exchange("ex.changed"), "key.changed", max_priority=9)
                declared = other(connection.channel())
                declared.delete()
                declared.declare()
            line.mend()

            # An answer of before may still have been on its way.
            eventually(lambda: (told := _asked(heard, worker)) and told.refused, 30)
            answer = heard.collectors.answer(worker)
            assert answer is not None
            assert answer.pid == process.pid
            assert "PRECONDITION_FAILED" in answer.refused["changed"][1]
            assert answer.queues.keys() == {"dq.w1", "unchanged"}


def test_the_stats_of_one_worker(broker: str, tmp_path: Path, heard: Heard) -> None:
    worker = a_worker_at(broker)
    heard.collectors.use([broker])
    with running(worker, tmp_path) as process:
        eventually(lambda: heard.collectors.answer(worker), 30)

        assert WorkerQuestions(SystemClock()).stats(worker, 5)["pid"] == process.pid


def test_one_that_is_not_there_does_not_answer(broker: str) -> None:
    with pytest.raises(Unavailable, match="w1@b1 did not answer"):
        WorkerQuestions(SystemClock()).stats(a_worker_at(broker), 0.3)


def test_a_broker_that_is_not_there_is_unavailable_and_has_no_pulse(heard: Heard) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    heard.collectors.use([nowhere])

    eventually(lambda: heard.collectors.pulse(nowhere).is_well is False)

    eventually(lambda: heard.pulses == 1)
    with pytest.raises(Unavailable):
        WorkerQuestions(SystemClock()).stats(a_worker_at(nowhere), 1)


def test_a_broker_that_hangs_has_no_pulse_until_it_goes_on(heard: Heard, valkey_url: str) -> None:
    heard.collectors.use([valkey_url])
    eventually(lambda: heard.collectors.pulse(valkey_url).is_well)
    server = _listener(valkey_url)

    server.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: heard.collectors.pulse(valkey_url).is_well is False, 15)
    finally:
        server.send_signal(signal.SIGCONT)

    eventually(lambda: heard.collectors.pulse(valkey_url).is_well, 20)


def test_one_that_is_no_longer_used_is_left_alone(heard: Heard, valkey_url: str) -> None:
    heard.collectors.use([valkey_url])
    eventually(lambda: len(heard.beats) == 2)

    heard.collectors.use([])

    assert heard.retired == heard.beats
    assert heard.collectors.pulse(valkey_url).is_well is None


def test_a_branch_leaves_nothing_behind_in_the_broker(valkey_url: str) -> None:
    import redis

    before = set(redis.Redis.from_url(valkey_url).keys())
    code = (
        "import sys, time\n"
        "from tests.integration.test_remote import Heard\n"
        "heard = Heard()\n"
        "heard.collectors.use([sys.argv[1]])\n"
        "while not heard.collectors.pulse(sys.argv[1]).is_well: time.sleep(0.01)\n"
        "print('well', flush=True)\n"
        "time.sleep(60)\n"
    )
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, valkey_url], stdout=subprocess.PIPE, text=True
        ) as branch:
            assert branch.stdout is not None
            assert branch.stdout.readline() == "well\n"
            branch.kill()
    left = set(redis.Redis.from_url(valkey_url).keys()) - before

    # The bindings of its standing queues, the same ones at every start; no list.
    assert all(str(key).startswith("b'_kombu.binding.") for key in left), left
    assert len(left) <= 4


def _listener(url: str) -> psutil.Process:
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    for each in psutil.process_iter(["name"]):
        if "valkey" in (each.info["name"] or "") and any(
            connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            for connection in each.net_connections()
        ):
            return each
    raise AssertionError(f"nobody listens on {port}")


def _asked(heard: Heard, worker: Worker) -> Answer | None:
    """Its answer to whoever goes on asking."""
    heard.collectors.ask([worker])
    return heard.collectors.answer(worker)


def _answer(heard: Heard, worker: Worker) -> Answer:
    answer = heard.collectors.answer(worker)
    assert answer is not None
    return answer


def _queue(name: str, exchange_type: str, options: dict[str, Any]) -> Declaration:
    return Declaration("foo", name, f"ex.{name}", exchange_type, f"key.{name}", options, AT)


def _declared(broker: str, name: str) -> tuple[str, str, str]:
    """Exchange, its type and the routing key, in the worker's own words."""
    with Celery(broker=broker, set_as_current=False) as app:
        inspect = app.control.inspect(["w1@b1"], timeout=2)
        (queues,) = eventually(lambda: inspect.active_queues()).values()
    (found,) = (queue for queue in queues if queue["name"] == name)
    return found["exchange"]["name"], found["exchange"]["type"], found["routing_key"]
