"""Queueing URLs over HTTP: verbs, targets, bodies, headers; and asking what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.task import MAX_DATA, METHODS, Task, TaskState
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.queue_support import later
from tests.unit.service_support import START, World
from tests.unit.url_support import ask, error, the_one, with_a_queue

TEXT = "text/plain; charset=utf-8"
NAME = {"Content-Type": TEXT}


@pytest.fixture(scope="module")
def made() -> World:
    return with_a_queue()


@pytest.fixture(scope="module")
def client(made: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), made.service).test_client() as client:
        yield client


@pytest.fixture
def house(made: World) -> World:
    """To make an application takes longer than to ask it."""
    made.publisher.queued.clear()
    return made


# Verbs and forms


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("collection", ["/foo/queue/", "/foo/queue/!/"])
def test_every_verb(method: str, collection: str, house: World, client: FlaskClient) -> None:
    uri = f"{collection}tasks/http://example.com/a?b=c"
    response = ask(client, uri, method)
    assert response.status_code == 202
    wanted = the_one(house)
    assert (wanted.method, wanted.url) == (method, "http://example.com/a?b=c")
    ((id, _),) = house.publisher.queued.popitem()[1]
    assert response.headers["Location"] == f"/foo/query/{id}/state/"
    assert response.headers["Cache-Control"] == "no-store"
    if method == "HEAD":
        assert response.get_data() == b""
    else:
        assert response.get_json() == {
            "uuid": id,
            "url": "http://example.com/a?b=c",
            "queue": "tasks",
            "method": method,
            "params": {"b": "c"},
        }
    assert ask(client, response.headers["Location"]).get_json() == {"state": "PENDING"}


def test_no_other_verb(house: World, client: FlaskClient) -> None:
    for method in ("PROPFIND", "PURGE", "X"):
        response = ask(client, "/foo/queue/tasks/http://h/", method)
        assert (response.status_code, error(response)["code"]) == (405, "method_not_allowed")
        assert set(response.headers["Allow"].split(", ")) == set(METHODS)
    assert house.publisher.sent() == []


def test_location_is_below_the_prefix_of_a_proxy(house: World, client: FlaskClient) -> None:
    prefix = {"SCRIPT_NAME": "/cyme", "RAW_URI": "/cyme/foo/queue/tasks/http://h/?a=%2F"}
    response = ask(client, "/foo/queue/tasks/http://h/?a=%2F", environ=prefix)
    assert response.headers["Location"].startswith("/cyme/foo/query/")
    assert the_one(house).url == "http://h/?a=%2F"


# The target


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        ("http://h", "http://h"),
        ("http://h/", "http://h/"),
        ("http://h//a//b/", "http://h//a//b/"),
        ("http://h/?", "http://h/?"),
        ("http://h?a=1&b=2&a=3", "http://h?a=1&b=2&a=3"),
        ("http://h/?x=http://g/?y=z", "http://h/?x=http://g/?y=z"),
        ("http://h/%2Fa%2fb%3Fc%25%20", "http://h/%2Fa%2fb%3Fc%25%20"),
        ("http://h/a?b=%26%3D+%E2%82%AC", "http://h/a?b=%26%3D+%E2%82%AC"),
        ("http://h/./../a;b=c/!$'()*,:@", "http://h/./../a;b=c/!$'()*,:@"),
        ("http://h/queue/x/queues/y/", "http://h/queue/x/queues/y/"),
        ("http://127.0.0.1:9/foo/queue/tasks/http://h/", "http://127.0.0.1:9/foo/queue/tasks/http://h/"),
        ("HTTPS://u@H:444/", "HTTPS://u@H:444/"),
        ("http://[::1]:81/", "http://[::1]:81/"),
        ("http%3A%2F%2Fh%2Fa%2Fb%3Fc%3D%252F", "http://h/a/b?c=%2F"),
        ("HTTP%3a%2f%2fh%2f", "HTTP://h/"),
        ("https%3A//h/a%20b", None),
        ("http%3A//h/a%2520b", "http://h/a%20b"),
        ("http%3A%2F%2Fh%2Fa?b=%2F&c=http://g/", "http://h/a?b=%2F&c=http://g/"),
        ("http%3A%2F%2Fh%2Fa%3Fb%3D1?c=%2F", "http://h/a?b=1&c=%2F"),
        ("http://h/\xc3\xa9?\xff", "http://h/%C3%A9?%FF"),
        ("http%3A%2F%2Fh%2F%C3%A9", "http://h/%C3%A9"),
    ],
)  # fmt: skip
def test_it_is_kept_as_it_was_sent(
    sent: str, url: str | None, house: World, client: FlaskClient
) -> None:
    response = ask(client, f"/foo/queue/tasks/{sent}")
    if url is None:
        assert response.status_code == 400
        return
    assert response.status_code == 202, response.get_data()
    assert response.get_json()["url"] == the_one(house).url == url


def test_a_server_that_keeps_no_request_line(house: World, client: FlaskClient) -> None:
    for raw in ("", "*", "/other", "http://localhost/x"):
        response = ask(client, "/foo/queue/tasks/http://h//a?b=%2F", environ={"RAW_URI": raw})
        assert response.get_json()["url"] == "http://h//a?b=%2F"


def test_a_request_line_with_the_server_in_it(house: World, client: FlaskClient) -> None:
    uri = "/foo/queue/tasks/http://h//a%2Fb?c"
    ask(client, uri, environ={"RAW_URI": f"http://localhost:8000{uri}"})
    assert the_one(house).url == "http://h//a%2Fb?c"


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("!", "%21"),
        ("a!b", "a!b"),
        ("%2F", "%252F"),
        ("a?b", "a%3Fb"),
        ("gr\u00f6\u00dfe 1", "gr%C3%B6%C3%9Fe%201"),
        ("queue", "queue"),
        ("http:", "http:"),
        ("a//b/", "a%2F%2Fb%2f"),
    ],
)
def test_names_of_queues(name: str, segment: str) -> None:
    house = with_a_queue(name)
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        for collection in ("/foo/queue/", "/foo/queue/!/"):
            for target in ("http://h/x?y", "http%3A%2F%2Fh%2Fx%3Fy"):
                response = ask(client, f"{collection}{segment}/{target}")
                assert response.status_code == 202, response.get_data()
                assert response.get_json()["queue"] == name
    assert {request.url for request in house.publisher.sent()} == {"http://h/x?y"}
    assert [queue for _, queue in house.publisher.queued] == [name]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("/nope/queue/tasks/http://h/", 404),
        ("/foo/queue/nope/http://h/", 404),
        ("/foo/queue/dq.w1/http://h/", 404),
        ("/foo/queue/a%0Ab/http://h/", 400),
        ("/foo/queue/%FF/http://h/", 400),
        ("/f%20o/queue/tasks/http://h/", 400),
        ("/foo/queue/tasks/h", 400),
        ("/foo/queue/tasks/ftp://h/", 400),
        ("/foo/queue/tasks//", 400),
        ("/foo/queue/tasks//http://h/", 400),
        ("/foo/queue/tasks/http:/h/", 400),
        ("/foo/queue/tasks/http://h/%0d%0a", 202),
        ("/foo/queue/tasks/http%3A%2F%2Fh%2F%0D%0Ax", 400),
        ("/foo/queue/tasks/http://169.254.169.254/latest/", 400),
        ("/foo/queue/tasks/http://2852039166/", 400),
        ("/foo/queue/tasks/http://metadata.google.internal/", 400),
        ("/foo/queue/tasks/http://127.0.0.1:8000/foo/", 400),
        ("/foo/queue/tasks/http://localhost:8000/", 400),
        ("/foo/queue/tasks/http%3A%2F%2F[::1]:8000%2F", 400),
        ("/foo/queue/tasks/http://h/" + "a" * 8200, 400),
        # Nothing that could be taken for one.
        ("//foo/queue/tasks/http://h/", 404),
        ("/foo/queue//http://h/", 404),
        ("/foo%2Fqueue%2Ftasks%2Fhttp://h/", 404),
        ("/foo/%71ueue/tasks/http://h/", 404),
        ("/foo/queue%2Ftasks/http://h/", 404),
        ("/foo%2Fx/queue/tasks/http://h/", 404),
        ("/foo%2Fqueue%2Fx/queue/tasks/http://h/", 404),
        ("/foo%2F/queue/!/tasks/http://h/", 404),
        ("/%FF/queue/tasks/http://h/", 400),
        ("/foo%3F/queue/tasks/http://h/", 400),
        ("/foo/queue/!", 404),
        ("/foo/queue/tasks/", 405),
        ("/foo/queue/", 404),
        ("/queue/tasks/http://h/", 404),
    ],
)  # fmt: skip
def test_what_is_refused(uri: str, status: int, house: World, client: FlaskClient) -> None:
    response = ask(client, uri)
    assert response.status_code == status, response.get_data()
    if status != 202:
        error(response)
        assert house.publisher.sent() == []


def test_its_query_is_the_targets_alone(house: World, client: FlaskClient) -> None:
    response = ask(client, "/foo/queue/tasks/http://h/?timeout=x&no_such=1&a=1&a=&a=3&b")
    assert response.get_json()["params"] == {
        "timeout": "x",
        "no_such": "1",
        "a": ["1", "", "3"],
        "b": "",
    }


# Bodies and headers


def test_body_and_type_go_along(house: World, client: FlaskClient) -> None:
    body = bytes(range(256))
    for method in ("POST", "GET", "DELETE"):
        house.publisher.queued.clear()
        ask(client, "/foo/queue/tasks/http://h/", method, data=body, content_type=TEXT)
        assert the_one(house).body == body
        assert dict(the_one(house).headers) == NAME


def test_a_form_is_a_body_and_not_read(house: World, client: FlaskClient) -> None:
    form = "application/x-www-form-urlencoded"
    ask(client, "/foo/queue/tasks/http://h/", "POST", data=b"a=%ff&a=2", content_type=form)
    assert the_one(house).body == b"a=%ff&a=2"
    assert the_one(house).headers == (("Content-Type", form),)


def test_the_type_of_nothing_goes_along_too(house: World, client: FlaskClient) -> None:
    ask(client, "/foo/queue/tasks/http://h/", "POST", content_type=TEXT)
    assert the_one(house).headers == (("Content-Type", TEXT),)
    house.publisher.queued.clear()
    ask(client, "/foo/queue/tasks/http://h/", "POST")
    assert the_one(house).headers == ()


def test_forwarded_headers(house: World, client: FlaskClient) -> None:
    headers = {
        "X-Forward-Authorization": "Bearer x",
        "x-forward-x-request-id": "\xe9",
        "X-Forward-X-Forward-A": "b",
        "X-Forwarded": "10.0.0.1",
        "Authorization": "Basic ours",
        "Cookie": "ours",
        "Accept": "ours",
    }
    ask(client, "/foo/queue/tasks/http://h/", headers=headers)
    assert dict(the_one(house).headers) == {
        "Authorization": "Bearer x",
        "X-Request-Id": "\xe9",
        "X-Forward-A": "b",
    }


def test_a_forwarded_type_is_the_one(house: World, client: FlaskClient) -> None:
    headers = {"X-Forward-Content-Type": "text/x-own"}
    ask(client, "/foo/queue/tasks/http://h/", "POST", data=b"x", content_type=TEXT, headers=headers)
    assert the_one(house).headers == (("Content-Type", "text/x-own"),)


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "Connection", ""])
def test_what_may_not_be_forwarded(name: str, house: World, client: FlaskClient) -> None:
    response = ask(client, "/foo/queue/tasks/http://h/", headers={f"X-Forward-{name}": "x"})
    assert response.status_code == 400
    assert "headers: " in error(response)["message"]


def test_how_much_data(house: World, client: FlaskClient) -> None:
    most = b"x" * MAX_DATA
    for environ in ({}, {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}):
        house.publisher.queued.clear()
        sent: dict[str, Any] = {"method": "POST", "content_type": TEXT, "environ": environ}
        uri = "/foo/queue/tasks/http://h/"
        assert ask(client, uri, data=most, **sent).status_code == 202
        assert len(the_one(house).body) == MAX_DATA
        response = ask(client, uri, data=most + b"x", **sent)
        assert (response.status_code, error(response)["code"]) == (413, "too_large")
        assert len(house.publisher.sent()) == 1
    # Elsewhere it is as little as ever.
    assert (
        client.put("/bar/", data=b" " * 2**20 + b" ", content_type="application/json").status_code
        == 413
    )


def test_a_body_that_ended_too_soon_is_not_queued(house: World, client: FlaskClient) -> None:
    sent: dict[str, Any] = {"method": "POST", "data": b"12345", "content_type": TEXT}
    response = ask(client, "/foo/queue/tasks/http://h/", environ={"CONTENT_LENGTH": "10"}, **sent)
    assert (response.status_code, error(response)["code"]) == (400, "invalid")
    sent = {**sent, "data": b"[]", "content_type": "application/json"}
    response = ask(client, "/foo/queue/tasks/", environ={"CONTENT_LENGTH": "10"}, **sent)
    assert (response.status_code, error(response)["code"]) == (400, "invalid")
    assert house.publisher.sent() == []


# Asking


def test_state_result_and_wait(house: World, client: FlaskClient) -> None:
    id = ask(client, "/foo/queue/tasks/http://h/").get_json()["uuid"]
    assert client.get(f"/foo/query/{id}/state").get_json() == {"state": "PENDING"}
    assert client.get(f"/foo/query/{id}/result/").get_json() == {"state": "PENDING", "result": None}
    late = client.get(f"/foo/query/{id}/wait/?timeout=2")
    assert (late.status_code, error(late)["code"]) == (408, "timeout")
    result = {"status_code": 503, "headers": {}, "body": "x", "url": "http://h/"}

    def end() -> None:
        with house.store.writing() as tx:
            tx.save_tasks([Task(id, "foo", TaskState.SUCCESS, result, None, START)])

    later(house, end, house.clock.elapsed + 1)
    done = client.get(f"/foo/query/{id}/wait/")
    assert (done.status_code, done.get_json()) == (200, {"state": "SUCCESS", "result": result})
    assert client.get(f"/foo/query/{id}/result").get_json() == done.get_json()


def test_a_failure_says_why(house: World, client: FlaskClient) -> None:
    id = ask(client, "/foo/queue/tasks/http://h/").get_json()["uuid"]
    with house.store.writing() as tx:
        tx.save_tasks([Task(id, "foo", TaskState.FAILURE, None, "ConnectError: refused", START)])
    told = {"state": "FAILURE", "result": None, "error": "ConnectError: refused"}
    assert client.get(f"/foo/query/{id}/result/").get_json() == told


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/foo/query/nope/state/", 404),
        ("/foo/query/00000000-0000-7000-8000-000000000000/result/", 404),
        ("/nope/query/x/state/", 404),
        ("/foo/query/x/wait/?timeout=61", 400),
        ("/foo/query/x/state/?timeout=1", 400),
        ("/foo/query/x/", 404),
        ("/foo/query/!/x/state/", 501),
    ],
)
def test_asking_in_vain(path: str, status: int, client: FlaskClient) -> None:
    response = client.get(path)
    assert response.status_code == status
    error(response)
