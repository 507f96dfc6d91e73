"""The branch's side of results: nothing lost, nothing twice, garbage harms nobody."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from kombu import Connection, Producer

from cyme_supd.clock import SystemClock
from cyme_supd.domain.task import Task, TaskState, results_queue
from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.workers import taking
from cyme_supd.workers.boot.cyme_unacked import options
from cyme_supd.workers.inbox import MOST
from cyme_supd.workers.outgoing import Message, Outgoing, as_json
from cyme_supd.workers.reports import Reports
from cyme_supd.workers.results import Inboxes
from tests.support import eventually

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class House:
    """A branch's inboxes with a store that can be made to fail."""

    def __init__(self, branch: str) -> None:
        # As the branch's process does.
        taking.install()
        self.branch = branch
        self.queue = results_queue(branch)
        self.saved: list[Task] = []
        self.saves: list[int] = []
        self.check: Callable[[Sequence[Task]], None] = lambda tasks: None
        self.beats: set[str] = set()
        self.retired: set[str] = set()
        self.inboxes = Inboxes(
            branch,
            SystemClock(),
            save=self._save,
            is_given=lambda app, id: app == "foo" and id.startswith("given"),
            beat=self.beats.add,
            retire=self.retired.add,
        )

    def _save(self, tasks: Sequence[Task]) -> None:
        self.check(tasks)
        self.saves.append(len(tasks))
        self.saved.extend(tasks)

    def ids(self) -> list[str]:
        return [task.id for task in self.saved]

    def stop(self) -> None:
        self.inboxes.use([])
        eventually(lambda: not self.beats & {each.name for each in threading.enumerate()})


@pytest.fixture
def house() -> Iterator[House]:
    house = House(f"b-{secrets.token_hex(6)}")
    yield house
    house.stop()


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest, house: House) -> Iterator[str]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    yield url
    house.stop()
    with Connection(url) as connection:
        connection.default_channel.queue_delete(house.queue)


def ended(id: Any = "given-1", **given: Any) -> dict[str, Any]:
    said = {"id": id, "app": "foo", "state": "SUCCESS", "result": {"body": "\u20ac"}}
    return {**said, "error": None, "at": "2026-01-02T03:04:05Z", **given}


def send(broker: str, house: House, *all_ended: dict[str, Any]) -> None:
    reports = Reports(broker)
    for each in all_ended:
        reports.send(house.queue, Message(str(each["id"]), as_json(each)))
    reports._opened().close()


def left(broker: str, house: House) -> int:
    """Messages that wait in the queue, or were taken and not acknowledged."""
    if broker.startswith("redis"):
        with redis.Redis.from_url(broker) as client:
            waiting: int = client.llen(house.queue)
            taken: int = client.hlen(options(house.queue)["unacked_key"])
            return waiting + taken
    house.stop()
    with Connection(broker) as connection:
        count: int = connection.default_channel.queue_declare(
            house.queue, passive=True
        ).message_count
        return count


def test_a_result_is_stored_and_gone_from_the_queue(house: House, broker: str) -> None:
    send(
        broker, house, ended("given-1"), ended("given-2", state="FAILURE", result=None, error="no")
    )
    house.inboxes.use([broker])
    eventually(lambda: len(house.saved) == 2)
    assert house.saved == [
        Task("given-1", "foo", TaskState.SUCCESS, {"body": "\u20ac"}, None, AT),
        Task("given-2", "foo", TaskState.FAILURE, None, "no", AT),
    ]
    # Also one that comes while it listens.
    send(broker, house, ended("given-3"))
    eventually(lambda: house.ids()[2:] == ["given-3"])
    eventually(lambda: left(broker, house) == 0)


def test_many_are_stored_together(house: House, broker: str) -> None:
    send(broker, house, ended("given-first"))
    wanted = [[f"given-{n}-{m}" for m in range(100)] for n in range(8)]
    messages = [[Message(id, as_json(ended(id))) for id in ids] for ids in wanted]
    outgoing = Outgoing(broker, 5.0, is_whole=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda some: outgoing.put(house.queue, some), messages))
    outgoing.close()
    house.inboxes.use([broker])
    eventually(lambda: len(house.saved) >= 801, 60)
    assert sorted(house.ids()) == sorted(["given-first", *(id for ids in wanted for id in ids)])
    assert len(house.saves) < 100
    # What has come in one go may be a few more.
    assert max(house.saves) <= 2 * MOST
    eventually(lambda: left(broker, house) == 0)


def test_one_message_tells_of_several(house: House, broker: str) -> None:
    said = [ended("given-1"), ended("nobody's"), 7, ended("given-2")]
    reports = Reports(broker)
    reports.send(house.queue, Message("given-1", as_json(said)))
    reports._opened().close()
    house.inboxes.use([broker])
    eventually(lambda: house.ids() == ["given-1", "given-2"])
    eventually(lambda: left(broker, house) == 0)


def test_what_cannot_be_stored_now_is_kept(house: House, broker: str) -> None:
    tries = []

    def fail(tasks: Sequence[Task]) -> None:
        tries.append(len(tasks))
        if len(tries) < 3:
            raise Unavailable("the database is locked")

    house.check = fail
    send(broker, house, ended("given-1"))
    house.inboxes.use([broker])
    eventually(lambda: len(tries) == 2)
    if broker.startswith("redis"):
        assert left(broker, house) == 1
    eventually(lambda: house.ids() == ["given-1"])
    eventually(lambda: left(broker, house) == 0)


def test_what_was_not_stored_when_it_stopped_comes_again(house: House, broker: str) -> None:
    tries = []

    def fail(tasks: Sequence[Task]) -> None:
        tries.append(1)
        raise Unavailable("the database is locked")

    house.check = fail
    send(broker, house, ended("given-1"))
    house.inboxes.use([broker])
    eventually(lambda: tries)
    house.stop()
    assert left(broker, house) == 1
    house.check = lambda tasks: None
    house.inboxes.use([broker])
    eventually(lambda: house.ids() == ["given-1"])


def test_a_branch_that_is_killed_before_it_has_stored_loses_nothing(
    house: House, broker: str
) -> None:
    code = (
        "import sys, threading\n"
        "from tests.integration.test_results import House\n"
        "house = House(sys.argv[1])\n"
        "def hang(tasks):\n"
        "    print(len(tasks), flush=True)\n"
        "    threading.Event().wait()\n"
        "house.check = hang\n"
        "house.inboxes.use([sys.argv[2]])\n"
        "threading.Event().wait()\n"
    )
    wanted = [f"given-{n}" for n in range(5)]
    send(broker, house, *(ended(id) for id in wanted))
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", code, house.branch, broker],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        ) as branch:
            try:
                assert branch.stdout is not None
                assert int(branch.stdout.readline()) >= 1
            finally:
                # Also where it said nothing: its end is waited for.
                branch.kill()
    house.inboxes.use([broker])
    eventually(lambda: len(house.saved) >= 5)
    assert sorted(house.ids()) == wanted
    eventually(lambda: left(broker, house) == 0)


GARBAGE = (
    b"", b"\xff\xfe", b"[", b"nonsense", b"null", b"7", b"[]", b'"x"', b"{}", b"[" * 100_000,
    b'{"a":' * 100_000,
    *(
        json.dumps(said).encode()
        for said in (
            [[ended()]], ended(id="forged-1"), ended(id=None), ended(id=["given"]),
            ended(app="bar"),
            ended(app=None), ended(state="PENDING"), ended(state="ODD"), ended(state=None),
            ended(state=["SUCCESS"]), ended(result="text"), ended(result=["a", "b"]),
            ended(result=7), ended(result={"a": float("nan")}), ended(error={"a": "b"}),
            ended(error=7),
            ended(at=None), ended(at="x"), ended(at=7), ended(at="2026-01-02T03:04:05"),
            {key: value for key, value in ended().items() if key != "at"},
            {key: value for key, value in ended().items() if key != "result"},
        )
    ),
)  # fmt: skip


def test_garbage_is_dropped(house: House, broker: str) -> None:
    send(broker, house, ended("given-first"))
    with Connection(broker) as connection:
        producer = Producer(connection.default_channel)
        for body in GARBAGE:
            put(producer, house, body, "application/json")
        put(producer, house, pickle.dumps(ended("given-pickled")), "application/x-python-serialize")
        for compression in ("application/x-gzip", "no-such"):
            put(producer, house, b"x", "application/json", headers={"compression": compression})
        put(producer, house, b"x", "application/json", content_encoding="no-such")
    send(broker, house, ended("given-last"))
    house.inboxes.use([broker])
    eventually(lambda: "given-last" in house.ids(), 30)
    assert house.ids() == ["given-first", "given-last"]
    eventually(lambda: left(broker, house) == 0)


def put(producer: Producer, house: House, body: bytes, kind: str, **more: Any) -> None:
    sent = {"content_encoding": "utf-8", **more}
    producer.publish(body, exchange="", routing_key=house.queue, content_type=kind, **sent)


@pytest.mark.parametrize(
    "element",
    [b"", b"nonsense", b"\xff", b"{}", b"[]", b"7", b"null", b'{"body": 7, "properties": {}}'],
)
def test_what_is_no_message_at_all_is_dropped(
    element: bytes, house: House, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    send(valkey_url, house, ended("given-first"))
    with redis.Redis.from_url(valkey_url) as client:
        client.lpush(house.queue, element)
    send(valkey_url, house, ended("given-last"))
    house.inboxes.use([valkey_url])
    eventually(lambda: "given-last" in house.ids(), 30)
    assert set(house.ids()) == {"given-first", "given-last"}


def test_one_that_the_store_refuses_is_dropped_and_the_others_stored(
    house: House, broker: str
) -> None:
    def refuse(tasks: Sequence[Task]) -> None:
        if any(task.error == "\ud800" for task in tasks):
            raise Invalid("a value cannot be stored")

    house.check = refuse
    poison = json.dumps(ended("given-2", error="\ud800")).encode()
    send(broker, house, ended("given-1"))
    outgoing = Outgoing(broker, 5.0)
    outgoing.put(house.queue, [Message("given-2", poison)])
    outgoing.close()
    send(broker, house, ended("given-3"))
    house.inboxes.use([broker])
    eventually(lambda: len(house.saved) >= 2)
    assert house.ids() == ["given-1", "given-3"]
    eventually(lambda: left(broker, house) == 0)


def test_one_that_is_no_longer_used_is_left_alone(house: House, valkey_url: str) -> None:
    house.inboxes.use([valkey_url])
    eventually(lambda: len(house.beats) == 1)
    house.stop()
    assert house.retired == house.beats
    send(valkey_url, house, ended("given-1"))
    assert left(valkey_url, house) == 1
    house.inboxes.use([valkey_url])
    eventually(lambda: house.ids() == ["given-1"])
    house.stop()
    with redis.Redis.from_url(valkey_url) as client:
        assert [key for key in client.scan_iter() if house.branch.encode() in key] == []


def test_a_broker_that_is_not_there_is_tried_again(house: House) -> None:
    house.inboxes.use(["redis://127.0.0.1:1/0"])
    eventually(lambda: len(house.beats) == 1)
    house.beats.clear()
    eventually(lambda: len(house.beats) == 1)
