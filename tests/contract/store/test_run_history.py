"""What became of jobs is found, and forgotten in time, in every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cyme_supd.domain.job import Run, RunEvent, RunOutput, RunStatus
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.ports import Store
from cyme_supd.domain.runstore import Standing
from tests.contract.store.test_jobs import job, keep, run
from tests.contract.store.values import AT

A, B = job("a"), job("b", "other")
ENDED = {"status": RunStatus.SUCCEEDED, "finished_at": AT}
ILL = (RunStatus.FAILED, RunStatus.LOST)


def seconds(runs: list[Run]) -> list[int]:
    """Of their fire times."""
    return [round((each.fire_at - AT).total_seconds()) for each in runs]


def found(store: Store, query: RunQuery) -> list[int]:
    with store.reading() as view:
        return seconds(view.runs(query))


def test_runs_that_are_looked_for(store: Store) -> None:
    failed, lost = ({"status": each} for each in ILL)
    these = (run(A, 1, **failed), run(B, 2, **lost), run(A, 3, **failed), run(B, 4, **ENDED))
    keep(store, A, B, runs=these)
    assert found(store, RunQuery(statuses=ILL)) == [3, 2, 1]
    assert found(store, RunQuery(statuses=ILL, offset=1, limit=1)) == [2]
    assert found(store, RunQuery(statuses=ILL, category="other")) == [2]
    assert found(store, RunQuery(statuses=ILL, job_id=A.id)) == [3, 1]
    assert found(store, RunQuery(category="other")) == [4, 2]
    since, until = AT + timedelta(seconds=2), AT + timedelta(seconds=4)
    assert found(store, RunQuery(since=since, until=until)) == [3, 2]
    assert found(store, RunQuery(statuses=ILL, since=since, until=until)) == [3, 2]
    with store.reading() as view:
        assert seconds(view.ended_ill(ILL, since, 10)) == [3, 2]
        assert seconds(view.ended_ill(ILL, AT, 1)) == [3]


def test_a_run_is_cancelled_as_it_is_at_that_moment(store: Store) -> None:
    queued, going = run(A, 1, order_at=AT), run(A, 2, status=RunStatus.RUNNING, nonce="x")
    over = run(A, 3, **ENDED)
    keep(store, A, runs=(queued, going, over))
    with store.writing() as tx:
        done = [tx.cancel_run(id, AT, "lunch") for id in (queued.id, going.id, over.id, "0")]
    assert done == [True, True, False, False]
    with store.reading() as view:
        ended = replace(queued, status=RunStatus.CANCELLED, finished_at=AT, reason="lunch")
        assert view.run(queued.id) == replace(ended, order_at=None)
        assert view.run(going.id) == replace(going, wants_cancel=True)
        assert view.run(over.id) == over


def test_news(store: Store) -> None:
    keep(store, A, B, runs=(run(A), run(B)))
    with store.reading() as view:
        assert view.run_news(None, 10) == []
    events = [RunEvent(each.id, AT, "starting") for each in (run(A), run(B), run(A))]
    with store.writing() as tx:
        tx.add_run_events(events[:1])
    with store.reading() as view:
        (before,) = view.run_news(None, 10)
    with store.writing() as tx:
        tx.add_run_events(events[1:])
    with store.reading() as view:
        news = view.run_news(before.id, 10)
        assert [each.job_id for each in news] == [B.id, A.id]
        assert view.run_news(before.id, 1) == news[:1]
        assert view.run_news(None, 10) == news[1:]
        assert view.run_news(news[-1].id, 10) == []


def test_how_things_stand(store: Store) -> None:
    with store.reading() as view:
        assert view.standing(AT) == Standing()
    late = AT + timedelta(seconds=9)
    these = (
        run(A, 1, status=RunStatus.RUNNING),
        run(A, 2, **ENDED),
        run(A, 3, order_at=AT, orders=2, queued_at=late),
        run(A, 4, order_at=AT, orders=2),
        run(A, 7, order_at=AT, orders=1),
        # One is not ordered yet, and one waits for another of its job.
        run(B, 5, order_at=AT, queued_at=AT),
        run(B, 6, orders=1, queued_at=AT),
    )
    keep(store, A, replace(B, due_at=AT), runs=these)
    with store.reading() as view:
        stands = view.standing(AT + timedelta(seconds=1))
        assert stands == Standing(5, 1, AT + timedelta(seconds=4), 1, AT)
        assert view.standing(AT).overdue == 0
        assert seconds(view.unclaimed(late, 10)) == [3, 4]
        assert seconds(view.unclaimed(AT + timedelta(seconds=8), 10)) == [4]
        assert seconds(view.unclaimed(late, 1)) == [3]


def test_old_runs_are_forgotten_some_at_a_time(store: Store) -> None:
    these = (run(A, 1), *(run(A, n, **ENDED) for n in (2, 3, 4)), run(B, 5, **ENDED))
    keep(store, A, B, runs=these)
    with store.writing() as tx:
        tx.add_run_events([RunEvent(these[1].id, AT, "finished")])
        tx.save_outputs([RunOutput(these[1].id, AT, 1, b"x")])
    before = AT + timedelta(seconds=4)
    counts = []
    for _ in range(3):
        with store.recording() as tx:
            counts.append(tx.remove_old_runs(before, 1))
    assert counts == [1, 1, 0]
    assert found(store, RunQuery()) == [5, 4, 1]
    with store.reading() as view:
        assert view.run_events(these[1].id) == []
        assert view.run_output(these[1].id) is None


def test_each_job_keeps_its_latest_runs(store: Store) -> None:
    going = run(A, 0, status=RunStatus.RUNNING)
    keep(store, A, B, runs=(going, *(run(A, n, **ENDED) for n in range(1, 8)), run(B, 8, **ENDED)))
    counts, steps = 0, 0
    after: str | None = ""
    while after is not None:
        with store.recording() as tx:
            count, after = tx.remove_surplus_runs(3, after, 2)
        assert count <= 2
        counts, steps = counts + count, steps + 1
    assert (counts, steps) == (4, 3)
    assert found(store, RunQuery()) == [8, 7, 6, 5, 0]


def test_the_runs_of_many_jobs_are_looked_through(store: Store) -> None:
    many = [job(f"{number:03}") for number in range(250)]
    keep(store, *many, runs=tuple(run(each, n, **ENDED) for each in many for n in (1, 2)))
    counts = 0
    after: str | None = ""
    while after is not None:
        with store.recording() as tx:
            count, after = tx.remove_surplus_runs(1, after, 1000)
        counts += count
    assert counts == 250
    assert set(found(store, RunQuery(limit=500))) == {2}
