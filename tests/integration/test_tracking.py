"""Applications that are tracked, on real brokers, with real workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery, chord, signature
from kombu import Connection, pools
from kombu.exceptions import ChannelError
from sqlalchemy import make_url

from cyme_supd.errors import Conflict
from cyme_supd.tracking import Config, setup_app
from tests import databases
from tests.relay import relayed
from tests.support import eventually

QUEUES = ("mail", "celery", "platform.fifo")
#: A worker has started and run what waited for it.
WORKED_S = 60.0

SHOP = """\
from celery import Celery
from cyme_supd.tracking import Config

app = Celery("shop")
app.config_from_object(Config(queues=["mail"]))


@app.task(name="mail.send")
def send(text):
    return text


@app.task(name="total")
def total(parts):
    return sum(parts)


@app.task(name="fails")
def fails():
    raise ValueError("no such address")


@app.task(name="mail.again", bind=True)
def again(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries
"""


@pytest.fixture(params=["rabbitmq", "valkey"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of one that knows nothing of such an application."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    forget(url)
    yield url
    forget(url)


def forget(url: str) -> None:
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return
    with Connection(url) as connection:
        for name in QUEUES:
            connection.default_channel.queue_delete(name)
        connection.default_channel.exchange_delete("task_exchange")


@contextmanager
def producer(url: str, **settings: Any) -> Iterator[Celery]:
    """A program that publishes, and does nothing else to join."""
    # A process keeps its connections, and what was declared on each, for the next app.
    pools.reset()
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(Config(queues=["mail"], broker_url=url, **settings))
        yield app


@contextmanager
def worker(place: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    (place / "shop.py").write_text(SHOP)
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", "solo", *words]
    with (place / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            cwd=place,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def taken(url: str, queue: str) -> list[dict[str, Any]]:
    """The headers of all that lies in *queue*, which is empty afterwards."""
    with Connection(url) as connection:
        channel, found = connection.channel(), []
        while message := channel.basic_get(queue, no_ack=True):
            found.append(message.headers)
        return found


def ids(headers: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in headers]


def test_what_is_published_is_in_its_queue_and_the_platforms(broker: str) -> None:
    with producer(broker) as app:
        sent = {
            "mail": [app.send_task("mail.send").id, app.send_task("x", queue="mail").id],
            "celery": [app.send_task("total").id, app.send_task("x", retry=False).id],
        }
        sent["mail"].append(app.send_task("mail.send", countdown=60).id)
        eventually(lambda: depth(broker, "platform.fifo") == 5)
    for queue, published in sent.items():
        assert ids(taken(broker, queue)) == published
    assert sorted(ids(taken(broker, "platform.fifo"))) == sorted(chain(*sent.values()))


def depth(url: str, queue: str) -> int:
    with Connection(url) as connection:
        found: int = connection.channel().queue_declare(queue, passive=True).message_count
        return found


def test_everything_is_declared(broker: str) -> None:
    with producer(broker) as app:
        assert setup_app(app) is True
        assert setup_app(app) is True
    if broker.startswith("redis"):
        assert set(bindings(broker)) == {"mail", "celery", "platform.fifo"}
        assert bindings(broker)["platform.fifo"] == "#"
    else:
        # By somebody else, who declares nothing.
        with Connection(broker) as connection:
            connection.Producer().publish("{}", exchange="task_exchange", routing_key="a.b.c")
        eventually(lambda: depth(broker, "platform.fifo") == 1)
        assert [depth(broker, queue) for queue in ("mail", "celery")] == [0, 0]


def bindings(url: str) -> dict[str, str]:
    """As kombu keeps them on Redis: queues and their keys."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        members = client.smembers("_kombu.binding.task_exchange")
    split = [member.split("\x06\x16") for member in members]
    return {queue: key for key, _, queue in split}


def test_a_queue_that_is_declared_otherwise(rabbitmq_url: str) -> None:
    forget(rabbitmq_url)
    with Connection(rabbitmq_url) as connection:
        connection.channel().queue_declare("mail", durable=False, auto_delete=False)
        with producer(rabbitmq_url) as app:
            with pytest.raises(Conflict, match=r"mail: .*PRECONDITION_FAILED"):
                setup_app(app)
            assert setup_app(app, throw=False) is False
        # The others are there.
        connection.channel().queue_declare("platform.fifo", passive=True)
        with pytest.raises(ChannelError):
            connection.channel().queue_declare("no-such", passive=True)
    forget(rabbitmq_url)


def test_a_redis_that_comes_back_empty(valkey_url: str) -> None:
    forget(valkey_url)
    with producer(valkey_url) as app:
        app.send_task("mail.send")
        forget(valkey_url)
        published = app.send_task("mail.send").id
    assert ids(taken(valkey_url, "mail")) == [published]
    assert ids(taken(valkey_url, "platform.fifo")) == [published]


@pytest.fixture
def results(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Where results are kept: a database of either kind."""
    if broker.startswith("amqp"):
        yield {"RESULT_BACKEND_TEMPLATE": f"db+sqlite:///{tmp_path}/results.db"}
        return
    server: databases.Server = request.getfixturevalue("postgresql")
    with server.database() as url:
        parts = make_url(url)
        yield {
            "RESULT_DB_USER": parts.username,
            "RESULT_DB_HOST": parts.host,
            "RESULT_DB_PORT": parts.port,
            "RESULT_DB_NAME": parts.database,
        }


def test_a_worker_runs_tasks_and_leaves_the_platform_queue_alone(
    broker: str, results: dict[str, Any], tmp_path: Path
) -> None:
    environment = {f"CELERY_{name}": str(value) for name, value in results.items()}
    with producer(broker, **results) as app:
        with worker(tmp_path, CELERY_BROKER_URL=broker, **environment):
            whole = {
                "sent": app.send_task("mail.send", ("hello",)),
                "failed": app.send_task("fails"),
                "again": app.send_task("mail.again"),
            }
            header = [signature("mail.send", (number,), app=app) for number in (1, 2)]
            whole["total"] = chord(header, app=app)(signature("total", app=app))
            wait_for(whole, tmp_path)
        states = {name: result.state for name, result in whole.items()}
        assert states == {
            "sent": "SUCCESS",
            "failed": "FAILURE",
            "again": "SUCCESS",
            "total": "SUCCESS",
        }
        assert (whole["again"].result, whole["total"].result) == (2, 3)
        assert isinstance(whole["failed"].result, ValueError)
    assert [depth_of(broker, queue) for queue in ("mail", "celery")] == [0, 0]
    seen = taken(broker, "platform.fifo")
    assert {result.id for result in whole.values()} <= set(ids(seen))
    again = [each["retries"] for each in seen if each["id"] == whole["again"].id]
    assert again == [0, 1, 2]
    assert "celery.chord_unlock" in {each["task"] for each in seen}


def wait_for(results: dict[str, Any], place: Path) -> None:
    try:
        eventually(lambda: all(each.ready() for each in results.values()), WORKED_S, every_s=0.2)
    except AssertionError as exc:
        exc.add_note((place / "worker.log").read_text()[-4000:])
        raise


def depth_of(url: str, queue: str) -> int:
    """Also where one that is empty is not there."""
    try:
        return depth(url, queue)
    except ChannelError:
        return 0


def test_a_worker_that_starts_while_its_broker_is_away(valkey_url: str, tmp_path: Path) -> None:
    forget(valkey_url)
    log = tmp_path / "worker.log"
    with relayed(valkey_url) as (relay, url):
        relay.cut()
        with worker(tmp_path, "-X", "celery", CELERY_BROKER_URL=url) as process:
            eventually(lambda: "queues are not declared" in log.read_text(), WORKED_S)
            assert process.poll() is None
            relay.mend()
            eventually(lambda: bindings(valkey_url).get("platform.fifo") == "#", WORKED_S)
            with producer(valkey_url) as app:
                other, mine = app.send_task("total"), app.send_task("mail.send", ("hello",))
            eventually(lambda: depth_of(valkey_url, "mail") == 0, WORKED_S)
    assert ids(taken(valkey_url, "celery")) == [other.id]
    assert ids(taken(valkey_url, "platform.fifo")) == [other.id, mine.id]
    forget(valkey_url)


def test_unique_names_are_for_those_who_share_a_broker(broker: str) -> None:
    name = uuid4().hex[:8]
    own = {"task_default_exchange": f"x.{name}", "PLATFORM_QUEUE_NAME": f"seen.{name}"}
    with producer(broker, **own) as app:
        mine = app.send_task("total").id
    with producer(broker) as app:
        theirs = app.send_task("total").id
        eventually(lambda: depth(broker, "celery") == 2)
    assert ids(taken(broker, f"seen.{name}")) == [mine]
    assert ids(taken(broker, "platform.fifo")) == [theirs]
    with Connection(broker) as connection:
        connection.default_channel.queue_delete(f"seen.{name}")
        connection.default_channel.exchange_delete(f"x.{name}")
