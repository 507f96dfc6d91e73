"""Runs are claimed by one at a time, in every store, and what is known of them is kept."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from cyme_supd.domain.job import Run, RunOutput, RunStatus
from cyme_supd.domain.ports import Store
from cyme_supd.domain.spec import App
from tests.contract.store.test_jobs import job, keep, run
from tests.contract.store.values import AT

A, B = job("a"), job("b", app="foo")
LATER = AT + timedelta(minutes=1)


def ids(runs: list[Run]) -> list[str]:
    return sorted(each.id for each in runs)


def test_what_changes_of_a_run_is_saved_and_no_more(store: Store) -> None:
    first, second = run(A), run(A, 1)
    keep(store, A, runs=(first, second))
    claimed = replace(
        first,
        status=RunStatus.RUNNING,
        nonce="0" * 32,
        reply="cyme.runner.1",
        host="höst",
        instance="w1",
        heard_at=LATER,
        started_at=AT,
        attempt=2,
        reason="x",
        orders=3,
    )
    with store.recording() as tx:
        locked = tx.lock_runs([first.id, second.id, "none"])
        assert ids(locked) == ids([first, second])
        tx.save_claimed([replace(claimed, name="other", wants_cancel=True)])
        tx.save_claimed([])
    with store.reading() as view:
        assert view.run(first.id) == claimed
        assert view.run(second.id) == second


def test_output_is_the_latest(store: Store) -> None:
    first, second = run(A), run(A, 1)
    keep(store, A, runs=(first, second))
    whole = RunOutput(first.id, AT, 3, b"a\0\xff")
    longer = RunOutput(first.id, LATER, 2**40, b"b" * 65536, True)
    with store.recording() as tx:
        tx.lock_runs([first.id])
        tx.save_outputs([whole, replace(whole, size=4)])
    with store.reading() as view:
        assert view.run_output(first.id) == replace(whole, size=4)
        assert view.run_output(second.id) is None
    with store.recording() as tx:
        tx.save_outputs([longer, replace(whole, run_id=second.id)])
    with store.reading() as view:
        assert view.run_output(first.id) == longer
        assert view.run_output(second.id) == replace(whole, run_id=second.id)


def test_claims_that_were_given_up_are_known_for_a_while(store: Store) -> None:
    one, two, three = ("1" * 32, "2" * 32, "3" * 32)
    with store.recording() as tx:
        tx.add_withdrawals([one, one, two], AT)
        tx.add_withdrawals([two, three], LATER)
        tx.add_withdrawals([], LATER)
        assert tx.withdrawn([one, three, "4" * 32]) == {one, three}
        assert tx.forget_withdrawals(LATER) == 2
    with store.reading() as view:
        assert view.withdrawn([one, two, three]) == {three}
        assert view.withdrawn([]) == set()


def test_who_is_silent_and_who_is_unwanted(store: Store) -> None:
    silent = run(A, status=RunStatus.RUNNING, heard_at=AT)
    well = run(A, 1, status=RunStatus.RUNNING, heard_at=LATER, wants_cancel=True)
    queued = run(A, 2, wants_cancel=True, order_at=AT)
    ended = run(A, 3, status=RunStatus.LOST, heard_at=AT, wants_cancel=True)
    other = run(B, status=RunStatus.RUNNING, heard_at=LATER, app="foo")
    keep(store, A, B, runs=(silent, well, queued, ended, other))
    with store.reading() as view:
        assert view.silent_runs(LATER, 10) == [silent]
        assert len(view.silent_runs(LATER + timedelta(1), 1)) == 1
        assert view.silent_runs(LATER, 10, ["foo"]) == [silent]
        assert view.silent_runs(LATER, 10, ["foo", None]) == []
        assert view.silent_runs(LATER + timedelta(1), 10, [None]) == [other]
        assert ids(view.unwanted_runs(10)) == ids([well, queued])
        assert len(view.unwanted_runs(1)) == 1


def test_what_waits_for_another_run(store: Store) -> None:
    held, other = run(A), run(A, 1)
    ordered = run(B, order_at=AT)
    busy = (
        run(A, 2, status=RunStatus.RUNNING),
        run(A, 3, status=RunStatus.SUCCEEDED),
    )
    keep(store, A, B, runs=(held, other, ordered, *busy[1:]))
    with store.reading() as view:
        assert view.jobs_holding() == [A.id]
        assert ids(view.held_runs([A.id, B.id])) == ids([held, other])
        assert view.held_runs([B.id]) == []
        assert view.busy_jobs([A.id, B.id]) == {B.id}
    with store.writing() as tx:
        tx.add_runs(busy[:1])
    with store.reading() as view:
        assert view.busy_jobs([A.id, B.id]) == {A.id, B.id}
        assert view.busy_jobs([A.id]) == {A.id}
        assert view.busy_jobs([]) == set()


def test_jobs_are_locked_with_what_they_are(store: Store) -> None:
    keep(store, A, B)
    with store.recording() as tx:
        found = tx.lock_jobs([B.id, "none", A.id])
        assert sorted(each.name for each in found) == ["a", "b"]


def test_which_apps_jobs_are_for(store: Store) -> None:
    keep(store, A, B, job("c", app="gone"), runs=(run(A, app="bar"), run(A, 1, app="baz")))
    with store.writing() as tx:
        for name in ("foo", "bar", "baz", "unused"):
            tx.add_app(App(name, AT))
        tx.save_runs([run(A, 1, app="baz", status=RunStatus.FAILED)])
    with store.reading() as view:
        assert view.apps_of_jobs() == ["bar", "foo"]


def test_two_at_once_see_what_the_other_has_done(store: Store) -> None:
    """Each claims what is queued: nothing is claimed by both."""
    runs = [run(A, second) for second in range(40)]
    keep(store, A, runs=tuple(runs))
    barrier = threading.Barrier(2)

    def claim(nonce: str) -> list[str]:
        taken = []
        # The other way round, too: they are locked in one order, whatever is asked for.
        wanted = [each.id for each in runs][:: 1 if nonce[0] == "a" else -1]
        barrier.wait()
        for begin in range(0, len(wanted), 10):
            taken += take(store, wanted[begin : begin + 10], nonce)
        return taken

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(claim, ["a" * 32, "b" * 32]))
    assert sorted(taken[0] + taken[1]) == ids(runs)
    with store.reading() as view:
        stored = {each.id: view.run(each.id).nonce for each in runs}
    assert stored == {
        **dict.fromkeys(taken[0], "a" * 32),
        **dict.fromkeys(taken[1], "b" * 32),
    }


def take(store: Store, wanted: list[str], nonce: str) -> list[str]:
    with store.recording() as tx:
        queued = [each for each in tx.lock_runs(wanted) if each.status == RunStatus.QUEUED]
        tx.save_claimed([replace(each, status=RunStatus.RUNNING, nonce=nonce) for each in queued])
    return [each.id for each in queued]
