"""Tasks that are lost, old ones, and those that only their backend knows the end of."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cyme_supd.domain.ledger import Record, observed
from cyme_supd.domain.ledgerstore import LOST, NEVER_RECEIVED, WORKER_GONE, Source, TaskQuery
from cyme_supd.domain.spec import App, Queue
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Keep, Place, declared, is_gone, parse_keep, places_of
from cyme_supd.errors import Invalid
from cyme_supd.monitor.outcomes import Outcomes
from cyme_supd.monitor.sweeping import Lost, Retention
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.store import MemoryStore

BROKER = "amqp://guest:guest@h//"
PLACE = Place(BROKER, backends=("redis://h/1",))
AT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = AT.timestamp()


def sent(id: str, ago: float, **facts: Any) -> Record:
    return observed(id, NOW - ago, "SENT", 0, name="mail.send", routing_key="mail", **facts)


def kept(*records: Record, **source: Any) -> MemoryStore:
    store = MemoryStore("memory://", "b1")
    with store.recording() as tx:
        tx.observe(PLACE.source, records)
        tx.save_source(replace(Source(PLACE.source, "platform.fifo", event_at=NOW), **source))
    return store


def found(store: MemoryStore, **wanted: Any) -> dict[str, str | None]:
    with store.reading() as view:
        return {each.record.id: each.lost for each in view.tracked(TaskQuery(**wanted)).tasks}


def lose(store: MemoryStore, place: Place = PLACE, depth: int | None = 0) -> dict[str, str | None]:
    clock = FakeClock(AT)
    look = Lost(store.reading, store.recording, clock, lambda broker, queue: depth, 3600.0)
    look.look(place)
    return found(store, state=LOST)


def test_sent_and_never_received() -> None:
    soon = (AT + timedelta(hours=5)).isoformat()
    gone = (AT - timedelta(minutes=5)).isoformat()
    store = kept(
        sent("lost", 4000),
        sent("fresh", 3000),
        sent("later", 4000, eta=soon),
        sent("expired", 400, expires=gone),
        sent("received", 4000),
        observed("received", NOW - 3999, "RECEIVED"),
        sent("odd", 4000, eta="never"),
    )
    # Of those that wait somewhere.
    assert lose(store, depth=3) == {}
    assert lose(store, depth=None) == {}
    lost = {"lost", "odd"}
    assert lose(store) == dict.fromkeys(lost, NEVER_RECEIVED)


def test_where_nobody_tells_nothing_is_lost() -> None:
    silent = Place(BROKER)
    assert lose(kept(sent("t1", 9999), event_at=0.0), silent) == {}


def test_started_and_its_worker_gone() -> None:
    started = [
        observed(name, NOW - 500, "STARTED", 0, worker=f"{name}@h")
        for name in ("well", "silent", "bye", "again", "unknown")
    ]
    workers = {
        "well@h": [NOW - 900, NOW - 1, 1],
        "silent@h": [NOW - 900, NOW - 300, 2],
        "bye@h": [NOW - 900, 0.0, 3],
        "again@h": [NOW - 100, NOW - 1, 4],
    }
    store = kept(*started, workers=workers)
    assert lose(store) == dict.fromkeys(("silent", "bye", "again"), WORKER_GONE)
    assert not is_gone(workers, None, 0.0, NOW, 120.0)


def test_old_ones_and_too_many_go() -> None:
    ended = [observed(f"t{n}", NOW - 100 * n, "SUCCESS") for n in range(8)]
    store = kept(*ended, sent("open", 10_000))
    keep = parse_keep(["SUCCESS=450s,3", "*=1h"])
    retention = Retention(store.reading, store.recording, FakeClock(AT), keep)
    assert retention.look(threading.Event()) == 6
    assert found(store).keys() == {"t0", "t1", "t2"}
    assert retention.look(threading.Event()) == 0


def test_how_long_is_said() -> None:
    keep = parse_keep(["SUCCESS=7d,100", "*=,5", "FAILURE=90d"])
    assert keep["SUCCESS"] == Keep(7 * 86400.0, 100)
    assert keep["FAILURE"].age_s == 90 * 86400.0
    assert keep["REVOKED"].count == 5
    for text in ("SUCCESS", "SUCCESS=", "GONE=7d", "SUCCESS=7", "SUCCESS=7d,", "=7d", "*=-1d"):
        with pytest.raises(Invalid, match="how long"):
            parse_keep([text])


class Backends:
    def __init__(self, **told: dict[str, Any]) -> None:
        self.told = told
        self.asked: list[str] = []

    def outcome(self, url: str, id: str) -> dict[str, Any]:
        self.asked.append(id)
        if id == "odd":
            raise Invalid("not readable")
        return dict(self.told.get(id, {"state": "PENDING"}))


def test_what_only_the_backend_knows() -> None:
    store = kept(sent("done", 60), sent("failed", 50), sent("odd", 40), sent("fresh", 1))
    backends = Backends(
        done={"state": "SUCCESS", "result": "'token=abc'", "at": NOW - 30, "worker": "w@h"},
        failed={"state": "FAILURE", "error": "ValueError: x", "traceback": "..."},
    )
    look = Outcomes(store.reading, store.recording, backends, Redaction(), FakeClock(AT))
    look.look([PLACE, Place("amqp://other//")], threading.Event())
    assert backends.asked == ["done", "failed", "odd"]
    with store.reading() as view:
        (done,) = view.tracked_with("done")
        (failed,) = view.tracked_with("failed")
    assert (done.record.state, done.record.get("worker")) == ("SUCCESS", "w@h")
    assert "abc" not in str(done.record.get("result"))
    assert done.record.states["SUCCESS"].first == NOW - 30
    assert (failed.record.state, failed.record.get("error")) == ("FAILURE", "ValueError: x")


def test_where_tasks_are_seen() -> None:
    one = App("one", AT, is_tracked=True, result_backend="redis://h/1")
    two = App("two", AT, is_tracked=True, result_backend="redis://h/2")
    own = App("own", AT, is_tracked=True, extra_config={"task_default_exchange": "mine"})
    own = replace(own, broker="amqp://other//")
    found = places_of([one, two, own, App("no", AT)], BROKER, {"one": ["amqp://third//"]})
    assert [(each.broker, each.exchange, each.backends) for each in found] == [
        (BROKER, "task_exchange", ("redis://h/1", "redis://h/2")),
        ("amqp://other//", "mine", ()),
        ("amqp://third//", "task_exchange", ("redis://h/1",)),
    ]


def test_queues_of_what_is_tracked() -> None:
    plain = Queue("one", "mail", "mail", "direct", "mail", {}, AT)
    own = replace(plain, name="own", exchange="else", routing_key="own")
    app = App("one", AT)
    assert declared(app, [plain, own]) == (plain, own)
    seen, other = declared(replace(app, is_tracked=True), [plain, own])
    assert (seen.exchange, seen.exchange_type, seen.routing_key) == (
        "task_exchange",
        "topic",
        "mail",
    )
    assert other == own
