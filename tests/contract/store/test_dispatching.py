"""Jobs that are due and runs to be ordered are taken by one at a time, in every store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cyme_supd.domain.firing import UnderWay
from cyme_supd.domain.job import Run, RunStatus
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.ports import Store
from cyme_supd.store.repository import SqlStore
from tests.contract.store.conftest import Made
from tests.contract.store.test_jobs import FULL, job, keep, run
from tests.contract.store.values import AT
from tests.databases import MARIADB, POSTGRESQL, empty


def at(second: float) -> datetime:
    return AT + timedelta(seconds=second)


def stored_runs(store: Store) -> dict[str, Run]:
    with store.reading() as view:
        return {each.id: each for each in view.runs(RunQuery())}


def test_what_is_due_is_taken_and_moved_on(store: Store) -> None:
    many = [job(f"{number:03}", due=number) for number in range(20)]
    keep(store, FULL, *many, job("never", due=None))
    with store.recording() as tx:
        taken = tx.take_due(at(10), 5)
        assert taken == many[:5]
        tx.move_on([replace(each, due_at=at(100 + place)) for place, each in enumerate(taken)])
        assert [each.name for each in tx.take_due(at(10), 100)] == [f"{n:03}" for n in range(5, 11)]
        ended = replace(many[5], next_fire_at=None, due_at=None)
        tx.move_on([ended, *(replace(each, due_at=at(200)) for each in many[6:11]), job("gone")])
    with store.reading() as view:
        assert view.due(at(10), 100) == []
        assert view.next_due_at() == at(11)
        assert view.job(many[2].id) == replace(many[2], due_at=at(102))
        assert view.job(many[7].id) == replace(many[7], due_at=at(200))
        assert view.job(ended.id) == ended


def test_only_the_times_are_moved_on(store: Store) -> None:
    keep(store, FULL)
    with store.recording() as tx:
        tx.move_on([replace(FULL, command="other", argv=None, due_at=at(1), next_fire_at=at(0))])
    with store.reading() as view:
        assert view.job(FULL.id) == replace(FULL, due_at=at(1), next_fire_at=at(0))


def test_which_runs_are_under_way(store: Store) -> None:
    a, b, c = job("a"), job("b"), job("c")
    queued = run(a, 1, order_at=at(9))
    running = run(a, 2, status=RunStatus.RUNNING)
    done = [run(c, 3, status=RunStatus.FAILED), run(a, 4, status=RunStatus.LOST)]
    keep(store, a, b, c, runs=(queued, running, run(a, 5), run(b, 1), *done))
    with store.reading() as view:
        expected = {a.id: UnderWay(3, 1), b.id: UnderWay(1, 1)}
        assert view.under_way([a.id, b.id, c.id]) == expected
        assert view.under_way([c.id]) == {}
        assert view.under_way([]) == {}
        assert view.known_runs([queued.id, run(b, 7).id]) == {queued.id}


def test_orders(store: Store) -> None:
    a = job("a")
    runs = [run(a, number, order_at=at(number)) for number in range(6)]
    keep(store, a, runs=(*runs, run(a, 10)))
    with store.reading() as view:
        assert view.next_order_at() == at(0)
    with store.recording() as tx:
        taken = tx.take_orders(at(4), 3, at(60))
        assert taken == [replace(each, order_at=at(60)) for each in runs[:3]]
        assert [each.id for each in tx.take_orders(at(4), 9, at(60))] == [
            runs[3].id,
            runs[4].id,
        ]
        assert tx.take_orders(at(4), 9, at(60)) == []
    with store.reading() as view:
        assert view.next_order_at() == at(5)
    assert stored_runs(store)[runs[0].id] == replace(runs[0], order_at=at(60))


def test_what_was_ordered_is_marked(store: Store) -> None:
    a = job("a")
    first, second = run(a, 1, order_at=at(60), reason="no broker"), run(a, 2, order_at=at(60))
    claimed = run(a, 3, status=RunStatus.RUNNING)
    again = run(a, 4, order_at=at(61))
    keep(store, a, runs=(first, second, claimed, again))
    with store.recording() as tx:
        ids = [first.id, claimed.id, again.id, run(a, 9).id]
        tx.mark_ordered(ids, at(60), at(120))
        tx.put_off([second.id, again.id], at(60), at(90), "no such queue")
    assert stored_runs(store) == {
        first.id: replace(first, order_at=at(120), orders=1, reason=None),
        second.id: replace(second, order_at=at(90), reason="no such queue"),
        claimed.id: claimed,
        again.id: again,
    }


def test_what_has_ended_is_not_ordered(store: Store) -> None:
    a = job("a")
    ended = run(a, 1, status=RunStatus.CANCELLED, order_at=at(1))
    keep(store, a, runs=(ended,))
    with store.recording() as tx:
        assert tx.take_orders(at(4), 3, at(60)) == []
    with store.reading() as view:
        assert view.next_order_at() is None


def test_a_key_is_shared(store: Store) -> None:
    with store.writing() as tx:
        assert tx.shared_key("runner") is None
        assert tx.share_key("runner", "00ff") == "00ff"
    with store.writing() as tx:
        assert tx.share_key("runner", "1234") == "00ff"
        assert tx.share_key("other", "1234") == "1234"
    with store.reading() as view:
        assert view.shared_key("runner") == "00ff"


def test_whose_clock(store: Store) -> None:
    there = AT - timedelta(days=400)
    with store.reading() as view:
        now = view.database_now(there)
        is_shared = isinstance(store, SqlStore) and store.engine.dialect.name != "sqlite"
        assert now > AT - timedelta(days=100) if is_shared else now == there


# Two at once ---------------------------------------------------------------


@pytest.fixture(params=[POSTGRESQL, MARIADB])
def shared(request: pytest.FixtureRequest, on_server: Made) -> Iterator[SqlStore]:
    store = on_server(request.param)
    yield store
    empty(store.engine)


def test_two_who_take_have_each_their_own(shared: SqlStore) -> None:
    jobs = [job(f"{number:03}", due=0) for number in range(30)]
    keep(shared, *jobs, runs=tuple(run(each, order_at=at(0)) for each in jobs))
    with shared.recording() as one, shared.recording() as two:
        mine, theirs = one.take_due(at(1), 20), two.take_due(at(1), 20)
        my_runs = one.take_orders(at(1), 12, at(60))
        their_runs = two.take_orders(at(1), 20, at(60))
        one.move_on([replace(each, due_at=at(99)) for each in mine])
        two.move_on([replace(each, due_at=at(98 + n)) for n, each in enumerate(theirs)])
        # What the other has is passed over, and not waited for.
        one.mark_ordered([each.id for each in (*my_runs, *their_runs)], at(60), at(120))
    assert (len(mine), len(theirs)) == (20, 10)
    assert {each.id for each in (*mine, *theirs)} == {each.id for each in jobs}
    assert (len(my_runs), len(their_runs)) == (12, 18)
    assert not {each.id for each in my_runs} & {each.id for each in their_runs}
    marked = {each.id for each in stored_runs(shared).values() if each.orders == 1}
    assert marked == {each.id for each in my_runs}


def test_many_who_take_at_once(shared: SqlStore) -> None:
    """Each of a thousand fire times is taken once, with none of them in another's way."""
    jobs = [job(f"{number:04}", due=number % 7 - 7) for number in range(1000)]
    keep(shared, *jobs)
    taken: list[str] = []

    def take() -> None:
        while True:
            with shared.recording() as tx:
                due = tx.take_due(AT, 50)
                later = [replace(each, next_fire_at=at(5), due_at=at(5)) for each in due[::2]]
                # Some are due at once again, as those are that are far behind.
                behind = [replace(each, due_at=at(-0.5), jitter_s=0) for each in due[1::2]]
                first = [each for each in behind if each.next_fire_at != at(-9)]
                second = [replace(each, due_at=at(6)) for each in behind if each not in first]
                tx.move_on(
                    [*later, *second, *(replace(each, next_fire_at=at(-9)) for each in first)]
                )
            taken.extend(each.id for each in due)
            if not due:
                return

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(take) for _ in range(4)]:
            each.result(timeout=60)
    assert len(taken) >= 1000
    assert set(taken) == {each.id for each in jobs}
    with shared.reading() as view:
        assert view.due(AT, 1) == []
