"""Users, tokens and what each may do, over HTTP."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.access import Role, local_token
from cyme_supd.errors import Unavailable
from cyme_supd.service.guesses import GUESSES
from cyme_supd.web.app import create_app
from cyme_supd.web.forwarding import answerer
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World, declare

PASSWORD = "correct horse"
KEY = b"k" * 32
LOCAL = local_token(KEY)


@pytest.fixture
def house(house: World) -> World:
    house.service = house.over(house.store, replace(HERE, task_key=KEY))
    return house


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make(client: FlaskClient, **given: Any) -> str:
    """A token, by somebody on the host."""
    answer = client.post("/api/tokens/", json=given, headers=bearer(LOCAL))
    assert answer.status_code == 201
    return str(answer.get_json()["token"])


def make_user(client: FlaskClient, name: str, role: str) -> TestResponse:
    given = {"password": PASSWORD, "role": role}
    return client.put(f"/api/users/{name}/", json=given, headers=bearer(LOCAL))


def code(answer: TestResponse) -> tuple[int, str]:
    body = answer.get_json()
    return answer.status_code, body["error"]["code"] if "error" in body else ""


def test_without_anybody_who_reaches_it_is_the_admin(client: FlaskClient) -> None:
    assert client.get("/").get_json() == ["foo"]
    assert client.get("/foo/?secrets=1").get_json()["broker"]["password"] == "s3cret"
    # A proxy in front of it may have asked for a password of its own.
    assert client.get("/", auth=("somebody", "something")).status_code == 200


def test_with_somebody_everybody_has_to_say_who_they_are(client: FlaskClient) -> None:
    make_user(client, "alice", "admin")
    for method, path in (
        ("GET", "/"),
        ("PUT", "/bar/"),
        ("GET", "/nope/nope/nope/"),
        ("OPTIONS", "/"),
        ("POST", "/foo/queue/tasks/http://example.com/"),
        ("GET", "/foo/queue/tasks/http://example.com/"),
        ("OPTIONS", "/foo/queue/tasks/http://example.com/"),
        ("PATCH", "/ping/"),
    ):
        answer = client.open(path, method=method)
        assert code(answer) == (401, "unauthorized"), (method, path)
        ways = answer.headers.getlist("WWW-Authenticate")
        assert [way.split()[0] for way in ways] == ["Bearer", "Basic"]
    assert client.get("/ping/").get_json() == {"ok": "pong"}
    assert client.get("/", auth=("alice", PASSWORD)).get_json() == ["foo"]


@pytest.mark.parametrize(
    "words",
    [
        "Bearer",
        "Bearer x",
        f"Bearer cyme_0123456789ab_{'A' * 43}",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(b"alice:wrong").decode(),
        "Basic " + base64.b64encode(f"bob:{PASSWORD}".encode()).decode(),
        "Basic " + base64.b64encode(f"Alice:{PASSWORD}".encode()).decode(),
        "Digest username=alice",
    ],
)
def test_who_is_not_known(words: str, client: FlaskClient) -> None:
    make_user(client, "alice", "admin")
    for path in ("/", "/health/"):
        assert code(client.get(path, headers={"Authorization": words})) == (401, "unauthorized")


def test_roles(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    tokens = {role: bearer(make(client, role=role)) for role in Role}
    for method, path, least in (
        ("GET", "/foo/", Role.VIEWER),
        ("POST", "/foo/instances/!/w1/", Role.OPERATOR),
        ("POST", "/foo/queue/tasks/http://example.com/", Role.OPERATOR),
        ("GET", "/foo/queue/tasks/http://example.com/", Role.OPERATOR),
        ("PUT", "/foo/", Role.ADMIN),
        ("GET", "/foo/?secrets=1", Role.ADMIN),
        ("GET", "/api/users/", Role.ADMIN),
    ):
        for role in Role:
            answer = client.open(path, method=method, headers=tokens[role])
            if role.covers(least):
                assert answer.status_code < 300, (method, path, role)
            else:
                assert code(answer) == (403, "forbidden")
                assert f"needs the role {least}" in answer.get_json()["error"]["message"]


def test_secrets_are_refused_before_anything_is_changed(client: FlaskClient, house: World) -> None:
    operator = bearer(make(client, role="operator"))
    for sent in ({"query_string": {"secrets": "1"}}, {"json": {"secrets": True}}):
        assert code(client.put("/foo/instances/!/w1/", headers=operator, **sent)) == (
            403,
            "forbidden",
        )
    with house.store.reading() as view:
        assert view.instance_names("foo") == []


def test_a_token_for_one_app(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    own = bearer(make(client, role="admin", app="foo"))
    client.put("/bar/", headers=bearer(LOCAL))
    for method, path in (
        ("GET", "/foo/"),
        ("PUT", "/foo"),
        ("GET", "/foo/instances/"),
        ("POST", "/foo/queue/tasks/http://example.com/"),
    ):
        assert client.open(path, method=method, headers=own).status_code < 300, path
    for method, path in (
        ("GET", "/"),
        ("GET", "/bar/"),
        ("PUT", "/bar/"),
        ("GET", "/branches/"),
        ("DELETE", "/instances/w1/"),
        ("POST", "/api/users/eve/"),
        ("POST", "/bar/queue/tasks/http://example.com/"),
        ("GET", "/bar/queue/!/tasks/http://example.com/"),
    ):
        assert code(client.open(path, method=method, headers=own)) == (403, "forbidden"), path
    # What else is wrong with the branch is nobody's who has one app.
    assert client.get("/health/", headers=own).get_json().keys() == {"ok"}


def test_tokens_are_shown_once(
    client: FlaskClient, house: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = make(client, label="for the dashboard", role="viewer", expires=3600.0)
    id, secret = text.split("_", 2)[1:]
    assert client.get("/", headers=bearer(text)).status_code == 200
    shown = client.get(f"/api/tokens/{id}/", headers=bearer(LOCAL)).get_json()
    assert shown["label"] == "for the dashboard"
    assert shown["last_used_at"] is not None
    assert shown.keys() == {
        *("id", "label", "user", "role", "app", "created_at", "expires_at", "last_used_at")
    }
    assert client.get("/api/tokens/", headers=bearer(LOCAL)).get_json() == [id]
    assert secret not in caplog.text
    assert secret not in repr(house.store._state)
    # Of another secret by its id nothing is known.
    assert code(client.get("/", headers=bearer(f"cyme_{id}_{'A' * 43}"))) == (401, "unauthorized")


def test_tokens_end(client: FlaskClient, house: World) -> None:
    brief, other = make(client, expires=60.0), make(client)
    house.clock.sleep(61)
    assert code(client.get("/", headers=bearer(brief))) == (401, "unauthorized")
    assert client.get("/", headers=bearer(other)).status_code == 200
    id = other.split("_")[1]
    assert client.delete(f"/api/tokens/{id}/", headers=bearer(LOCAL)).get_json() == {"ok": "ok"}
    assert code(client.get("/", headers=bearer(other))) == (401, "unauthorized")
    assert code(client.delete(f"/api/tokens/{id}/", headers=bearer(LOCAL))) == (404, "not_found")


def test_users_and_their_tokens_are_out_at_once(client: FlaskClient) -> None:
    assert make_user(client, "root", "admin").status_code == 201
    assert make_user(client, "alice", "operator").status_code == 201
    text = make(client, user="alice", role="admin")
    assert client.get("/", auth=("alice", PASSWORD)).status_code == 200
    # No more than the user may do.
    assert code(client.put("/foo/", headers=bearer(text))) == (403, "forbidden")
    answer = client.put("/api/users/alice/", json={"role": "viewer"}, headers=bearer(LOCAL))
    assert (answer.status_code, answer.get_json()["role"]) == (200, "viewer")
    assert code(client.post("/foo/stop/", headers=bearer(text))) == (403, "forbidden")
    client.put("/api/users/alice/", json={"password": "another one"}, headers=bearer(LOCAL))
    assert code(client.get("/", auth=("alice", PASSWORD))) == (401, "unauthorized")
    assert client.get("/", auth=("alice", "another one")).status_code == 200
    assert client.delete("/api/users/alice/", headers=bearer(LOCAL)).status_code == 200
    assert code(client.get("/", auth=("alice", "another one"))) == (401, "unauthorized")
    assert code(client.get("/", headers=bearer(text))) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/api/users/alice/", {}),
        ("/api/users/alice/", {"password": "short"}),
        ("/api/users/alice/", {"password": "********"}),
        ("/api/users/alice/", {"password": PASSWORD, "role": "root"}),
        ("/api/users/a b/", {"password": PASSWORD}),
        ("/api/users/", {"password": PASSWORD}),
        ("/api/tokens/", {"role": "root"}),
        ("/api/tokens/", {"app": "api"}),
        ("/api/tokens/", {"label": "a\nb"}),
        ("/api/tokens/", {"label": "x" * 201}),
        ("/api/tokens/", {"expires": "yesterday"}),
        ("/api/tokens/", {"expires": 0.0}),
        ("/api/tokens/", {"expires": 1e12}),
        ("/api/tokens/", {"secret": "mine"}),
    ],
)
def test_what_cannot_be_made(path: str, given: dict[str, Any], client: FlaskClient) -> None:
    answer = client.post(path, json=given)
    assert code(answer) == (400, "invalid")
    if "password" in given:
        assert given["password"] not in answer.get_data(as_text=True)
    assert client.get("/").status_code == 200


def test_what_is_not_there(client: FlaskClient) -> None:
    for method, path in (
        ("GET", "/api/users/bob/"),
        ("DELETE", "/api/users/bob/"),
        ("GET", "/api/tokens/00/"),
        ("DELETE", "/api/tokens/00/"),
    ):
        assert code(client.open(path, method=method)) == (404, "not_found")
    assert code(client.post("/api/tokens/", json={"user": "bob"})) == (404, "not_found")


def test_users_as_they_are_shown(client: FlaskClient) -> None:
    made = make_user(client, "alice", "admin")
    shown = client.get("/api/users/alice/", headers=bearer(LOCAL))
    assert made.get_json() == shown.get_json()
    assert shown.get_json().keys() == {"name", "role", "created_at"}
    given = {"name": "bob", "password": PASSWORD}
    assert client.post("/api/users/", json=given, headers=bearer(LOCAL)).status_code == 201
    assert client.get("/api/users/", headers=bearer(LOCAL)).get_json() == ["alice", "bob"]


def test_who_guesses_is_slowed_down(client: FlaskClient) -> None:
    make_user(client, "alice", "admin")
    for _ in range(GUESSES):
        assert client.get("/", auth=("alice", "a wrong one")).status_code == 401
    answer = client.get("/", auth=("alice", PASSWORD))
    assert code(answer) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) > 0
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    answer = client.get("/", auth=("alice", PASSWORD), environ_overrides=elsewhere)
    assert answer.status_code == 200


def test_a_route_that_nobody_has_thought_of_is_an_admins(house: World) -> None:
    app = create_app(Settings(branch="b1"), house.service)
    app.add_url_rule("/<app>/new/", "new", lambda app: "new")
    with app.test_client() as client:
        for role in Role:
            answer = client.get("/foo/new/", headers=bearer(make(client, role=role)))
            assert answer.status_code == (200 if role is Role.ADMIN else 403)


# Who is on the host


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_the_local_token_is_good_on_the_host(
    address: str, is_here: bool, client: FlaskClient
) -> None:
    make_user(client, "alice", "viewer")
    peer = {"REMOTE_ADDR": address}
    answer = client.get("/foo/?secrets=1", headers=bearer(LOCAL), environ_overrides=peer)
    assert answer.status_code == (200 if is_here else 401)
    other = bearer(local_token(b"another branch"))
    assert client.get("/", headers=other, environ_overrides=peer).status_code == 401


# Health


def test_health_without_and_with_credentials(client: FlaskClient, house: World) -> None:
    assert client.get("/health/").get_json().keys() > {"ok"}
    viewer = bearer(make(client))
    assert client.get("/health/").get_json().keys() == {"ok"}
    assert client.get("/health/", headers=viewer).get_json().keys() > {"ok"}
    house.store.failure = Unavailable("the disk is gone")
    assert client.get("/health/").get_json() == {"ok": False}
    assert client.get("/health/", headers=viewer).get_json().keys() > {"ok"}
    assert code(client.get("/", headers=viewer)) == (503, "unavailable")
    assert client.get("/ping/").status_code == 200


def test_nobody_is_let_in_while_it_is_not_known_whom(client: FlaskClient, house: World) -> None:
    house.store.failure = Unavailable("the disk is gone")
    assert code(client.get("/")) == (503, "unavailable")
    assert client.get("/health/").get_json() == {"ok": False}


# A branch that others can reach


@pytest.fixture
def exposed(house: World) -> Iterator[FlaskClient]:
    here = replace(HERE, task_key=KEY, is_exposed=True)
    settings = Settings(branch="b1", host="192.0.2.1", is_exposed=True)
    app = create_app(settings, house.over(house.store, here))
    with app.test_client() as client:
        yield client


def test_an_exposed_branch_is_not_everybodys(exposed: FlaskClient) -> None:
    assert code(exposed.get("/")) == (401, "unauthorized")
    assert exposed.get("/health/").get_json().keys() == {"ok"}
    assert exposed.get("/", headers=bearer(LOCAL)).status_code == 200


def test_the_last_admin_stays(exposed: FlaskClient) -> None:
    local = bearer(LOCAL)
    make_user(exposed, "alice", "admin")
    operator = make(exposed, role="operator")
    make(exposed, role="admin", app="foo")
    # What needs another admin is refused while there is none.
    assert code(exposed.delete("/api/users/alice/", headers=local)) == (409, "conflict")
    answer = exposed.put("/api/users/alice/", json={"role": "viewer"}, headers=local)
    assert code(answer) == (409, "conflict")
    assert exposed.get("/", auth=("alice", PASSWORD)).status_code == 200
    assert (
        exposed.delete(f"/api/tokens/{operator.split('_')[1]}/", headers=local).status_code == 200
    )
    other = make(exposed, role="admin")
    assert exposed.delete("/api/users/alice/", headers=local).status_code == 200
    answer = exposed.delete(f"/api/tokens/{other.split('_')[1]}/", headers=local)
    assert code(answer) == (409, "conflict")


def test_on_loopback_everybody_may_go(client: FlaskClient) -> None:
    make_user(client, "alice", "admin")
    assert client.delete("/api/users/alice/", headers=bearer(LOCAL)).status_code == 200
    assert client.get("/").status_code == 200


# Other branches


def test_what_another_branch_passes_on_has_the_role_of_who_asks(house: World) -> None:
    app = create_app(Settings(branch="b1"), house.service)
    with app.test_client() as client:
        make_user(client, "alice", "admin")
    asked = {"method": "GET", "path": "/foo/", "query": "", "body": "", "content_type": ""}
    answer = answerer(app)
    assert answer({**asked, "role": "viewer"}, 1.0)["status"] == 200
    shown = {**asked, "query": "secrets=1"}
    assert "s3cret" in answer({**shown, "role": "admin"}, 1.0)["body"]
    for said in ({**shown, "role": "operator"}, shown):
        found = answer(said, 1.0)
        assert found["status"] == 403
        assert "s3cret" not in found["body"]


def test_a_page_of_another_site_asks_before_it_says_who_it_is(house: World) -> None:
    settings = Settings(branch="b1", cors_origins=("https://ui.example",))
    with create_app(settings, house.service).test_client() as client:
        make_user(client, "alice", "admin")
        asks = {"Origin": "https://ui.example", "Access-Control-Request-Method": "GET"}
        assert client.options("/foo/", headers=asks).status_code == 204
        assert client.get("/foo/", headers={"Origin": "https://ui.example"}).status_code == 401
