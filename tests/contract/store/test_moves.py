"""Instances that move, and what became of those that came, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.moving import Move, Moving, Step
from cyme_supd.domain.ports import Store
from cyme_supd.errors import CymeError, NotFound
from tests.contract.store.values import AT, app, branch, fill, instance

MOVE = Move("b2", "00ff")
HANDED = replace(MOVE, step=Step.HANDING)


def edit(store: Store, **changes: object) -> None:
    with store.writing() as tx:
        tx.save_instance(replace(tx.instance("w1"), **changes))  # type: ignore[arg-type]


def test_an_instance_is_on_its_way_and_is_not_any_more(store: Store) -> None:
    fill(store, app(), instance())
    for move in (MOVE, HANDED, None):
        edit(store, move=move)
        with store.reading() as view:
            assert view.instance("w1").move == move
            assert view.worker("w1").instance.move == move
            assert view.pending("b1") == ["w1"]


def test_one_that_comes_is_stored_with_its_generation(store: Store) -> None:
    whole = instance(move=MOVE, generation=7)
    fill(store, app(), whole)
    with store.reading() as view:
        assert view.instance("w1") == whole


def test_one_that_is_being_handed_over_is_not_edited(store: Store) -> None:
    """Whoever has it by then would not get to see that."""
    fill(store, app(), instance(move=HANDED))
    for changes in ({"is_enabled": False}, {"restarts": 1}, {"is_deleting": True}):
        with pytest.raises(CymeError, match="handed over to branch 'b2'"):
            edit(store, **changes)
    with store.reading() as view:
        assert view.instance("w1") == instance(move=HANDED)
    edit(store, move=None, is_enabled=False)
    edit(store, move=HANDED)
    edit(store, is_deleting=True, is_forced=True)


def test_who_else_has_its_name_is_not_asked_of_one_that_is_handed_over(store: Store) -> None:
    fill(store, app(), instance(move=HANDED), instance("w2", move=MOVE), instance("w3"))
    with store.reading() as view:
        assert view.born("b1") == {"w2": AT, "w3": AT}


def test_an_instance_goes_to_another_branch_of_the_store(store: Store) -> None:
    fill(store, app(), instance(move=MOVE))
    edit(store, branch="b2", move=None)
    with store.reading() as view:
        assert (view.pending("b1"), view.pending("b2")) == ([], ["w1"])


def test_how_far_a_branch_is(store: Store) -> None:
    whole = Moving(
        is_on=False,
        now="w1",
        to="b2",
        was_ready=True,
        has_left=True,
        failed={"w2": "no room", "w3": "no app"},
        reason="b2 is silent",
    )
    with store.writing() as tx:
        with pytest.raises(NotFound):
            tx.save_moving("b1", whole)
        tx.save_branch(branch("b1"))
        assert tx.moving("b1") is None
        tx.save_moving("b1", whole)
    with store.writing() as tx:
        # What it says of itself changes nothing of it.
        tx.save_branch(branch("b1"))
        tx.save_moving("b1", whole)
        assert (tx.moving("b1"), tx.moving("b2")) == (whole, None)
    with store.writing() as tx:
        tx.save_moving("b1", None)
        tx.save_moving("b1", None)
        assert tx.moving("b1") is None


def test_what_was_decided_once_stands(store: Store) -> None:
    with store.writing() as tx:
        assert tx.receipt("00ff") is None
        tx.save_receipt("00ff", True)
        tx.save_receipt("0100", False)
    with store.reading() as view:
        assert (view.receipt("00ff"), view.receipt("0100")) == (True, False)
    with pytest.raises(CymeError), store.writing() as tx:
        tx.save_receipt("0100", True)
    with store.reading() as view:
        assert view.receipt("0100") is False
