"""The monitor on real brokers: what it records is what became of the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, pools

from cyme_supd.domain.ledgerstore import Source, Tracked
from cyme_supd.domain.ports import Store
from cyme_supd.domain.tracking import Place
from cyme_supd.monitor import outcomes, station
from cyme_supd.testing.store import MemoryStore
from tests import tracked
from tests.support import eventually, let_pass

WITHIN_S = 60.0


@pytest.fixture(params=["rabbitmq", "valkey"])
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of one on which nothing is tracked yet."""
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


def ended(store: Store, ids: list[str]) -> dict[str, Tracked]:
    """All that is known, when each of *ids* has ended."""

    def look() -> dict[str, Tracked]:
        found = tracked.known(store)
        states = {id: found[id].record.state if id in found else None for id in ids}
        open = {id: state for id, state in states.items() if state not in ("SUCCESS", "FAILURE")}
        assert {state for state in open.values() if state != "REVOKED"} == set(), states
        return found

    result: dict[str, Tracked] = eventually(look, WITHIN_S, 0.1)
    return result


def source(store: Store) -> Source:
    with store.reading() as view:
        found = view.sources()
    return found[0] if found else Source("", "")


@pytest.mark.parametrize("tells", [True, False], ids=["events", "results"])
def test_what_is_recorded_is_what_became_of_the_tasks(
    broker: str,
    backend: str,
    store: Store,
    tmp_path: Path,
    tells: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not tells:
        monkeypatch.setattr(outcomes, "PATIENCE_S", 0.5)
        monkeypatch.setattr("cyme_supd.monitor.monitor.OUTCOMES_EVERY_S", 0.2)
    place = Place(broker, backends=() if tells else (backend,))
    app = tracked.shop(broker, backend)
    with (
        app,
        tracked.monitor(store, place),
        tracked.worker(tmp_path, broker, backend, *(("-E",) if tells else ())),
    ):
        # Before that nobody hears of what is told where there is no queue for it.
        eventually(lambda: source(store).workers, WITHIN_S)
        # On Redis a revocation is told to those who listen, and to nobody else.
        eventually(lambda: app.control.ping(timeout=1.0), WITHIN_S)
        ids = tracked.publish(app)
        found = ended(store, ids)
        truth = {id: app.AsyncResult(id).state for id in ids}
        assert {id: found[id].record.state for id in ids} == truth
    assert sorted(truth.values()).count("REVOKED") == 1
    failed = next(each.record for each in found.values() if each.record.state == "FAILURE")
    assert failed.get("name") == "mail.fails"
    assert failed.get("error") in ("ValueError('no such address')", "ValueError: no such address")
    assert "hunter2" not in str(failed)
    again = [each.record for each in found.values() if each.record.get("name") == "mail.again"]
    assert [each.get("retries") for each in again] == [2]
    children = [each.record for each in found.values() if each.record.get("parent")]
    assert {found[each.get("parent")].record.get("name") for each in children} >= {"mail.add"}
    if tells:
        assert failed.get("worker") == again[0].get("worker")
        assert again[0].states.keys() >= {"SENT", "RECEIVED", "STARTED", "RETRY", "SUCCESS"}


def test_what_was_published_while_no_monitor_was_there(
    broker: str, backend: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(broker)
    with tracked.shop(broker, backend) as app:
        ids = tracked.publish(app, rounds=2)
        # Two at one queue, of which one may take what the other has let go of.
        with tracked.monitor(store, place), tracked.monitor(store, place, owner="m2"):
            found = eventually(lambda: len(tracked.known(store)) == 20 and tracked.known(store))
            # Some looks further, for which there is nothing to be acknowledged.
            let_pass(2 * station.IDLE_S)
    assert [each for each in caplog.records if each.name == station.__name__] == []
    published = {
        id for id, each in found.items() if each.record.get("name") != "celery.chord_unlock"
    }
    assert published <= set(ids)


def test_hostile_messages(broker: str, store: Store) -> None:
    bodies: list[tuple[Any, dict[str, Any]]] = [
        (b"\x80\x04K\x01.", {"content_type": "application/x-python-serialize"}),
        (b"\xff\xfe\0", {"content_type": "application/json"}),
        (b"no task", {"content_type": "text/plain"}),
        (b"[" * 100_000, {"content_type": "application/json"}),
        (b'{"task": "x", "id": ' + b"9" * 10_000_000 + b"}", {"content_type": "application/json"}),
        (b"{}", {"content_type": "application/json", "headers": {"task": 1, "id": "\0"}}),
        (b"x" * 100, {"content_type": "application/json", "compression": "gzip"}),
    ]
    whole = {"task": "mail.big", "id": "whole\u00fc", "argsrepr": "x" * 100_000}
    with tracked.monitor(store, Place(broker)):
        eventually(lambda: source(store).watched_at, WITHIN_S)
        with Connection(broker) as connection:
            producer = connection.Producer(exchange=Exchange("task_exchange", type="topic"))
            for body, told in bodies:
                producer.publish(body, routing_key="mail", content_encoding="binary", **told)
            told = {"content_type": "application/json", "headers": whole}
            producer.publish(
                b"y" * 10_000_000, routing_key="mail", content_encoding="utf-8", **told
            )
        eventually(lambda: tracked.known(store), WITHIN_S)
        eventually(lambda: sum(source(store).refused.values()) == len(bodies), WITHIN_S)
    (only,) = tracked.known(store).values()
    assert (only.record.id, only.record.state) == ("whole\u00fc", "SENT")
    assert len(only.record.get("args")) == 4096
    with store.reading() as view:
        kept = view.refusals(source(store).key, 100)
        assert view.tracked_messages([only.number]) == {}
    assert len(kept) == len(bodies)
    assert max(len(each.body) for each in kept) == 4096
    assert b"\x80\x04K\x01." in [each.body for each in kept] or broker.startswith("redis")
