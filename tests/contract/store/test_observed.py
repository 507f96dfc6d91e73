"""What was observed: statuses and branches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.errors import NotFound
from tests.contract.store.values import (
    AT,
    app,
    branch,
    fill,
    instance,
    observe,
    pending,
)


class TestStatuses:
    WHOLE = Status(
        "w1",
        1,
        ProcessState.RUNNING,
        pid=4711,
        ready=True,
        consuming=False,
        autoscale=(8, 0),
        conditions=(
            Condition("Ready", True, "Answers", "it answered", AT),
            Condition("Converged", None, "", "ü", AT + timedelta(microseconds=1)),
        ),
    )

    def test_comes_back_as_it_was_saved(self, store: Store) -> None:
        fill(store, app(), instance(), instance("w2"), instance("w3", branch="b2"))
        observe(store, self.WHOLE, Status("w2", 1), Status("w3", 1))
        with store.reading() as view:
            assert view.status("w1") == self.WHOLE
            assert view.status("w1").state is ProcessState.RUNNING  # type: ignore[union-attr]
            assert view.statuses("b1") == {"w1": self.WHOLE, "w2": Status("w2", 1)}
            assert view.statuses("nope") == {}
            assert view.statuses() == {**view.statuses("b1"), "w3": Status("w3", 1)}

    def test_a_trace_is_another_where_the_status_is(self, store: Store) -> None:
        fill(store, app(), app("bar"), instance(), instance("w3", "bar", branch="b2"))
        observe(store, self.WHOLE, Status("w3", 1))
        with store.reading() as view:
            before = view.traces()
            assert before == view.traces()
            assert {name: each.app for name, each in before.items()} == {"w1": "foo", "w3": "bar"}
            assert view.traces("b1") == {"w1": before["w1"]}
        later = (replace(self.WHOLE.conditions[0], message="it answers"), self.WHOLE.conditions[1])
        for other in (replace(self.WHOLE, pid=4712), replace(self.WHOLE, conditions=later)):
            observe(store, other)
            with store.reading() as view:
                assert view.traces()["w1"] != before["w1"]
                assert view.traces()["w3"] == before["w3"]
        observe(store, self.WHOLE)
        with store.reading() as view:
            assert view.traces() == before

    def test_there_is_none_before_the_first(self, store: Store) -> None:
        fill(store, app(), instance())
        with store.reading() as view:
            assert view.status("w1") is None
            assert view.status("nope") is None

    def test_the_next_replaces_it_whole(self, store: Store) -> None:
        fill(store, app(), instance(), instance("w2"))
        observe(store, self.WHOLE)
        observe(store, Status("w1", 1), Status("w2", 1, pid=1))
        with store.reading() as view:
            assert view.statuses("b1") == {"w1": Status("w1", 1), "w2": Status("w2", 1, pid=1)}

    def test_of_what_is_gone_is_passed_over(self, store: Store) -> None:
        fill(store, app(), instance("w2"))
        observe(store, self.WHOLE, Status("w2", 1))
        observe(store)
        with store.reading() as view:
            assert view.statuses("b1") == {"w2": Status("w2", 1)}

    def test_of_an_earlier_instance_of_that_name_is_passed_over(self, store: Store) -> None:
        fill(store, app(), instance())
        with store.writing() as transaction:
            last = transaction.save_instance(instance(is_deleting=True))
            transaction.remove_instance("w1")
            transaction.add_instance(instance())
        observe(store, Status("w1", last.generation))
        assert pending(store) == ["w1"]

    def test_pending_is_what_no_status_has_caught_up_with(self, store: Store) -> None:
        fill(store, app(), instance("w2"), instance("w1"), instance("w3", branch="b2"))
        assert pending(store) == ["w1", "w2"]
        observe(store, Status("w1", 1), Status("w3", 1))
        assert pending(store) == ["w2"]
        assert pending(store, "b2") == []
        with store.writing() as transaction:
            transaction.save_instance(instance("w1", is_deleting=True))
            transaction.touch_instances("nope")
        assert pending(store) == ["w1", "w2"]
        observe(store, Status("w1", 2), Status("w2", 1))
        assert pending(store) == []

    def test_many_at_once(self, store: Store) -> None:
        names = [f"w{number:04}" for number in range(1203)]
        fill(store, app(), *(instance(name) for name in names))
        observe(store, *(Status(name, 1, pid=1) for name in names[::2]))
        observe(store, *(Status(name, 1, pid=2) for name in names))
        with store.reading() as view:
            assert {each.pid for each in view.statuses("b1").values()} == {2}
        assert pending(store) == []


class TestBranches:
    def test_is_saved_and_saved_again(self, store: Store) -> None:
        observed = branch(
            observed_at=AT + timedelta(seconds=1),
            logfile="/x/branch.log",
            health={"supervisord": {"ok": True}, "threads": {"reconciler": 0.25}},
        )
        for each in (branch("b2"), branch(), observed):
            with store.writing() as transaction:
                transaction.save_branch(each)
        with store.reading() as view:
            assert view.branch("b1") == observed
            assert view.branch("b2") == branch("b2")
            assert view.branch_ids() == ["b1", "b2"]
            assert view.branches() == [observed, branch("b2")]

    def test_one_that_is_not_there(self, store: Store) -> None:
        with store.reading() as view:
            assert view.branch_ids() == []
            with pytest.raises(NotFound, match="branch 'nope'"):
                view.branch("nope")
