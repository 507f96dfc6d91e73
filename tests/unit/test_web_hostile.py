"""Whatever is sent: refused in words, never a fault of ours, nothing of it kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit import hostile
from tests.unit.service_support import World, world

METHODS = ("PUT", "POST", "GET", "DELETE", "PATCH", "HEAD")


@pytest.fixture(scope="module")
def house() -> World:
    made = world()
    made.service.apps.put("foo", {})
    return made


@pytest.fixture(scope="module")
def client(house: World) -> Iterator[FlaskClient]:
    app = create_app(Settings(branch="b1"), house.service)
    with app.test_client() as client:
        yield client


def check_refused(response: TestResponse, what: object) -> None:
    shown = repr(what)[:200]
    assert 400 <= response.status_code < 500, f"{response.status_code} for {shown}"
    if response.request.method != "HEAD":
        error = json.loads(response.get_data())["error"]
        assert set(error) == {"code", "message", "hint"}, shown
        assert error["code"] != "internal"
        assert error["message"]


def check_kept_nothing(house: World) -> None:
    with house.store.reading() as view:
        assert view.app_names() == ["foo"]
        assert view.instances("foo") == []
        app = view.app("foo")
    assert (app.arguments, app.extra_config, app.environment, app.broker) == ((), {}, {}, None)


def flat(table: dict[str, tuple[Any, ...]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name!a}-{index}")
        for name, values in table.items()
        for index, value in enumerate(values)
    ]


def numbered(values: tuple[Any, ...]) -> list[Any]:
    return [pytest.param(value, id=str(index)) for index, value in enumerate(values)]


def test_the_corpus_is_large() -> None:
    values = flat(hostile.APP_VALUES) + flat(hostile.INSTANCE_VALUES)
    assert len(set(hostile.NAMES)) >= 100
    assert len(values) >= 200


@pytest.mark.parametrize("name", numbered(hostile.NAMES))
def test_names(name: str, client: FlaskClient, house: World) -> None:
    for path in (f"/{quote(name)}/", f"/foo/instances/{quote(name)}/", f"/instances/{quote(name)}"):
        for method in METHODS:
            if path == "/instances/!" and method in ("GET", "HEAD"):
                continue
            check_refused(client.open(path, method=method), (method, path))
    check_kept_nothing(house)


@pytest.mark.parametrize("name", hostile.RESERVED_APPS)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_reserved_apps(name: str, method: str, client: FlaskClient, house: World) -> None:
    check_refused(client.open(f"/{name}/", method=method), name)
    check_kept_nothing(house)


@pytest.mark.parametrize("name", hostile.RESERVED_INSTANCES)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_reserved_instances(name: str, method: str, client: FlaskClient, house: World) -> None:
    check_refused(client.open(f"/foo/instances/{name}/", method=method), name)
    check_refused(client.open(f"/foo/instances/!/{name}/", method=method), name)
    check_kept_nothing(house)


@pytest.mark.parametrize(("name", "value"), flat(hostile.APP_VALUES))
def test_values_of_apps(name: str, value: Any, client: FlaskClient, house: World) -> None:
    body = json.dumps({name: value})
    for path in ("/foo/", "/bar/"):
        check_refused(client.put(path, data=body, content_type="application/json"), (name, value))
    check_kept_nothing(house)


@pytest.mark.parametrize(("name", "value"), flat(hostile.INSTANCE_VALUES))
def test_values_of_instances(name: str, value: Any, client: FlaskClient, house: World) -> None:
    body = json.dumps({name: value})
    for path in ("/foo/instances/", "/foo/instances/w1/", "/foo/instances/!/w1/"):
        check_refused(client.put(path, data=body, content_type="application/json"), (name, value))
    check_kept_nothing(house)


@pytest.mark.parametrize(("body", "kind"), hostile.BODIES)
def test_bodies(body: bytes, kind: str, client: FlaskClient, house: World) -> None:
    for path in ("/foo/", "/foo/instances/", "/foo/instances/w1/"):
        check_refused(client.post(path, data=body, content_type=kind), (body[:80], kind))
    check_kept_nothing(house)


@pytest.mark.parametrize("query", hostile.QUERIES)
def test_queries(query: str, client: FlaskClient, house: World) -> None:
    for path in ("/foo/", "/foo/instances/", "/foo/instances/w1/"):
        check_refused(client.post(path, query_string=query), query)
    check_kept_nothing(house)


@pytest.mark.parametrize("host", hostile.HOSTS)
def test_hosts(host: str, client: FlaskClient) -> None:
    for method, path in (("GET", "/ping/"), ("PUT", "/bar/"), ("GET", "/no/such/route/here")):
        response = client.open(path, method=method, environ_overrides={"HTTP_HOST": host})
        assert response.status_code == 403, host
        assert json.loads(response.get_data())["error"]["code"] == "forbidden"


def test_a_refusal_does_not_repeat_secrets(client: FlaskClient) -> None:
    for body in (
        {"password": 12345678, "hostname": "h"},
        {"broker": "amqp://u:hunter2 @h//"},
        {"environment": {"A": "hunter2", "B": 7}},
        {"result_backend": "redis://:hunter2@h/\n"},
    ):
        text = client.put("/bar/", json=body).get_data(as_text=True)
        assert "hunter2" not in text
        assert "12345678" not in text


def test_no_line_break_reaches_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "cyme_supd.web")
    client.put("/a%0ab1:%20DELETE%20/foo/%20-%3E%20200/")
    client.put("/foo/?pool=hunter2")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "b1: PUT /a%0Ab1:%20DELETE%20/foo/%20-%3E%20200/ -> 404",
        "b1: PUT /foo/ -> 400",
    ]
