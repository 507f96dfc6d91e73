"""Lists of URLs over HTTP: what an entry may say, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.task import MAX_BATCH, MAX_DATA, UrlRequest
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World
from tests.unit.url_support import error, the_one, with_a_queue

URL = "http://example.com/"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def made() -> World:
    return with_a_queue()


@pytest.fixture(scope="module")
def client(made: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), made.service).test_client() as client:
        yield client


@pytest.fixture
def house(made: World) -> World:
    made.publisher.queued.clear()
    return made


def post(client: FlaskClient, entries: Any, **given: Any) -> TestResponse:
    body = entries if isinstance(entries, bytes) else json.dumps(entries)
    sent = {"path": "/foo/queue/tasks/", "method": "POST", "content_type": JSON[1], **given}
    return client.open(sent.pop("path"), data=body, **sent)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "path", ["/foo/queue/tasks", "/foo/queue/tasks/", "/foo/queue/!/tasks", "/foo/queue/!/tasks/"]
)
def test_a_list_of_urls(method: str, path: str, house: World, client: FlaskClient) -> None:
    entries = [{"url": f"{URL}{n}"} for n in range(3)]
    response = post(client, entries, method=method, path=path)
    assert response.status_code == 202
    ((_, given),) = house.publisher.queued.items()
    assert response.get_json() == {"uuids": [id for id, _ in given]}
    assert [request for _, request in given] == [UrlRequest("GET", e["url"]) for e in entries]
    assert client.get(f"/foo/query/{given[0][0]}/state/").get_json() == {"state": "PENDING"}


@pytest.mark.parametrize("collection", ["/foo/queue/", "/foo/queue/!/"])
def test_a_queue_whose_name_is_encoded(collection: str) -> None:
    house = with_a_queue("a/b !")
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        path = f"{collection}a%2Fb%20%21/"
        line = {"RAW_URI": path, "PATH_INFO": f"{collection}a/b !/"}
        response = post(client, [URL], environ_overrides=line)
    assert response.status_code == 202, response.get_data()
    assert [queue for _, queue in house.publisher.queued] == ["a/b !"]


def test_none_and_many(house: World, client: FlaskClient) -> None:
    assert post(client, []).get_json() == {"uuids": []}
    assert len(post(client, [URL] * MAX_BATCH).get_json()["uuids"]) == MAX_BATCH
    response = post(client, [URL] * (MAX_BATCH + 1))
    assert (response.status_code, error(response)["code"]) == (400, "invalid")
    assert len(house.publisher.sent()) == MAX_BATCH


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (URL, UrlRequest("GET", URL)),
        ({"url": URL, "method": "put"}, UrlRequest("PUT", URL)),
        ({"url": URL, "method": None, "params": None, "data": None}, UrlRequest("GET", URL)),
        ({"url": URL, "method": "", "params": "", "headers": ""}, UrlRequest("GET", URL)),
        ({"url": URL, "params": {"a": "x y", "b": 1}}, UrlRequest("GET", f"{URL}?a=x+y&b=1")),
        ({"url": f"{URL}?z=%2F#f", "params": {"a": ""}}, UrlRequest("GET", f"{URL}?z=%2F&a=#f")),
        (
            {"url": URL, "params": {"a": [1, "\u20ac", 2.5], "b": None, "c": True, "d": []}},
            UrlRequest("GET", f"{URL}?a=1&a=%E2%82%AC&a=2.5&b=&c=true"),
        ),
        ({"url": URL, "data": "r\u00e4w"}, UrlRequest("GET", URL, (FORM,), "r\u00e4w".encode())),
        ({"url": URL, "data": {"a": "x y"}}, UrlRequest("GET", URL, (FORM,), b"a=x+y")),
        ({"url": URL, "data": {"a": 1}}, UrlRequest("GET", URL, (JSON,), b'{"a": 1}')),
        ({"url": URL, "data": ["\u20ac"]}, UrlRequest("GET", URL, (JSON,), b'["\\u20ac"]')),
        ({"url": URL, "data": 0}, UrlRequest("GET", URL, (JSON,), b"0")),
        ({"url": URL, "data": False}, UrlRequest("GET", URL, (JSON,), b"false")),
        (
            {"url": URL, "method": "POST", "data": "x", "headers": {"content-TYPE": "text/x"}},
            UrlRequest("POST", URL, (("content-TYPE", "text/x"),), b"x"),
        ),
        (
            {"url": URL, "headers": {"A": "\u00e9", "B": ""}},
            UrlRequest("GET", URL, (("A", "\u00e9"), ("B", ""))),
        ),
    ],
)  # fmt: skip
def test_what_an_entry_becomes(
    entry: Any, wanted: UrlRequest, house: World, client: FlaskClient
) -> None:
    response = post(client, [entry])
    assert response.status_code == 202, response.get_data()
    assert the_one(house) == wanted


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (7, "is no object"),
        (None, "is no object"),
        ([], "is no object"),
        ({}, "url: "),
        ({"url": None}, "url: "),
        ({"url": 7}, "url: "),
        ({"url": ""}, "url: "),
        ({"url": "ftp://h/"}, "url: "),
        ({"url": "http://h/ x"}, "url: "),
        ({"url": "http://169.254.169.254/"}, "url: "),
        ({"url": "http://127.0.0.1:8000/"}, "url: "),
        ({"url": "http://h/\ud800"}, "url: "),
        ({"url": "http://" + "h" * 9000}, "url: "),
        ({"url": URL, "params": {"a": "x" * 9000}}, "url: "),
        ({"url": URL, "method": "NOPE"}, "method: "),
        ({"url": URL, "method": 0}, "method: "),
        ({"url": URL, "method": []}, "method: "),
        ({"url": URL, "params": "a=b"}, "params: "),
        ({"url": URL, "params": []}, "params: "),
        ({"url": URL, "params": 0}, "params: "),
        ({"url": URL, "params": {"a": {"b": 1}}}, "params: "),
        ({"url": URL, "params": {"a": [[1]]}}, "params: "),
        ({"url": URL, "params": {"a": "\ud800"}}, "params: "),
        ({"url": URL, "params": {"\udfff": "a"}}, "params: "),
        ({"url": URL, "data": "\ud800"}, "data: "),
        ({"url": URL, "data": {"a": "\ud800"}}, "data: "),
        ({"url": URL, "data": {"\ud800": "a"}}, "data: "),
        ({"url": URL, "headers": []}, "headers: "),
        ({"url": URL, "headers": "A: b"}, "headers: "),
        ({"url": URL, "headers": {"A": 1}}, "headers: "),
        ({"url": URL, "headers": {"A": "b\r\nC: d"}}, "headers: "),
        ({"url": URL, "headers": {"A b": "c"}}, "headers: "),
        ({"url": URL, "headers": {"Host": "h"}}, "headers: "),
        ({"url": URL, "headers": {f"A{n}": "b" for n in range(65)}}, "headers: "),
        ({"url": URL, "header": {}}, "unknown field 'header'"),
        ({"url": URL, "\ud800": 1}, "unknown field "),
    ],
)
def test_what_is_wrong_with_an_entry(
    entry: Any, said: str, house: World, client: FlaskClient
) -> None:
    for before in (0, 2):
        response = post(client, [URL] * before + [entry, URL])
        assert response.status_code == 400, response.get_data()
        assert error(response)["message"].startswith(f"[{before}] {said}")
    assert error(post(client, [entry]))["message"].startswith(f"[0] {said}")
    assert house.publisher.sent() == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", JSON[1], 400),
        (b"{}", JSON[1], 400),
        (b'{"url": "http://h/"}', JSON[1], 400),
        (b'"http://h/"', JSON[1], 400),
        (b"[", JSON[1], 400),
        (b"[" * 100_000, JSON[1], 400),
        (b"[NaN]", JSON[1], 400),
        (b'[{"url": "http://h/", "url": "http://g/"}]', JSON[1], 400),
        (b'[{"url": "http://h/", "data": 1e999}]', JSON[1], 400),
        (b'[{"url": "http://h/", "params": {"a": ' + b"9" * 5000 + b"}}]", JSON[1], 400),
        (b'["http://h/\xff"]', JSON[1], 400),
        (b"\xff\xfe[\0", JSON[1], 400),
        (b"[]", "text/plain", 415),
        (b"[]", "application/x-www-form-urlencoded", 415),
        (b"[]", "", 415),
        (b"[" + b" " * MAX_DATA, JSON[1], 413),
    ],
)
def test_what_is_no_list(
    body: bytes, kind: str, status: int, house: World, client: FlaskClient
) -> None:
    response = post(client, body, content_type=kind)
    assert response.status_code == status, response.get_data()
    assert error(response)["code"] != "internal"
    assert house.publisher.sent() == []


def test_a_list_may_be_as_long_as_the_data_of_one(house: World, client: FlaskClient) -> None:
    entry = json.dumps([{"url": URL, "method": "POST", "data": "x" * (MAX_DATA - 100)}]).encode()
    assert post(client, entry + b" " * (MAX_DATA - len(entry))).status_code == 202


def test_it_takes_no_parameters(house: World, client: FlaskClient) -> None:
    for query in ("timeout=5", "a", "%ff=1"):
        response = post(client, [URL], path=f"/foo/queue/tasks/?{query}")
        assert (response.status_code, error(response)["code"]) == (400, "invalid")
    assert house.publisher.sent() == []


@pytest.mark.parametrize(
    ("path", "status"), [("/foo/queue/nope/", 404), ("/nope/queue/tasks/", 404)]
)
def test_where_there_is_no_queue(path: str, status: int, house: World, client: FlaskClient) -> None:
    assert post(client, [URL], path=path).status_code == status


def test_a_broker_that_is_down(house: World, client: FlaskClient) -> None:
    house.publisher.is_down = True
    response = post(client, [URL])
    house.publisher.is_down = False
    assert (response.status_code, error(response)["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"] == "2"
    house.publisher.refuses.add("tasks")
    response = post(client, [URL])
    house.publisher.refuses.clear()
    assert (response.status_code, error(response)["code"]) == (409, "conflict")
    assert house.publisher.sent() == []
