"""What a query and a form may say, character by character."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


@pytest.mark.parametrize("sent", ["gr%C3%B6%C3%9Fe+1", "größe+1", "gr%c3%b6ße%201"])
@pytest.mark.parametrize("place", ["query", "form"])
def test_text_of_any_language(client: FlaskClient, house: World, sent: str, place: str) -> None:
    text = f"reason={sent}".encode()
    if place == "form":
        answer = client.post("/foo/pause/", data=text, content_type=FORM)
    else:
        line = {"QUERY_STRING": text.decode("latin-1")}
        answer = client.post("/foo/pause/", environ_overrides=line)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert client.get("/foo/").get_json()["pause"]["reason"] == "größe 1"


@pytest.mark.parametrize("sent", [b"reason=%FF", b"reason=\xff", b"%FF=1", b"reason=%C3"])
def test_what_is_no_text(client: FlaskClient, sent: bytes) -> None:
    answer = client.post("/foo/pause/", data=sent, content_type=FORM)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"] == "the parameters are not UTF-8"


def test_too_many(client: FlaskClient) -> None:
    answer = client.post("/foo/pause/", data=b"a=1&" * 501, content_type=FORM)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["message"] == "more than 500 parameters"
