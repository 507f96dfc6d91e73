"""Users and their tokens, in every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.access import Role, Token, User, digest_of
from cyme_supd.domain.ports import Store
from cyme_supd.errors import NotFound
from tests.contract.store.values import AT

ALICE = User("alice", "$argon2id$" + "x" * 120, Role.ADMIN, AT)
BOB = User("Bob", "$argon2id$bob", Role.VIEWER, AT)
TOKEN = Token("0123456789ab", "für die Übersicht", None, digest_of("s"), Role.OPERATOR, "foo", AT)


def test_users_are_kept_edited_and_gone(store: Store) -> None:
    with store.writing() as tx:
        assert tx.users() == []
        tx.save_user(ALICE)
        tx.save_user(BOB)
    with store.reading() as view:
        assert view.users() == [BOB, ALICE]
        assert type(view.users()[0].role) is Role
    edited = replace(ALICE, password_hash="other", role=Role.OPERATOR)
    with store.writing() as tx:
        tx.save_user(replace(edited, created_at=AT + timedelta(days=1)))
        tx.save_user(edited)
        assert tx.users() == [BOB, edited]
        tx.remove_user("Bob")
        # Names are told apart by every letter's case.
        with pytest.raises(NotFound):
            tx.remove_user("Alice")
        assert tx.users() == [edited]


def test_tokens_are_kept_used_and_gone(store: Store) -> None:
    other = replace(TOKEN, id="aa", app=None, expires_at=AT + timedelta(days=1), role=Role.ADMIN)
    with store.writing() as tx:
        tx.add_token(other)
        tx.add_token(TOKEN)
        tx.token_used("aa", AT + timedelta(seconds=1))
        tx.token_used("none", AT)
    used = replace(other, last_used_at=AT + timedelta(seconds=1))
    with store.reading() as view:
        assert view.tokens() == [TOKEN, used]
    with store.writing() as tx:
        tx.remove_token("aa")
        with pytest.raises(NotFound):
            tx.remove_token("aa")
        assert tx.tokens() == [TOKEN]


def test_tokens_go_with_their_user(store: Store) -> None:
    with store.writing() as tx, pytest.raises(NotFound):
        tx.add_token(replace(TOKEN, user="alice"))
    with store.writing() as tx:
        tx.save_user(ALICE)
        tx.add_token(replace(TOKEN, user="alice"))
        tx.add_token(replace(TOKEN, id="aa"))
    with store.writing() as tx:
        tx.remove_user("alice")
        assert [each.id for each in tx.tokens()] == ["aa"]


def test_who_looks_learns_of_a_change_by_the_version(store: Store) -> None:
    with store.writing() as tx:
        tx.save_user(ALICE)
    before = store.version()
    with store.writing() as tx:
        tx.remove_user("alice")
    assert store.version() != before
