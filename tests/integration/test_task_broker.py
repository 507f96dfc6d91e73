"""Tasks that are tracked, at real brokers: sent again, and revoked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection, Exchange, pools

from cyme_supd.domain.ledgerstore import Tracked
from cyme_supd.domain.ports import Store
from cyme_supd.domain.taskagain import Again, again
from cyme_supd.domain.tracking import Place
from cyme_supd.errors import Conflict, Unavailable
from cyme_supd.testing.store import MemoryStore
from cyme_supd.workers.taskbroker import KombuTaskBroker
from tests import tracked
from tests.support import eventually

WITHIN_S = 60.0


@pytest.fixture(params=["rabbitmq", "valkey"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    pools.reset()
    tracked.forget(url)
    yield url
    tracked.forget(url)


@pytest.fixture
def backend(tmp_path: Path) -> str:
    return f"db+sqlite:///{tmp_path}/results.db"


@pytest.fixture
def store() -> Store:
    return MemoryStore("memory://", "b1")


def ended(store: Store, id: str) -> Tracked:
    def look() -> Tracked | None:
        found = tracked.known(store).get(id)
        return found if found is not None and found.record.is_over else None

    found: Tracked = eventually(look, WITHIN_S, 0.1)
    return found


def message(store: Store, task: Tracked) -> str:
    with store.reading() as view:
        return view.tracked_messages([task.number])[task.number]


def test_what_failed_is_run_again_with_what_it_was_given(
    broker: str, backend: str, store: Store, tmp_path: Path
) -> None:
    place = Place(broker)
    with (
        tracked.shop(broker, backend) as app,
        tracked.monitor(store, place),
        tracked.worker(tmp_path, broker, backend, "-E"),
    ):
        given = {"password": "hunter2"}
        first = ended(store, app.send_task("mail.fails", kwargs=given, priority=3).id)
        letter = again(first, message(store, first), "again-1", "cyme@b1")
        assert KombuTaskBroker().send_again(place, [letter]) == 1
        found = ended(store, "again-1").record
        assert (found.state, found.get("parent"), found.get("producer")) == (
            "FAILURE",
            first.record.id,
            "cyme@b1",
        )
        # With other arguments it would have been a TypeError.
        assert "ValueError" in found.get("error")
        assert "hunter2" not in str(found)


def test_a_revoked_one_is_not_run(broker: str, backend: str, store: Store, tmp_path: Path) -> None:
    place = Place(broker)
    with (
        tracked.shop(broker, backend) as app,
        tracked.monitor(store, place),
        tracked.worker(tmp_path, broker, backend, "-E"),
    ):
        # Those that run show that the worker is up, and listens.
        ended(store, app.send_task("mail.add", (1, 2)).id)
        id = app.send_task("mail.add", (3, 4), countdown=5).id
        KombuTaskBroker().revoke(place, id, terminate=False)
        assert ended(store, id).record.state == "REVOKED"


LETTER = Again("t2", "t1", "nobody", {"task": "a", "id": "t2"}, "[[], {}, {}]", "utf-8")


def test_it_is_on_record_where_nobody_has_come_up_yet(broker: str, store: Store) -> None:
    place = Place(broker)
    assert KombuTaskBroker().send_again(place, [LETTER]) == 1
    with tracked.monitor(store, place):
        assert eventually(lambda: tracked.known(store).get("t2"), WITHIN_S).record.state == "SENT"


def test_a_redis_that_has_lost_its_bindings(valkey_url: str, store: Store) -> None:
    tracked.forget(valkey_url)
    place = Place(valkey_url)
    KombuTaskBroker().send_again(place, [LETTER])
    tracked.forget(valkey_url)
    assert KombuTaskBroker().send_again(place, [LETTER]) == 1
    with redis.Redis.from_url(valkey_url) as client:
        assert {client.llen(name) for name in ("nobody", place.queue)} == {1}
    tracked.forget(valkey_url)


def test_an_exchange_of_another_kind(rabbitmq_url: str) -> None:
    place = Place(rabbitmq_url, exchange="cyme-test-direct")
    with Connection(rabbitmq_url) as connection:
        other = Exchange(place.exchange, type="direct")(connection.default_channel)
        other.declare()
        with pytest.raises(Conflict, match="otherwise"):
            KombuTaskBroker().send_again(place, [LETTER])
        other.delete()


def test_a_broker_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url in (f"amqp://127.0.0.1:{port}//", f"redis://127.0.0.1:{port}/0"):
        with pytest.raises(Unavailable):
            KombuTaskBroker().send_again(Place(url), [LETTER])
        with pytest.raises(Unavailable):
            KombuTaskBroker().revoke(Place(url), "t1", terminate=False)
