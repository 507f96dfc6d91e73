"""What has ended is looked at once more where what told of it may be lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import EVENTS, MONITOR, Gap, Source
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Place
from cyme_supd.monitor import outcomes
from cyme_supd.monitor.doubts import WINDOW_S, Doubts
from cyme_supd.monitor.outcomes import Outcomes
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.store import MemoryStore
from tests.unit.service_support import START

NOW = START.timestamp()
PLACE = Place("amqp://guest:guest@h//", backends=("redis://h/1",))
KEY = PLACE.source
SINCE = (round((NOW - WINDOW_S) * 1e6), 0)


def source(**workers: list[Any]) -> Source:
    return Source(KEY, "platform.fifo", workers=workers)


def gap(until: float, what: str = EVENTS, key: str = KEY) -> Gap:
    return Gap(key, what, until - 5, until)


def heard(*gaps: Gap, of: Source | None = None) -> Doubts:
    doubts = Doubts()
    doubts.hear(of or source(w=[0.0, NOW, 7]), gaps, NOW)
    return doubts


def test_without_a_loss_there_is_no_doubt() -> None:
    doubts = heard(gap(NOW - 9, MONITOR), gap(NOW - 9, key="other"), gap(NOW - WINDOW_S - 1))
    assert doubts.span(NOW) is None
    doubts.hear(source(w=[0.0, NOW + 5, 7], x=[0.0, NOW + 5, 8]), [], NOW + 5)
    assert doubts.span(NOW + 5) is None


def test_a_gap_is_looked_into_once() -> None:
    doubts = heard(gap(NOW - 9))
    assert doubts.span(NOW) == (SINCE, NOW)
    doubts.looked((5, 5))
    assert doubts.span(NOW + 1) == ((5, 5), NOW)
    doubts.looked(None)
    doubts.hear(source(w=[0.0, NOW, 7]), [gap(NOW - 9)], NOW + 1)
    assert doubts.span(NOW + 1) is None


def test_a_worker_that_is_another_process() -> None:
    doubts = heard()
    doubts.hear(source(w=[NOW, NOW, 8]), [], NOW)
    assert doubts.span(NOW) == (SINCE, NOW)
    # Whoever begins to look cannot know which process it was before.
    assert heard(of=source(w=[NOW - 60, NOW, 8])).span(NOW) == (SINCE, NOW)
    assert heard(of=source(w=[NOW - 2 * WINDOW_S, NOW, 8])).span(NOW) is None


def test_what_is_lost_meanwhile_is_looked_into_after_that() -> None:
    doubts = heard(gap(NOW - 9))
    doubts.span(NOW)
    for later in (1, 2):
        doubts.hear(source(w=[0.0, NOW, 7]), [gap(NOW + later)], NOW + later)
    assert doubts.span(NOW + 3) == (SINCE, NOW)
    doubts.looked(None)
    assert doubts.span(NOW + 3) == ((SINCE[0] + 1_000_000, 0), NOW + 3)
    doubts.looked(None)
    assert doubts.span(NOW + 3) is None


class Backends:
    def __init__(self, **told: str) -> None:
        self.told = told
        self.asked: list[str] = []

    def outcome(self, url: str, id: str) -> dict[str, Any]:
        self.asked.append(id)
        return {"state": self.told.get(id, "SUCCESS"), "at": NOW - 1}


def test_a_revoked_one_that_was_run_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MOST_ASKED", 2)
    store = MemoryStore("memory://", "b1")
    with store.recording() as tx:
        done = [observed(f"t{n}", NOW - 60 + n, "SUCCESS", 0, name="a") for n in range(4)]
        gone = observed("gone", NOW - 50, "REVOKED", 0, name="a")
        old = observed("old", NOW - 2 * WINDOW_S, "REVOKED", 0, name="a")
        tx.observe(KEY, [*done, gone, old])
        tx.save_source(source())
    backends = Backends()
    look = Outcomes(store.reading, store.recording, backends, Redaction(), FakeClock(START))
    look.look([PLACE], threading.Event())
    assert backends.asked == []
    with store.recording() as tx:
        tx.add_gap(gap(NOW - 2))
    look.look([PLACE], threading.Event())
    assert backends.asked == ["t0", "t1", "t2", "t3", "gone"]
    with store.reading() as view:
        assert view.tracked_with("gone")[0].record.state == "SUCCESS"
        assert view.tracked_with("old")[0].record.state == "REVOKED"


def test_all_that_have_not_ended_in_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MOST_ASKED", 2)
    store = MemoryStore("memory://", "b1")
    with store.recording() as tx:
        tx.observe(KEY, [observed(f"t{n}", NOW - 60 + n, "SENT", 0, name="a") for n in range(5)])
    backends = Backends()
    look = Outcomes(store.reading, store.recording, backends, Redaction(), FakeClock(START))
    look.look([PLACE], threading.Event())
    assert backends.asked == [f"t{n}" for n in range(5)]
