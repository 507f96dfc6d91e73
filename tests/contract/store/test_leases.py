"""Who alone may act for a branch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.errors import NotFound
from tests.contract.store.values import AT, branch
from tests.support import eventually

LONG_S = 60.0


def save(store: Store, id: str = "b1") -> None:
    with store.writing() as tx:
        tx.save_branch(branch(id))


def take(store: Store, holder: str, lasts_s: float = LONG_S, id: str = "b1") -> str:
    with store.recording() as tx:
        return tx.take_lease(id, holder, datetime.now(UTC), lasts_s)


def holder(store: Store, id: str = "b1") -> str | None:
    with store.reading() as view:
        return view.lease_holder(id, datetime.now(UTC))


def test_one_has_it(store: Store) -> None:
    save(store)
    assert take(store, "host1") == "host1"
    assert take(store, "host2") == "host1"
    assert take(store, "host1") == "host1"


def test_each_branch_has_its_own(store: Store) -> None:
    save(store)
    save(store, "b2")
    assert take(store, "host1") == "host1"
    assert take(store, "host2", id="b2") == "host2"


def test_when_it_has_run_out_another_takes_it(store: Store) -> None:
    save(store)
    take(store, "host1", 0.2)
    eventually(lambda: take(store, "host2") == "host2", every_s=0.05)
    assert take(store, "host1") == "host2"


def test_one_that_is_renewed_does_not_run_out(store: Store) -> None:
    save(store)
    take(store, "host1", 0.01)
    take(store, "host1")
    assert take(store, "host2") == "host1"


def test_of_a_branch_that_is_not_there(store: Store) -> None:
    with pytest.raises(NotFound, match="branch 'b1'"):
        take(store, "host1")


def test_what_a_branch_says_of_itself_leaves_it_alone(store: Store) -> None:
    save(store)
    take(store, "host1")
    later = replace(branch(), observed_at=AT + timedelta(seconds=5))
    with store.writing() as tx:
        tx.save_branch(later)
    assert take(store, "host2") == "host1"
    with store.reading() as view:
        assert view.branch("b1") == later


def test_who_has_it_is_told_while_it_lasts(store: Store) -> None:
    assert holder(store) is None
    save(store)
    save(store, "b2")
    assert holder(store) is None
    take(store, "host1")
    take(store, "host2")
    assert (holder(store), holder(store, "b2")) == ("host1", None)
    take(store, "host1", 0.2)
    eventually(lambda: holder(store) is None, every_s=0.05)


def test_all_of_a_transaction_or_none(store: Store) -> None:
    save(store)

    def fail() -> None:
        with store.writing() as tx:
            tx.take_lease("b1", "host1", datetime.now(UTC), LONG_S)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert take(store, "host2") == "host2"
