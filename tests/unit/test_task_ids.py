"""Ids that prove themselves, headers, methods and bodies of queued URLs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.task import (
    MAX_HEADER,
    MAX_HEADERS,
    METHODS,
    UrlRequest,
    bytes_of,
    check_headers,
    check_method,
    given_at,
    new_id,
    results_queue,
    text_of,
)
from cyme_supd.errors import Invalid

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
KEY = bytes(range(32))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))


def an_id(app: str = "foo", key: bytes = KEY, random: bytes = b"\1\2\3\4\5") -> str:
    return new_id(key, app, AT, random)


# Ids


@given(st.binary(min_size=1, max_size=40), NAMES, MOMENTS, st.binary(min_size=5, max_size=5))
def test_an_id_says_when_it_was_given(key: bytes, app: str, at: datetime, random: bytes) -> None:
    id = new_id(key, app, at, random)
    said = given_at(key, app, id)
    assert said is not None
    assert abs(at - said) < timedelta(milliseconds=2)
    assert str(UUID(id)) == id
    assert (UUID(id).version, UUID(id).variant) == (7, "specified in RFC 4122")


@given(st.integers(0, 127))
def test_not_one_bit_of_it_can_be_changed(bit: int) -> None:
    forged = UUID(int=UUID(an_id()).int ^ (1 << bit))
    assert given_at(KEY, "foo", str(forged)) is None


def test_it_belongs_to_its_app_and_its_branch() -> None:
    assert given_at(KEY, "foo", an_id()) == AT
    for app in ("fo", "foo2", "Foo", "bar", ""):
        assert given_at(KEY, app, an_id()) is None
    for key in (KEY[:-1], KEY[::-1], b"", b"x"):
        assert given_at(key, "foo", an_id()) is None


def test_two_of_one_moment_differ() -> None:
    assert an_id(random=b"\0\0\0\0\0") != an_id(random=b"\0\0\0\0\1")
    assert an_id() != an_id(app="bar")


def test_later_ones_are_greater() -> None:
    ids = [new_id(KEY, "foo", AT + timedelta(milliseconds=n), b"\xff" * 5) for n in range(50)]
    assert ids == sorted(ids)


def test_only_the_id_as_it_was_given_is_one() -> None:
    # Others would be found nowhere, and look as if they had not ended.
    id = an_id()
    wide = id.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    for other in (
        id.upper(),
        id.replace("-", ""),
        f"{{{id}}}",
        f"urn:uuid:{id}",
        f" {id}",
        f"{id}\n",
        wide,
        f"{id[:2]}-{id[2:]}",
    ):
        assert given_at(KEY, "foo", other) is None


@given(st.one_of(st.text(max_size=60), st.uuids().map(str)))
def test_what_nobody_gave(text: str) -> None:
    assert given_at(KEY, "foo", text) is None


def test_results_come_to_the_branch_that_asked() -> None:
    assert results_queue("b1") == "cyme.results.b1"


# Methods and headers


def test_methods() -> None:
    for method in METHODS:
        assert check_method(method) == method
        assert check_method(method.lower()) == method
    for other in (
        "",
        "GETS",
        "PROPFIND",
        " GET",
        "GET\r\n",
        "GET /",
        None,
        1,
        ["GET"],
        "po\u017ft",
    ):
        with pytest.raises(Invalid, match="method: unknown"):
            check_method(other)


def test_headers_stay_in_order_and_repeated() -> None:
    pairs = [("X-A", "1"), ("x-a", "2"), ("Accept", "a\tb; q=\xe9"), ("Empty", "")]
    assert check_headers(pairs) == tuple(pairs)


def test_white_space_around_a_value_is_none_of_it() -> None:
    assert check_headers([("A", " \tb c\t ")]) == (("A", "b c"),)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\nb", "\u00e9", "a\0", "(x)", "a" * 129]
)
def test_what_is_no_name_of_a_header(name: str) -> None:
    with pytest.raises(Invalid, match="is not the name of a header"):
        check_headers([(name, "x")])


@pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\r", "\0", "\x7f", "\x1b", "\u0100", "\ud800"])
def test_what_is_no_value_of_a_header(value: str) -> None:
    with pytest.raises(Invalid, match="the value of A cannot be sent"):
        check_headers([("A", f"x{value}y")])


@pytest.mark.parametrize(
    "name", ["Host", "hOST", "Content-Length", "TRANSFER-encoding", "Connection"]
)
def test_what_frames_the_message_is_not_the_callers_to_say(name: str) -> None:
    with pytest.raises(Invalid, match=f"{name} is set by the worker"):
        check_headers([(name, "x")])


def test_how_much_is_too_much() -> None:
    check_headers([("A", "x" * MAX_HEADER)] * MAX_HEADERS)
    with pytest.raises(Invalid, match="cannot be sent"):
        check_headers([("A", "x" * (MAX_HEADER + 1))])
    with pytest.raises(Invalid, match="more than 64"):
        check_headers([("A", "x")] * (MAX_HEADERS + 1))


def test_a_refusal_does_not_repeat_a_value() -> None:
    with pytest.raises(Invalid) as caught:
        check_headers([("Authorization", "hunter2\n2")])
    assert "hunter2" not in str(caught.value)


# Bodies


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "latin-1", "utf-16", "ascii", "no-such"]))
def test_bytes_come_back(body: bytes, charset: str) -> None:
    text, encoding = text_of(body, charset)
    assert encoding in (charset, "base64")
    assert bytes_of(text, encoding) == body
    # As it travels.
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text


def test_arguments_of_the_task_are_json_and_no_longer_than_needed() -> None:
    assert UrlRequest("GET", "http://h/").as_kwargs() == {"method": "GET", "url": "http://h/"}
    whole = UrlRequest("PUT", "http://h/", (("A", "b"),), b"\xff\0").as_kwargs()
    assert whole == {
        "method": "PUT",
        "url": "http://h/",
        "headers": [["A", "b"]],
        "body": "/wA=",
        "encoding": "base64",
    }
    json.dumps(whole)
