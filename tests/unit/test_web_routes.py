"""The contract's routes, in every form they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd import errors
from cyme_supd.domain.status import ProcessState
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World

DETAILS = """name app branch is_enabled queues broker max_concurrency min_concurrency pool arguments
    extra_config stop_timeout_s hung_timeout_s created_at generation pause state pid ready
    consuming conditions observed_at"""


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


def test_ping_asks_nobody(client: FlaskClient, house: World) -> None:
    house.store.failure = errors.Unavailable("locked")
    assert client.get("/ping/").get_json() == {"ok": "pong"}


def test_health(client: FlaskClient, house: World) -> None:
    answer = client.get("/health/")
    assert (answer.status_code, answer.get_json()["ok"]) == (200, True)
    house.store.failure = errors.Unavailable("locked")
    answer = client.get("/health")
    assert (answer.status_code, answer.get_json()["ok"]) == (503, False)
    assert answer.get_json()["store"]["reason"] == "locked"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/branches"),
        ("GET", "/branches/b1"),
        ("GET", "/foo"),
        ("PUT", "/foo"),
        ("POST", "/foo"),
        ("POST", "/foo/start"),
        ("POST", "/foo/stop"),
        ("GET", "/foo/instances"),
        ("PUT", "/foo/instances"),
        ("POST", "/foo/instances"),
        ("PUT", "/foo/instances/w2"),
        ("POST", "/foo/instances/w2"),
        ("GET", "/foo/instances/w1"),
        ("POST", "/foo/instances/w1/enable"),
        ("POST", "/foo/instances/w1/disable"),
        ("POST", "/foo/instances/w1/restart"),
        ("GET", "/foo/instances/w1/stats"),
        ("GET", "/foo/instances/w1/autoscale"),
        ("POST", "/foo/instances/w1/autoscale"),
        ("GET", "/foo/instances/w1/log"),
        ("DELETE", "/foo/instances/w1"),
        ("DELETE", "/instances/w1"),
        ("DELETE", "/instance/w1"),
        ("POST", "/foo/instances/!/w2"),
        ("PUT", "/foo/instances/!"),
        ("DELETE", "/foo/instances/!/w1"),
        ("DELETE", "/instances/!/w1"),
        ("POST", "/foo/instances/!/w1/restart"),
        ("POST", "/foo/instances/!/w1/autoscale"),
        ("POST", "/!/foo/stop"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_both_slash_forms_and_the_singular(
    method: str, path: str, slash: str, client: FlaskClient, house: World
) -> None:
    house.questions.answer = {"pid": 1}
    client.put("/foo/instances/w1/")
    answer = client.open(path + slash, method=method)
    assert answer.status_code in (200, 201, 202)
    if "/foo/instances" in path and "DELETE" not in method:
        singular = path.replace("instances", "instance") + slash
        assert client.open(singular, method=method).status_code in (200, 201, 202)


def test_an_app(client: FlaskClient) -> None:
    made = client.put("/bar/", json={"hostname": "mq", "password": "hunter2"})
    assert made.status_code == 201
    assert made.get_json()["broker"] == {
        "hostname": "mq",
        "port": 5672,
        "userid": "guest",
        "password": "********",
        "virtual_host": "/",
        "transport": "amqp",
        "url": "amqp://guest:********@mq:5672//",
    }
    edited = client.post("/bar/", data={"vhost": "v", "hostname": "mq"})
    assert (edited.status_code, edited.get_json()["restarting"]) == (200, [])
    assert edited.get_json()["broker"]["virtual_host"] == "v"
    assert client.get("/").get_json() == ["bar", "foo"]
    assert client.get("/bar/").get_json()["instances"] == []
    gone = client.delete("/bar/")
    assert (gone.status_code, gone.get_json()) == (200, {"ok": "ok"})
    assert client.delete("/bar/").status_code == 404


def test_an_instance(client: FlaskClient) -> None:
    made = client.post("/foo/instances/w1/", json={"max_concurrency": 3})
    assert made.status_code == 201
    details = made.get_json()
    assert set(details) == set(DETAILS.split())
    assert (details["state"], details["ready"], details["pid"]) == ("RUNNING", True, 1000)
    assert details["created_at"].endswith("Z")
    assert client.get("/foo/instances/w1/autoscale/").get_json() == {"max": 3, "min": 1}
    scaled = client.post("/foo/instances/w1/autoscale/", data={"max": "5", "min": "0"})
    assert (scaled.status_code, scaled.get_json()) == (200, {"max": 5, "min": 0})
    edited = client.put("/foo/instances/w1/", json={"arguments": ["-O", "fair"]})
    assert (edited.status_code, edited.get_json()["restarting"]) == (200, ["w1"])
    assert client.post("/foo/instances/w1/disable/").get_json() == {"ok": "ok"}
    assert client.get("/foo/instances/").get_json() == ["w1"]
    assert client.delete("/foo/").status_code == 409
    assert client.delete("/instances/w1/").get_json() == {"ok": "ok"}
    assert client.get("/foo/instances/w1/").status_code == 404


def test_stats_and_log(client: FlaskClient, house: World) -> None:
    client.put("/foo/instances/w1/")
    assert error(client.get("/foo/instances/w1/stats/")) == "unavailable"
    house.questions.answer = {"pid": 1000, "broker": {"password": "x", "userid": "u"}}
    stats = client.get("/foo/instances/w1/stats/").get_json()
    assert stats["pid"] == 1000
    assert stats["broker"] == {"password": "********", "userid": "u"}
    assert stats["supervisor"]["statename"] == "RUNNING"
    assert stats["instance"]["name"] == "w1"
    house.logs.content = b"\xff caf\xc3\xa9\n"
    log = client.get("/foo/instances/w1/log/?bytes=6")
    assert (log.mimetype, log.get_data(as_text=True)) == ("text/plain", "café\n")
    house.logs.content = b"Task a[t1] received\nTask a[t2]\rb\nTask a[t1] failed\n"
    log = client.get("/foo/instances/w1/log/?q=[t1]")
    assert log.get_data(as_text=True) == "Task a[t1] received\nTask a[t1] failed\n"
    assert client.get("/foo/instances/w1/log/?q=t2").get_data() == b"Task a[t2]\rb\n"
    assert client.get("/foo/instances/w1/log/?q=none").get_data() == b""
    assert error(client.get("/foo/instances/w1/log/?q=t1&follow=1")) == "invalid"
    for wrong in ("0", "-1", "x", "1048577"):
        assert client.get(f"/foo/instances/w1/log/?bytes={wrong}").status_code == 400
    assert client.get("/foo/instances/w1/log/?folow=1").status_code == 400


def test_the_asynchronous_form(client: FlaskClient, house: World) -> None:
    house.branch.is_dead = True
    made = client.post("/foo/instances/!/w1/")
    assert (made.status_code, made.get_json()) == (202, {"name": "w1"})
    anonymous = client.put("/foo/instances/!/")
    assert anonymous.status_code == 202
    assert anonymous.get_json()["name"] in client.get("/foo/instances/").get_json()
    for path in ("enable/", "disable/", "autoscale/?max=4"):
        answer = client.post(f"/foo/instances/!/w1/{path}")
        assert answer.status_code in (200, 202)
    assert client.delete("/foo/instances/!/w1/").get_json() == {"name": "w1"}
    assert client.get("/foo/instances/!/").status_code == 501
    for path in ("/foo/instances/!/w1/", "/foo/instances/!/w1/stats/", "/branches/!/", "/!/foo/"):
        assert error(client.get(path)) == "not_implemented"
        assert client.get(path).status_code == 501


def test_what_is_not_observed(client: FlaskClient, house: World) -> None:
    house.branch.health = {"supervisord": {"ok": False, "reason": "refused"}}
    house.branch.run()
    made = client.put("/foo/instances/w1/")
    assert made.status_code == 202
    assert (made.get_json()["converged"], made.get_json()["name"]) == (False, "w1")
    assert made.get_json()["reason"] == "supervisord is down: refused"
    house.branch.health = {}
    house.branch.run()
    house.branch.takes_s = 100
    late = client.post("/foo/instances/w1/restart/?timeout=0.5")
    assert (late.status_code, error(late)) == (408, "timeout")
    house.branch.takes_s = 0.1
    house.branch.override = {"state": ProcessState.BACKOFF, "ready": False}
    failed = client.put("/foo/instances/w2/")
    assert (failed.status_code, error(failed)) == (502, "spawn_failed")
    house.service.stop()
    stopped = client.put("/foo/instances/w3/")
    assert (stopped.status_code, error(stopped)) == (503, "unavailable")
    assert stopped.headers["Retry-After"]


def test_every_error_has_its_status(client: FlaskClient, house: World) -> None:
    for kind in (
        errors.Invalid,
        errors.NotFound,
        errors.Conflict,
        errors.Timeout,
        errors.Unavailable,
        errors.Unauthorized,
        errors.RateLimited,
        errors.SpawnFailed,
        errors.Internal,
    ):
        house.store.failure = kind("why", "what to do")
        answer = client.get("/")
        assert answer.status_code == kind.http
        wire = {"code": kind.code, "message": "why", "hint": "what to do"}
        assert answer.get_json() == {"error": wire}


def test_a_fault_of_ours_stays_here(
    client: FlaskClient, house: World, caplog: pytest.LogCaptureFixture
) -> None:
    house.store.failure = ZeroDivisionError("secret detail")
    answer = client.get("/")
    assert (answer.status_code, error(answer)) == (500, "internal")
    assert "secret" not in answer.get_data(as_text=True)
    assert "secret detail" in caplog.text


def test_unknown_routes_and_methods(client: FlaskClient) -> None:
    assert error(client.get("/a/b/c/d/")) == "not_found"
    assert error(client.get("/foo//instances/")) == "not_found"
    refused = client.patch("/foo/")
    assert (refused.status_code, error(refused)) == (405, "method_not_allowed")
    assert {"GET", "PUT", "POST", "DELETE"} <= set(refused.headers["Allow"].split(", "))
    assert error(client.post("/ping/")) == "invalid"  # as the name of an app
    assert client.get("/instances/w1/").status_code == 405
    assert client.options("/foo/").status_code == 200
    head = client.head("/foo/")
    assert (head.status_code, head.get_data()) == (200, b"")


# Parameters


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_one_set_of_parameters(method: str, client: FlaskClient) -> None:
    ways: tuple[dict[str, Any], ...] = (
        {"query_string": "pool=gevent&stop_timeout_s=7"},
        {"data": {"pool": "gevent", "stop_timeout_s": "7"}},
        {"json": {"pool": "gevent", "stop_timeout_s": 7}},
        {"query_string": "pool=solo&stop_timeout_s=7", "json": {"pool": "gevent"}},
    )
    for way in ways:
        client.open("/foo/", method=method, json={"pool": None, "stop_timeout_s": None})
        body = client.open("/foo/", method=method, **way).get_json()
        assert (body["pool"], body["stop_timeout_s"]) == ("gevent", 7)


def test_a_deletion_takes_a_body_too(client: FlaskClient) -> None:
    client.put("/foo/instances/w1/")
    assert client.delete("/foo/", json={"force": True}).status_code == 200
    client.put("/foo/")
    assert client.delete("/foo/", data={"timeout": "x"}).status_code == 400


def test_unknown_parameters_name_the_nearest(client: FlaskClient) -> None:
    answer = client.put("/foo/instances/w1/", data={"max_concurency": "3"})
    assert answer.status_code == 400
    assert answer.get_json()["error"]["hint"] == "did you mean 'max_concurrency'?"
    for path in ("/", "/foo/", "/ping/", "/branches/", "/foo/instances/", "/health/"):
        assert client.get(path + "?no_such=1").status_code == 400
    hint = client.put("/foo/", data='{"pool": "solo"}', content_type=FORM).get_json()
    assert "application/json" in hint["error"]["hint"]


FORM = "application/x-www-form-urlencoded"


def test_queues_in_all_their_forms(client: FlaskClient) -> None:
    for way in (
        {"json": {"queues": ["a", "b"]}},
        {"data": {"queues": "a,b"}},
        {"data": {"queues": ["a", "b"]}},
        {"query_string": "queues=a&queues=b"},
        {"data": {"queues": '["a", "b"]'}},
    ):
        answer = client.put("/foo/instances/w1/", **way)
        assert answer.status_code == 404
        assert "'a'" in answer.get_json()["error"]["message"]


def test_paging(client: FlaskClient) -> None:
    for name in ("a", "b", "c"):
        client.put(f"/{name}/")
    first = client.get("/?limit=2")
    assert first.get_json() == ["a", "b"]
    assert first.headers["Link"] == '</?limit=2&after=b>; rel="next"'
    rest = client.get("/?limit=2&after=b")
    assert rest.get_json() == ["c", "foo"]
    assert "Link" not in rest.headers
    assert client.get("/?after=c").get_json() == ["foo"]
    assert client.get("/?limit=0").status_code == 400


def test_too_large(client: FlaskClient) -> None:
    answer = client.put("/foo/", data=b" " * (1024 * 1024 + 1), content_type="application/json")
    assert (answer.status_code, error(answer)) == (413, "too_large")
