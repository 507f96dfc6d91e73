"""Users and their tokens, in every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.access import Role, Token, User, digest_of
from cyme_supd.domain.ports import Store
from cyme_supd.domain.sessions import Session
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


SESSION = Session(digest_of("a"), "alice", None, AT, AT, AT + timedelta(hours=12))


def test_sessions_are_kept_used_and_gone(store: Store) -> None:
    other = replace(SESSION, id=digest_of("b"), user=None, token=TOKEN.id)
    with store.writing() as tx:
        tx.save_user(ALICE)
        tx.add_token(TOKEN)
        tx.add_session(SESSION)
        tx.add_session(other)
        tx.session_used(other.id, AT + timedelta(seconds=1))
        tx.session_used("none", AT)
    used = replace(other, last_used_at=AT + timedelta(seconds=1))
    with store.reading() as view:
        assert view.sessions() == sorted([SESSION, used], key=lambda each: each.id)
    with store.writing() as tx:
        tx.remove_sessions([SESSION.id, "none"])
        tx.remove_sessions([])
        assert tx.sessions() == [used]


def test_sessions_go_with_whose_they_are(store: Store) -> None:
    for of in (SESSION, replace(SESSION, user=None, token=TOKEN.id)):
        with store.writing() as tx, pytest.raises(NotFound):
            tx.add_session(of)
    with store.writing() as tx:
        tx.save_user(ALICE)
        tx.save_user(BOB)
        tx.add_token(replace(TOKEN, user="alice"))
        tx.add_token(replace(TOKEN, id="bb"))
        tx.add_session(SESSION)
        for id, user, token in (("b", None, TOKEN.id), ("c", None, "bb"), ("d", "Bob", None)):
            tx.add_session(replace(SESSION, id=digest_of(id), user=user, token=token))
    with store.writing() as tx:
        tx.remove_user("alice")
        assert {each.id for each in tx.sessions()} == {digest_of("c"), digest_of("d")}
        tx.remove_token("bb")
        assert [each.user for each in tx.sessions()] == ["Bob"]
    # Another of that name is somebody else.
    with store.writing() as tx:
        tx.save_user(ALICE)
    with store.reading() as view:
        assert [each.user for each in view.sessions()] == ["Bob"]
