"""Counting: what one process counts, and what all of a branch have counted."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.domain.metrics import (
    ACTIONS,
    COUNTED,
    FAILED_PASSES,
    GAUGES,
    LIVE,
    PASSES,
    QUEUED,
    Key,
)
from cyme_supd.metrics import FORGOTTEN_AFTER_S, KeptMetrics, Metrics
from cyme_supd.testing.clock import FakeClock
from cyme_supd.workers.rounds import GIVEN_UP_AFTER_S, AskingRound

STARTS: Key = (ACTIONS.name, ("start",))
LAPSED: Key = (LIVE.name, ("b2",))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def kept(folder: Path, clock: FakeClock, program: str = "web", **more: Any) -> KeptMetrics:
    return KeptMetrics(folder / "metrics", program, clock, **more)


def starts(metrics: Metrics) -> float:
    return metrics.totals().counts.get(STARTS, (0.0,))[0]


# One process


def test_what_is_counted_adds_up_by_labels() -> None:
    metrics = Metrics()
    metrics.count(ACTIONS, "start")
    metrics.count(ACTIONS, "stop")
    metrics.count(ACTIONS, "start", by=2)
    assert metrics.totals().counts == {STARTS: (3.0,), (ACTIONS.name, ("stop",)): (1.0,)}


def test_seconds_are_put_where_they_belong() -> None:
    metrics = Metrics()
    least, *_, most = PASSES.bounds
    for seconds in (0.0, least, most, most + 1):
        metrics.time(PASSES, seconds, "full")
    row = metrics.totals().counts[PASSES.name, ("full",)]
    # A bucket has what is as long as its bound, and there is one above all.
    assert (row[0], row[len(PASSES.bounds) - 1], row[len(PASSES.bounds)]) == (2, 1, 1)
    assert row[-1] == least + most + most + 1


def test_nothing_is_lost_between_threads() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(2000):
            metrics.count(FAILED_PASSES)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert metrics.totals().counts == {(FAILED_PASSES.name, ()): (8000.0,)}


def test_names_are_of_one_kind_each() -> None:
    families = COUNTED + GAUGES
    assert len({each.name for each in families}) == len(families)
    for family in families:
        assert family.name.startswith("cyme_")
        assert family.help.endswith(".")
        if family in COUNTED or family.bounds:
            assert bool(family.bounds) == family.name.endswith("_seconds"), family.name
        is_counter = family in COUNTED and not family.bounds
        assert is_counter == family.name.endswith("_total"), family.name
        assert family.bounds == tuple(sorted(family.bounds))
        assert not {"instance", "job", "url", "id"} & set(family.labels)


# Many processes


def test_each_says_what_all_have_written(tmp_path: Path, clock: FakeClock) -> None:
    one, two, branch = kept(tmp_path, clock), kept(tmp_path, clock), kept(tmp_path, clock, "branch")
    for each, by in ((one, 1), (two, 2), (branch, 4)):
        each.count(ACTIONS, "start", by=by)
        each.time(PASSES, 0.01 * by, "full")
    assert starts(one) == 0.0  # Not even its own, which others do not know.
    for each in (one, two, branch):
        each.save()
    assert [starts(each) for each in (one, two, branch)] == [7.0, 7.0, 7.0]
    assert one.totals() == two.totals() == branch.totals()
    row = one.totals().counts[PASSES.name, ("full",)]
    assert sum(row[:-1]) == 3
    assert row[-1] == pytest.approx(0.07)
    names = sorted(path.name for path in (tmp_path / "metrics").glob("*.json"))
    assert names == ["branch-0.json", "web-0.json", "web-1.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*.json")} == {0o600}


COUNTS_ONCE = """
import sys
from pathlib import Path
from cyme_supd.clock import SystemClock
from cyme_supd.domain.metrics import ACTIONS
from cyme_supd.metrics import KeptMetrics
metrics = KeptMetrics(Path(sys.argv[1]), "web", SystemClock())
metrics.count(ACTIONS, "start")
metrics.save()
"""


def test_one_that_died_is_gone_on_from(tmp_path: Path, clock: FakeClock) -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", COUNTS_ONCE, tmp_path / "metrics"], check=True)
    assert [path.name for path in (tmp_path / "metrics").glob("*.json")] == ["web-0.json"]
    assert starts(kept(tmp_path, clock)) == 3.0


def test_what_was_counted_before_the_first_write_is_added(tmp_path: Path, clock: FakeClock) -> None:
    subprocess.run([sys.executable, "-c", COUNTS_ONCE, tmp_path / "metrics"], check=True)
    next_one = kept(tmp_path, clock)
    next_one.count(ACTIONS, "start", by=10)
    next_one.save()
    next_one.save()
    assert starts(next_one) == 11.0


def test_gauges_of_a_process_that_is_gone_are_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    said: dict[Key, float] = {LAPSED: 0.0}
    branch = kept(tmp_path, clock, "branch", gauges=lambda: said)
    branch.count(ACTIONS, "start")
    branch.save()
    web = kept(tmp_path, clock)
    assert web.totals().gauges == {LAPSED: 0.0}
    clock.advance(FORGOTTEN_AFTER_S + 1)
    assert (web.totals().gauges, starts(web)) == ({}, 1.0)
    branch.save()
    assert web.totals().gauges == {LAPSED: 0.0}
    said.clear()
    branch.save()
    assert web.totals().gauges == {}


def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path, clock: FakeClock) -> None:
    web = kept(tmp_path, clock)
    web.save()
    (tmp_path / "metrics" / "web-0.json").unlink()
    web.save()
    assert not list(tmp_path.rglob("*.json"))
    web.count(QUEUED, "foo")
    web.save()
    assert list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "nonsense",
        '{"at": 1, "counts": 3, "gauges": []}',
        '{"at": 1, "counts": [["cyme_actions_total", ["start"]]], "gauges": []}',
        '{"at": 1, "counts": [["cyme_actions_total", ["start"], ["x"]]], "gauges": []}',
        # As other versions may have had them.
        '{"at": 1, "counts": [["cyme_actions_total", ["start"], [1, 2]]], "gauges": []}',
        '{"at": 1, "counts": [["cyme_actions_total", [], [1]]], "gauges": []}',
        '{"at": 1, "counts": [["cyme_old_total", [], [1]]], "gauges": []}',
    ],
)
def test_files_that_cannot_be_read_are_not_used(
    content: str, tmp_path: Path, clock: FakeClock
) -> None:
    web = kept(tmp_path, clock)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "web-0.json").write_text(content)
    assert web.totals().counts == {}
    web.count(ACTIONS, "start")
    web.save()
    assert starts(web) == 1.0


def test_a_disk_that_refuses_costs_nobody_anything(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "metrics").write_text("in the way")
    web = kept(tmp_path, clock)
    web.count(ACTIONS, "start")
    with caplog.at_level(logging.WARNING):
        web.save()
        web.save()
    assert len(caplog.records) == 1
    (tmp_path / "metrics").unlink()
    web.save()
    assert starts(web) == 1.0


def test_gauges_that_cannot_be_told_do_not_stop_it(tmp_path: Path, clock: FakeClock) -> None:
    def fails() -> dict[Key, float]:
        raise RuntimeError("broken")

    branch = kept(tmp_path, clock, "branch", gauges=fails)
    branch.save()


def test_half_a_file_is_never_read(tmp_path: Path, clock: FakeClock) -> None:
    web = kept(tmp_path, clock)
    web.count(ACTIONS, "start")
    web.save()
    (tmp_path / "metrics" / "web-0.tmp").write_text('{"at": 1, "coun')
    assert starts(web) == 1.0
    assert json.loads((tmp_path / "metrics" / "web-0.json").read_text())["counts"]


# Answers to a question to all


def test_each_answer_counts_once_a_round() -> None:
    took: list[float] = []
    rounds = AskingRound(took.append)
    rounds.answered("w1@b1", 1.0)  # To a question of its own.
    rounds.asked(10.0)
    rounds.answered("w1@b1", 10.5)
    rounds.answered("w1@b1", 11.0)
    rounds.answered("w2@b1", 12.0)
    rounds.asked(20.0)
    rounds.answered("w1@b1", 20.25)
    assert took == [0.5, 2.0, 0.25]


def test_who_is_slow_does_not_seem_quick_for_being_asked_again() -> None:
    took: list[float] = []
    rounds = AskingRound(took.append)
    rounds.asked(10.0)
    rounds.asked(15.0)
    rounds.answered("w1@b1", 16.0)
    rounds.asked(20.0)
    rounds.asked(20.0 + GIVEN_UP_AFTER_S)
    rounds.answered("w1@b1", 21.0 + GIVEN_UP_AFTER_S)
    assert took == [6.0, 1.0]
