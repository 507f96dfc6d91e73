"""Jobs, their categories and their runs are kept, in every store, and found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cyme_supd.domain.job import Category, Job, Run, RunEvent, RunStatus, category_id, run_id
from cyme_supd.domain.jobstore import JobQuery, RunQuery
from cyme_supd.domain.ports import Store
from cyme_supd.errors import Conflict, NotFound
from tests.contract.store.values import AT

FULL = Job(
    category="example",
    name="Überstunde 🕐 'x'",
    schedule="30 2 * * *",
    created_at=AT,
    argv=("echo", "a b", ""),
    routing_key="slow",
    app="foo",
    timezone="Europe/Berlin",
    timeout_s=60,
    overlap="skip",
    catch_up="all",
    deadline_s=30,
    retries=3,
    jitter_s=5,
    environment={"A": "b ü", "C": ""},
    user="nobody",
    is_paused=False,
    next_fire_at=AT + timedelta(hours=1),
    due_at=AT + timedelta(hours=1, milliseconds=1500),
)


def job(name: str = "a", category: str = "example", due: int | None = 1, **given: Any) -> Job:
    at = None if due is None else AT + timedelta(seconds=due)
    made = Job(category, name, "@daily", AT, command="true", next_fire_at=at, due_at=at)
    return replace(made, **given)


def run(of: Job, second: int = 0, **given: Any) -> Run:
    at: datetime = AT + timedelta(seconds=second)
    made = Run(run_id(of.id, at), of.id, of.category, of.name, at, RunStatus.QUEUED, at)
    return replace(made, **given)


def keep(store: Store, *jobs: Job, runs: tuple[Run, ...] = ()) -> None:
    with store.writing() as tx:
        for name in {each.category for each in jobs}:
            tx.add_category(name)
        tx.add_jobs(jobs)
        tx.add_runs(runs)


def names(store: Store, **wanted: Any) -> list[str]:
    with store.reading() as view:
        return [each.name for each in view.jobs(JobQuery(**wanted))]


def test_as_it_was_stored(store: Store) -> None:
    long = job("long", command="x" * 65536 + "\n'\"%\\", due=None, is_paused=True)
    keep(store, FULL, long)
    with store.reading() as view:
        assert view.job(FULL.id) == FULL
        assert view.jobs_in("example") == [long, FULL]
        assert view.jobs_in("none") == []
        assert view.jobs_with([long.id, "0"]) == [long]
        with pytest.raises(NotFound):
            view.job("0")


def test_edited_and_removed(store: Store) -> None:
    keep(store, job("a"), job("b"), job("c"))
    with store.writing() as tx:
        tx.save_jobs([job("a", command="false"), job("gone")])
        tx.remove_jobs([job("b").id, job("gone").id])
    with store.reading() as view:
        assert view.jobs_in("example") == [job("a", command="false"), job("c")]


def test_a_name_is_there_once_in_a_category(store: Store) -> None:
    keep(store, job("a"), job("A"), job("a", "other"))
    with pytest.raises(Conflict):
        keep(store, job("a"))
    assert names(store) == ["A", "a", "a"]


def test_many(store: Store) -> None:
    many = [job(f"{number:04}") for number in range(1100)]
    keep(store, *many)
    with store.writing() as tx:
        tx.save_jobs([replace(each, command="false") for each in many[:1050]])
        tx.remove_jobs([each.id for each in many[20:]])
    with store.reading() as view:
        assert {each.command for each in view.jobs_in("example")} == {"false"}
        assert view.category("example") == Category("example", 20)


def test_categories(store: Store) -> None:
    with store.writing() as tx:
        tx.add_category("empty")
        tx.add_category("empty")
    keep(store, job("a"), job("b"), job("c", "Other"))
    with store.reading() as view:
        expected = [Category("Other", 1), Category("empty", 0), Category("example", 2)]
        assert view.categories() == expected
        assert view.category("example") == Category("example", 2)
        with pytest.raises(NotFound):
            view.category("none")


def test_a_category_goes_with_its_jobs_and_their_runs_stay(store: Store) -> None:
    keep(store, job("a"), job("b", "other"), runs=(run(job("a")),))
    with store.writing() as tx:
        tx.remove_category("example")
        with pytest.raises(NotFound):
            tx.remove_category("example")
    assert names(store) == ["b"]
    with store.reading() as view:
        assert view.runs(RunQuery()) == [run(job("a"))]


def test_pages_by_name(store: Store) -> None:
    keep(store, *(job(name, category) for category in "yx" for name in "cab"))
    assert names(store) == ["a", "b", "c"] * 2
    assert names(store, offset=2, limit=2) == ["c", "a"]
    assert names(store, is_descending=True, limit=3) == ["c", "b", "a"]
    with store.reading() as view:
        assert [each.category for each in view.jobs(JobQuery(limit=4))] == ["x", "x", "x", "y"]


def test_pages_by_time(store: Store) -> None:
    idle = sorted((job("i", due=None), job("j", due=None)), key=lambda each: each.id)
    keep(store, job("b", due=2), *idle, job("a", due=3), job("c", due=1))
    last = [each.name for each in idle]
    assert names(store, sort="next_fire_at") == ["c", "b", "a", *last]
    assert names(store, sort="next_fire_at", is_descending=True) == ["a", "b", "c", *last]
    assert names(store, sort="next_fire_at", offset=2, limit=2) == ["a", last[0]]
    assert names(store, sort="next_fire_at", offset=4, limit=2) == [last[1]]
    assert names(store, sort="next_fire_at", offset=5, limit=2) == []


def test_which_jobs(store: Store) -> None:
    keep(store, job("a"), job("b", "other"))
    assert names(store, category="other") == ["b"]
    assert names(store, category_id=category_id("other")) == ["b"]
    assert names(store, category_id="0") == []
    assert names(store, id=job("a").id) == ["a"]
    assert names(store, id=job("a").id, category="other") == []


def test_what_is_due(store: Store) -> None:
    with store.reading() as view:
        assert view.next_due_at() is None
    later = job("later", due=0, due_at=AT + timedelta(seconds=7))
    keep(store, job("b", due=5), later, job("a", due=3), job("never", due=None))
    with store.reading() as view:
        assert view.next_due_at() == AT + timedelta(seconds=3)
        due = view.due(AT + timedelta(seconds=5), 10)
        assert [each.name for each in due] == ["a", "b"]
        assert [each.name for each in view.due(AT + timedelta(seconds=9), 1)] == ["a"]
        assert view.due(AT, 10) == []


def test_the_latest_runs_of_each(store: Store) -> None:
    a, b, c = job("a"), job("b"), job("c")
    keep(store, a, b, c, runs=tuple(run(of, second) for of in (a, b) for second in range(4)))
    with store.reading() as view:
        found = view.latest_runs([a.id, c.id], 3)
        assert found == {a.id: [run(a, 3), run(a, 2), run(a, 1)], c.id: []}
        assert view.latest_runs([b.id], 1) == {b.id: [run(b, 3)]}
        assert view.latest_runs([], 3) == {}
        assert len(view.latest_runs([job(str(number)).id for number in range(900)], 1)) == 900


def test_runs(store: Store) -> None:
    a, b = job("a"), job("b")
    failed = run(
        a,
        5,
        status=RunStatus.FAILED,
        started_at=AT,
        finished_at=AT,
        attempt=2,
        exit_code=-9,
        host="h",
        branch="b1",
        instance="w1",
        reason="it was killed",
    )
    keep(store, a, b, runs=(run(a), failed, run(b, 3)))
    with store.reading() as view:
        assert view.runs(RunQuery()) == [failed, run(b, 3), run(a)]
        assert view.runs(RunQuery(offset=1, limit=1)) == [run(b, 3)]
        assert view.runs(RunQuery(job_id=a.id)) == [failed, run(a)]
        assert view.runs(RunQuery(statuses=("failed",))) == [failed]
        assert view.runs(RunQuery(job_id=b.id, statuses=("failed",))) == []
        assert view.run(failed.id) == failed
        with pytest.raises(NotFound):
            view.run("0")


def test_a_fire_time_has_one_run(store: Store) -> None:
    a = job("a")
    keep(store, a, runs=(run(a),))
    for again in (run(a), run(a, id="another")):
        with pytest.raises(Conflict), store.writing() as tx:
            tx.add_runs([run(a, 1), again])
    with store.reading() as view:
        assert view.runs(RunQuery()) == [run(a)]


def test_a_run_goes_on(store: Store) -> None:
    a = job("a")
    keep(store, a, runs=(run(a),))
    running = run(a, status=RunStatus.RUNNING, started_at=AT)
    events = [
        RunEvent(running.id, AT + timedelta(seconds=1), "starting"),
        RunEvent(running.id, AT, "finished", "the clock was put back"),
    ]
    with store.writing() as tx:
        tx.save_runs([running, run(a, 9)])
        tx.add_run_events(events)
    with store.reading() as view:
        assert view.runs(RunQuery()) == [running]
        assert view.run_events(running.id) == events
        assert view.run_events("0") == []


def test_all_of_it_or_nothing(store: Store) -> None:
    keep(store, job("a"), job("b"))

    def fail() -> None:
        with store.writing() as tx:
            tx.add_category("new")
            tx.add_jobs([job("c", "new")])
            tx.save_jobs([job("a", command="false")])
            tx.remove_jobs([job("b").id])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.reading() as view:
        assert view.jobs(JobQuery()) == [job("a"), job("b")]
        assert view.categories() == [Category("example", 2)]
