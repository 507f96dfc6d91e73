"""A log that is followed: line by line, whatever becomes of its file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.tail import LONGEST, Lines, Piece, Place, parse_place
from cyme_supd.service.tails import MOST
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World, later, put


def taken(*parts: bytes) -> list[str]:
    lines, end, found = Lines(), 0, []
    for part in parts:
        end += len(part)
        found += lines.take(Piece(part, Place(1, end)))
    return found


def test_lines_that_come_in_pieces() -> None:
    assert taken(b"on", b"e\ntwo\nth", b"ree") == ["one", "two"]
    assert taken(b"one\r\n\ntwo\rthree\n") == ["one", "", "two", "three"]
    assert taken(b"gr\xc3", b"\xb6\xc3\x9fe\n\xff\n") == ["größe", "\ufffd"]


def test_a_line_without_an_end_comes_in_pieces() -> None:
    found = taken(*[b"x" * 1000] * 40)
    assert [len(each) for each in found] == [LONGEST, LONGEST]
    assert [len(each) for each in taken(b"x" * (LONGEST + 1) + b"\n")] == [LONGEST, 1]


def test_the_place_is_the_end_of_the_last_whole_line() -> None:
    lines = Lines()
    lines.take(Piece(b"one\ntw", Place(1, 6)))
    assert str(lines.place) == "1-4"
    assert parse_place("1-4") == Place(1, 4)
    for none in ("", "1", "-", "1-x", "x-1", "1-\u00b2", "1-1-1", f"{10**30}-1"):
        assert parse_place(none) is None


def test_what_was_cut_off_or_left_out_does_not_go_on() -> None:
    lines = Lines()
    lines.take(Piece(b"half", Place(1, 4)))
    assert lines.take(Piece(b"new\n", Place(1, 4))) == ["half", "new"]
    lines.take(Piece(b"half", Place(1, 8)))
    assert lines.take(Piece(b"other\n", Place(2, 6))) == ["half", "other"]
    lines.take(Piece(b"half", Place(2, 10)))
    left_out = "... 90 bytes are left out here"
    assert lines.take(Piece(b"of one\nnext\n", Place(2, 112), 90)) == ["half", left_out, "next"]


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    put(house)
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def followed(client: FlaskClient, **headers: str) -> list[dict[str, str]]:
    answer = client.get("/foo/instances/w1/log/?follow=1", headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    found = []
    for text in answer.get_data(as_text=True).split("\n\n"):
        said: dict[str, str] = {}
        for line in text.splitlines():
            name, _, value = line.partition(": ")
            said[name] = f"{said[name]}\n{value}" if name in said else value
        if "event" in said:
            found.append(said)
    return found


def test_the_end_and_then_what_comes(client: FlaskClient, house: World) -> None:
    def write() -> None:
        house.logs.content += b"three\nfour\nfi"

    later(house, write, house.clock.elapsed + 30)
    tail, more = followed(client)
    assert (tail["event"], tail["data"]) == ("tail", "one\ntwo")
    assert (more["event"], more["data"]) == ("more", "three\nfour")
    house.logs.content += b"ve\n"
    (again,) = followed(client, **{"Last-Event-ID": more["id"]})
    assert (again["event"], again["data"]) == ("more", "five")


def test_an_empty_log(client: FlaskClient, house: World) -> None:
    house.logs.content = b""
    (tail,) = followed(client)
    assert (tail["event"], tail["data"]) == ("tail", "")


def test_it_ends_with_the_instance(client: FlaskClient, house: World) -> None:
    later(house, lambda: house.service.instances.delete("foo", "w1", True, None), 10)
    begun_at = house.clock.elapsed
    followed(client)
    assert house.clock.elapsed - begun_at < 30
    assert client.get("/foo/instances/w1/log/?follow=1").status_code == 404


def test_a_flood_of_lines_is_cut(client: FlaskClient, house: World) -> None:
    def write() -> None:
        house.logs.content += b"much of it\n" * MOST

    later(house, write, house.clock.elapsed + 1)
    _, more = followed(client)
    assert len(more["data"]) < 2 * MOST
    assert more["data"].startswith("... ")
