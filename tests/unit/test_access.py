"""Roles, what routes need, and what tokens look like."""

from __future__ import annotations

from typing import cast

import pytest

from cyme_supd.domain.access import (
    OPEN,
    Caller,
    Role,
    check,
    check_password,
    digest_of,
    is_local_token,
    local_token,
    needed,
    parse_role,
    split_token,
    token_text,
)
from cyme_supd.errors import Forbidden, Invalid
from cyme_supd.service import Service
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from docs.reference import _Nobody

SECRET = "A" * 43


def rules() -> list[tuple[str, str]]:
    """Every route there is, of every method."""
    app = create_app(Settings(branch=""), cast(Service, _Nobody()))
    return [
        (method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()
    ]


RULES = rules()


def test_every_route_is_thought_of() -> None:
    for method, rule in RULES:
        if rule not in OPEN:
            assert needed(method, rule) in Role, (method, rule)


def test_one_that_nobody_has_thought_of() -> None:
    for rule in ("/new/", "/<app>/new/", "/<path:rest>", "/api/<name>/"):
        with pytest.raises(LookupError):
            needed("GET", rule)


@pytest.mark.parametrize(
    ("method", "rule", "role"),
    [
        ("GET", "/", Role.VIEWER),
        ("GET", "/<app>/instances/<name>/log/", Role.VIEWER),
        ("HEAD", "/<app>/", Role.VIEWER),
        ("PUT", "/<app>/", Role.ADMIN),
        ("POST", "/!/<app>/", Role.ADMIN),
        ("DELETE", "/<app>/", Role.ADMIN),
        ("POST", "/!/<app>/start/", Role.OPERATOR),
        ("POST", "/<app>/instance/!/<name>/restart/", Role.OPERATOR),
        ("DELETE", "/instances/!/<name>/", Role.OPERATOR),
        ("POST", "/<app>/queues/<queue>/purge/", Role.OPERATOR),
        ("GET", "/<app>/queue/<queue>/<path:rest>", Role.OPERATOR),
        ("GET", "/<app>/queue/!/<queue>/<path:rest>", Role.OPERATOR),
        ("POST", "/branches/<id>/drain/", Role.ADMIN),
        ("GET", "/api/users/", Role.ADMIN),
        ("POST", "/api/tokens/!/", Role.ADMIN),
    ],
)
def test_what_routes_need(method: str, rule: str, role: Role) -> None:
    assert (method, rule) in RULES
    assert needed(method, rule) is role


def test_who_may_do_what() -> None:
    for has, may in (("viewer", 1), ("operator", 2), ("admin", 3)):
        assert [Role(has).covers(wanted) for wanted in Role] == [n < may for n in range(3)]
    with pytest.raises(Forbidden, match="needs the role admin, and alice has operator"):
        check(Caller("alice", Role.OPERATOR), Role.ADMIN, "foo")


def test_a_token_for_one_app() -> None:
    caller = Caller("token", Role.ADMIN, "foo")
    check(caller, Role.ADMIN, "foo")
    for app in ("bar", "Foo", "", None):
        with pytest.raises(Forbidden, match="of app 'foo' alone"):
            check(caller, Role.VIEWER, app)


def test_what_is_no_role() -> None:
    for word in ("", "Admin", "root"):
        with pytest.raises(Invalid, match="viewer, operator, admin"):
            parse_role(word)


def test_tokens_as_they_are_sent() -> None:
    text = token_text("0123456789ab", SECRET)
    assert split_token(text) == ("0123456789ab", SECRET)
    for other in ("", text[:-1], text + "A", text.upper(), text + "\n", "cyme__", f"x{text}"):
        assert split_token(other) is None
    assert digest_of(SECRET) != digest_of(SECRET.lower())


def test_the_local_token() -> None:
    token = local_token(b"key")
    assert is_local_token(token, b"key")
    assert not is_local_token(token, b"other")
    assert not is_local_token(token + "ü", b"key")
    # Without a key everybody could work it out.
    assert not is_local_token(local_token(b""), b"")
    assert split_token(token) is None


@pytest.mark.parametrize("password", [None, "", "short", "x" * 1025, "*" * 8, "x" * 8 + "\ud800"])
def test_what_is_no_password(password: str | None) -> None:
    with pytest.raises(Invalid, match="password") as refused:
        check_password(password)
    assert not password or password not in str(refused.value)
