"""Who may call, what they see of secrets, and what is written down about it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import KEY, World

DETAILS = """name app branch is_enabled queues broker max_concurrency min_concurrency pool arguments
    extra_config stop_timeout_s hung_timeout_s created_at generation state pid ready consuming
    conditions observed_at"""


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    settings = Settings(
        branch="b1", server_names=("cyme.example",), cors_origins=("https://ui.example",)
    )
    app = create_app(settings, house.service)
    with app.test_client() as client:
        yield client


def error(response: TestResponse) -> str:
    return str(json.loads(response.get_data())["error"]["code"])


# Secrets

SECRETS = {
    "broker": "amqp://u:hunter2@mq//",
    "environment": {"KEY": "hunter2"},
    "result_backend": "redis://:hunter2@h/0",
    "extra_config": {
        "redis_password": "hunter2",
        "cache_backend": "redis://:hunter2@h/1",
        "broker_transport_options": {"client": {"secret_token": "hunter2"}, "max_retries": 3},
    },
    "arguments": ["--scheduler=redis://:hunter2@h/2"],
}


def test_secrets_are_masked_unless_asked_for(client: FlaskClient) -> None:
    for answer in (client.put("/foo/", json=SECRETS), client.get("/foo/")):
        assert "hunter2" not in answer.get_data(as_text=True)
        assert answer.get_json()["environment"] == {"KEY": "********"}
        assert answer.get_json()["result_backend"] == "********"
        options = answer.get_json()["extra_config"]["broker_transport_options"]
        assert options == {"client": {"secret_token": "********"}, "max_retries": 3}
    assert "hunter2" not in client.put("/foo/instances/w1/").get_data(as_text=True)
    shown = client.get("/foo/?secrets=1").get_json()
    for name in ("environment", "result_backend", "extra_config", "arguments"):
        assert shown[name] == SECRETS[name]
    assert shown["broker"]["password"] == "hunter2"


def test_what_was_masked_is_not_taken_back(client: FlaskClient) -> None:
    client.put("/foo/", json=SECRETS)
    masked = client.get("/foo/").get_json()
    for name in ("environment", "result_backend", "extra_config", "arguments"):
        assert client.put("/foo/", json={name: masked[name]}).status_code == 400
    assert client.put("/foo/", json={"broker": masked["broker"]["url"]}).status_code == 400
    assert client.get("/foo/?secrets=1").get_json()["environment"] == {"KEY": "hunter2"}


# Who may call


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "file://localhost"},
        {"Origin": "", "Sec-Fetch-Site": "none"},
    ],
)
def test_another_site_may_not_change_anything(headers: dict[str, str], client: FlaskClient) -> None:
    for method, path in (("POST", "/bar/"), ("PUT", "/bar"), ("DELETE", "/foo/"), ("POST", "/x/y")):
        answer = client.open(path, method=method, headers=headers)
        assert (answer.status_code, error(answer)) == (403, "forbidden")
    assert client.get("/", headers=headers).get_json() == ["foo"]
    assert "Access-Control-Allow-Origin" not in client.get("/", headers=headers).headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://ui.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_who_may_change_things(headers: dict[str, str], client: FlaskClient) -> None:
    assert client.put("/bar/", headers=headers).status_code == 201


def test_a_site_that_was_let_in(client: FlaskClient) -> None:
    headers = {"Origin": "https://ui.example", "Access-Control-Request-Method": "PUT"}
    preflight = client.options("/foo/", headers=headers)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://ui.example"
    answer = client.get("/", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://ui.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "cyme.example", "localhost."],
)
def test_names_it_goes_by(host: str, client: FlaskClient) -> None:
    assert client.get("/ping/", headers={"Host": host}).status_code == 200


def test_security_headers_are_everywhere(client: FlaskClient) -> None:
    for path in ("/", "/ping/", "/nope/", "/a/b/c/", "/?x=1"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Content-Type"] == "application/json"


def test_one_line_per_change(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "cyme_supd.web")
    client.post("/foo/instances/w1/?timeout=5", json={"broker": "amqp://u:hunter2@h//"})
    client.get("/foo/")
    client.delete("/nope/")
    assert [record.getMessage() for record in caplog.records] == [
        "b1: POST /foo/instances/w1/ -> 201 w1",
        "b1: DELETE /nope/ -> 404",
    ]


def test_a_broker_known_to_be_down_does_not_stop_edits(client: FlaskClient, house: World) -> None:
    house.branch.health = {"brokers": {KEY: {"ok": False, "url": "redis://h"}}}
    house.branch.run()
    assert client.put("/foo/", json={"pool": "gevent"}).status_code == 200
    assert client.get("/foo/").status_code == 200
