"""Claims on names, and branches that take no new instances, in every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.claim import Claim
from cyme_supd.domain.ports import Store
from cyme_supd.errors import NotFound
from tests.contract.store.values import AT, branch

CLAIM = Claim("w1", "b1", "00ff", AT)


def test_a_claim_is_noted_lost_and_gone(store: Store) -> None:
    with store.writing() as tx:
        assert tx.claim("w1") is None
        tx.save_claim(CLAIM)
        assert tx.claim("w1") == CLAIM
        tx.save_claim(replace(CLAIM, is_lost=True))
    with store.reading() as view:
        assert view.claim("w1") == replace(CLAIM, is_lost=True)
        assert view.claim("w2") is None
    with store.writing() as tx:
        tx.remove_claim("w1")
        tx.remove_claim("w1")
        assert tx.claim("w1") is None


def test_a_branch_drains_until_it_is_told_otherwise(store: Store) -> None:
    with store.writing() as tx:
        with pytest.raises(NotFound):
            tx.drain("b1", True)
        assert tx.is_draining("b1") is False
        tx.save_branch(branch("b1"))
        tx.drain("b1", True)
    with store.writing() as tx:
        # What it says of itself does not end it.
        tx.save_branch(branch("b1"))
        assert (tx.is_draining("b1"), tx.is_draining("b2")) == (True, False)
        tx.drain("b1", False)
        assert tx.is_draining("b1") is False
