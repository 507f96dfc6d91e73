"""How long sessions last, and where one may be sent after signing in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cyme_supd.domain.proxies import check_proxy
from cyme_supd.domain.sessions import (
    IDLE,
    LIFE,
    MOST_EACH,
    Session,
    forgery_token,
    is_forgery_token,
    local_path,
    superfluous,
)
from cyme_supd.errors import Invalid
from cyme_supd.service import SignIn

AT = datetime(2026, 1, 1, tzinfo=UTC)
SESSION = Session("a" * 64, "alice", None, AT, AT, AT + LIFE)


@pytest.mark.parametrize(
    ("used", "after", "is_over"),
    [
        (timedelta(), timedelta(), False),
        (timedelta(), IDLE - timedelta(seconds=1), False),
        (timedelta(), IDLE, True),
        (LIFE - timedelta(hours=1), LIFE - timedelta(seconds=1), False),
        (LIFE - timedelta(seconds=1), LIFE, True),
        # Another branch's clock may be a little ahead.
        (timedelta(seconds=5), timedelta(), False),
    ],
)
def test_sessions_end(used: timedelta, after: timedelta, is_over: bool) -> None:
    assert replace(SESSION, last_used_at=AT + used).is_over(AT + after) is is_over


def test_what_is_too_much_beside_a_new_one() -> None:
    new = replace(SESSION, id="new", created_at=AT + IDLE, last_used_at=AT + IDLE)
    used = AT + IDLE - timedelta(hours=1)
    theirs = [
        replace(SESSION, id=str(number), last_used_at=used + timedelta(seconds=number))
        for number in range(MOST_EACH)
    ]
    of_another = replace(theirs[0], id="other", user="bob")
    over = replace(SESSION, id="over", user="bob")
    assert superfluous([*theirs, of_another, over], new) == ["over", "0"]
    assert superfluous([of_another], new) == []


def test_what_shows_that_a_page_is_ours() -> None:
    token = forgery_token("secret")
    assert is_forgery_token(token, token)
    for other in ("", token[:-1], token.upper(), forgery_token("other"), "ü", "\ud800"):
        assert not is_forgery_token(other, token)
    assert "secret" not in token


@pytest.mark.parametrize(
    "path",
    ["/admin/", "/admin/instances/?app=foo&q=a%20b", "/admin/instances/foo/w1/", "/api/docs"],
)
def test_where_one_is_sent(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "/",
        "//evil.example/admin/",
        "/admin//evil.example\r\nSet-Cookie: a=b",
        "https://evil.example/admin/",
        "javascript:alert(1)",
        "/admin/../../evil/",
        "/admin/..",
        "/admin/%2e%2E/x",
        "/admin/.%2e?x",
        "/admin/\\..\\..\\evil",
        "/adminevil",
        "/api/docsevil",
        "/admin/ü",
        "admin/",
        "/foo/queue/tasks/http://evil.example/",
    ],
)
def test_where_nobody_is_sent(path: str | None) -> None:
    assert local_path(path) == "/admin/"


def test_proxies_that_may_be_named() -> None:
    assert check_proxy("127.0.0.1") == "127.0.0.1/32"
    assert check_proxy("10.1.2.3/16") == "10.1.0.0/16"
    assert check_proxy("::1") == "::1/128"
    for wrong in ("", "proxy.example", "10.0.0.0/33", "0.0.0.0/0", "::/0", "*"):
        with pytest.raises(Invalid, match="--trusted-proxy"):
            check_proxy(wrong)


def test_secrets_are_not_shown() -> None:
    given = SignIn("alice", "correct horse", "cyme_1_x", "old")
    assert repr(given) == "SignIn(name='alice')"
