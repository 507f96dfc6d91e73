"""Signing in to the pages: who gets a session, for how long, and what it is good for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.access import digest_of, local_token
from cyme_supd.domain.audit import Query
from cyme_supd.domain.sessions import IDLE, LIFE, forgery_token
from cyme_supd.errors import Unavailable
from cyme_supd.service.guesses import GUESSES
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World

PASSWORD = "correct horse"
KEY = b"k" * 32
LOCAL = {"Authorization": f"Bearer {local_token(KEY)}"}
#: What a browser says of a form of the page's own.
FORM = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
TLS = "https://cyme.example"


@pytest.fixture
def house(house: World) -> World:
    house.service = house.over(house.store, replace(HERE, task_key=KEY))
    return house


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    settings = Settings(branch="b1", server_names=("cyme.example",))
    with create_app(settings, house.service).test_client() as client:
        for name, role in (("alice", "admin"), ("vic", "viewer")):
            given = {"password": PASSWORD, "role": role}
            assert client.put(f"/api/users/{name}/", json=given, headers=LOCAL).status_code == 201
        yield client


def sign_in(client: FlaskClient, name: str = "alice", **given: str) -> TestResponse:
    sent = {"name": name, "password": PASSWORD, **given}
    return client.post("/admin/login", data=sent, headers=FORM)


def cookie(client: FlaskClient, name: str = "cyme-80") -> str:
    found = client.get_cookie(name)
    return found.value if found is not None else ""


def status(client: FlaskClient, path: str = "/foo/", **headers: str) -> int:
    return client.get(path, headers=headers).status_code


def events(house: World) -> list[tuple[str, str, str, str, str]]:
    with house.store.reading() as view:
        found = view.audit(Query())
    return [
        (each.verb, each.kind, each.name, each.actor.name, each.actor.address)
        for each in reversed(found)
        if each.verb in ("login", "refuse", "logout")
    ]


def test_a_browser_is_sent_to_sign_in_and_back(client: FlaskClient) -> None:
    asked = client.get("/admin/instances/?app=foo", headers=BROWSER)
    assert asked.status_code == 303
    place = asked.headers["Location"]
    assert place == "/admin/login?next=%2Fadmin%2Finstances%2F%3Fapp%3Dfoo"
    assert "WWW-Authenticate" not in asked.headers
    text = client.get(place, headers=BROWSER).get_data(as_text=True)
    assert 'value="/admin/instances/?app=foo"' in text
    assert "<script" not in text
    for link in re.findall(r'href="(/[^"]+)"', text):
        assert client.get(link).status_code == 200
    made = sign_in(client, next="/admin/instances/?app=foo")
    assert (made.status_code, made.headers["Location"]) == (303, "/admin/instances/?app=foo")
    shown = client.get(made.headers["Location"], headers=BROWSER).get_data(as_text=True)
    assert "user alice, admin" in shown
    assert "Sign out" in shown
    assert f'<meta name="csrf-token" content="{forgery_token(cookie(client))}">' in shown


@pytest.mark.parametrize("path", ["/", "/api/docs", "/admin/", "/admin/nope/"])
def test_people_are_sent_there_from_every_page(path: str, client: FlaskClient) -> None:
    found = client.get(path, headers=BROWSER)
    assert found.status_code == 303
    assert found.headers["Location"].startswith("/admin/login?next=")


def test_programs_are_told(client: FlaskClient) -> None:
    for path, headers in (
        ("/", {}),
        ("/foo/", BROWSER),
        ("/foo/instances/", {"Accept": "application/json"}),
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.get_json()["error"]["code"] == "unauthorized"
        assert len(answer.headers.getlist("WWW-Authenticate")) == 2


def test_a_page_that_looks_again_is_told_without_the_browsers_own_question(
    client: FlaskClient,
) -> None:
    of_script = {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}
    assert client.get("/admin/", headers=of_script).status_code == 401
    sign_in(client)
    client.delete("/api/users/alice/", headers=LOCAL)
    for answer in (
        client.get("/admin/", headers=of_script),
        client.post("/foo/stop/", headers={"X-CSRF-Token": "x"}),
    ):
        assert answer.status_code == 401
        assert "WWW-Authenticate" not in answer.headers


def test_the_cookie_over_tls(client: FlaskClient) -> None:
    sent = {"name": "alice", "password": PASSWORD}
    headers = {"Origin": TLS}
    made = client.post("/admin/login", data=sent, headers=headers, base_url=TLS)
    words = made.headers["Set-Cookie"].split("; ")
    assert words[0].startswith("__Host-cyme=")
    assert set(words[1:]) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert client.get("/foo/", base_url=TLS).status_code == 200


def test_the_cookie_on_loopback(client: FlaskClient) -> None:
    words = sign_in(client).headers["Set-Cookie"].split("; ")
    assert words[0].startswith("cyme-80=")
    assert set(words[1:]) == {"HttpOnly", "Path=/", "SameSite=Lax"}


@pytest.mark.parametrize(
    ("base_url", "peer", "headers"),
    [
        ("http://cyme.example", "127.0.0.1", {}),
        ("http://localhost", "192.0.2.7", {}),
        ("http://localhost", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("http://localhost", "127.0.0.1", {"X-Forwarded-Proto": "https"}),
    ],
)
def test_nobody_signs_in_where_others_could_listen(
    base_url: str, peer: str, headers: dict[str, str], client: FlaskClient
) -> None:
    kind = {"base_url": base_url, "environ_overrides": {"REMOTE_ADDR": peer}}
    shown = client.get("/admin/login", headers={**BROWSER, **headers}, **kind)
    assert "Signing in needs https" in shown.get_data(as_text=True)
    assert "<form" not in shown.get_data(as_text=True)
    sent = {"name": "alice", "password": PASSWORD}
    made = client.post("/admin/login", data=sent, headers={**headers, "Origin": base_url}, **kind)
    assert made.status_code == 403
    assert "Set-Cookie" not in made.headers
    # One that was kept on the host is not taken there, either.
    sign_in(client)
    kept = {**headers, "Cookie": f"cyme-80={cookie(client)}; __Host-cyme={cookie(client)}"}
    assert client.get("/foo/", headers=kept, **kind).status_code == 401
    assert client.get("/foo/", headers=headers, auth=("alice", PASSWORD), **kind).status_code == 200


def test_who_is_not_let_in(client: FlaskClient, house: World) -> None:
    for sent in (
        {"name": "alice", "password": "wrong"},
        {"name": "Alice", "password": PASSWORD},
        {"name": "my password", "password": ""},
        {"token": "cyme_0123456789ab_" + "A" * 43},
        {"token": local_token(KEY)},
        {},
    ):
        made = client.post("/admin/login", data=sent, headers=FORM)
        assert made.status_code == 401
        assert "Set-Cookie" not in made.headers
        assert "WWW-Authenticate" not in made.headers
        text = made.get_data(as_text=True)
        assert 'role="alert"' in text
        assert "wrong" not in text.replace("is wrong", "")
    # What may be a password is not written down.
    assert events(house) == [
        ("refuse", "user", "alice", "", "127.0.0.1"),
        ("refuse", "user", "", "", "127.0.0.1"),
        ("refuse", "token", "", "", "127.0.0.1"),
    ]


def test_who_guesses_is_slowed_down(client: FlaskClient, house: World) -> None:
    for _ in range(GUESSES):
        assert sign_in(client, password="wrong").status_code == 401
    made = sign_in(client)
    assert made.status_code == 429
    assert int(made.headers["Retry-After"]) > 0
    assert len(events(house)) == 1
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "127.0.0.2"}}
    sent = {"name": "alice", "password": PASSWORD}
    assert client.post("/admin/login", data=sent, headers=FORM, **elsewhere).status_code == 303


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        # A browser of today says either.
        ({}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
def test_nobody_is_signed_in_by_another_site(
    headers: dict[str, str], expected: int, client: FlaskClient
) -> None:
    sent = {"name": "alice", "password": PASSWORD}
    made = client.post("/admin/login", data=sent, headers=headers)
    assert made.status_code == expected
    assert ("Set-Cookie" in made.headers) == (expected == 303)


def test_a_new_secret_each_time_and_the_old_one_is_out(client: FlaskClient, house: World) -> None:
    planted = "x" * 43
    client.set_cookie("cyme-80", planted)
    sign_in(client)
    first = cookie(client)
    assert first not in ("", planted)
    sign_in(client)
    second = cookie(client)
    assert second not in ("", first)
    assert status(client) == 200
    for gone in (planted, first):
        client.set_cookie("cyme-80", gone)
        assert status(client) == 401
    with house.store.reading() as view:
        assert [each.id for each in view.sessions()] == [digest_of(second)]
    assert second not in repr(house.store._state)


def test_signing_out_ends_it_on_the_server(client: FlaskClient, house: World) -> None:
    sign_in(client)
    secret = cookie(client)
    sent = {"csrf_token": forgery_token(secret)}
    for wrong in ({}, {"csrf_token": "x"}):
        assert client.post("/admin/logout", data=wrong, headers=FORM).status_code == 403
    made = client.post("/admin/logout", data=sent, headers=FORM)
    assert (made.status_code, made.headers["Location"]) == (303, "/admin/login")
    assert cookie(client) == ""
    client.set_cookie("cyme-80", secret)
    assert status(client) == 401
    again = client.post("/admin/logout", data=sent, headers=FORM)
    assert (again.status_code, again.headers["Location"][:12]) == (303, "/admin/login")
    assert events(house) == [
        ("login", "user", "alice", "user alice", "127.0.0.1"),
        ("logout", "user", "alice", "user alice", "127.0.0.1"),
    ]


def test_it_ends_by_itself(client: FlaskClient, house: World) -> None:
    sign_in(client)
    house.clock.sleep(IDLE.total_seconds() - 1)
    assert status(client) == 200
    # A page that looks again by itself is nobody's doing.
    for _ in range(2):
        house.clock.sleep(IDLE.total_seconds() / 2)
        last = status(client, **{"Sec-Fetch-Mode": "cors"})
    assert last == 401


def test_it_ends_for_all_that_it_is_used(client: FlaskClient, house: World) -> None:
    sign_in(client)
    for _ in range(int(LIFE.total_seconds() // 3600) - 1):
        house.clock.sleep(3600)
        assert status(client) == 200
    house.clock.sleep(3600)
    assert status(client) == 401
    sign_in(client, "vic")
    with house.store.reading() as view:
        assert [each.user for each in view.sessions()] == ["vic"]


@pytest.mark.parametrize(
    ("method", "given"),
    [("PUT", {"password": "another one"}), ("PUT", {"role": "viewer"}), ("DELETE", {})],
)
def test_it_ends_with_what_it_rests_on(
    method: str, given: dict[str, str], client: FlaskClient
) -> None:
    sign_in(client, "vic")
    others = cookie(client)
    client.delete_cookie("cyme-80")
    sign_in(client)
    assert status(client) == 200
    path = "/api/users/alice/"
    assert client.open(path, method=method, json=given, headers=LOCAL).status_code == 200
    assert status(client) == 401
    client.set_cookie("cyme-80", others)
    assert status(client) == 200
    # What stays as it is ends nothing.
    client.put("/api/users/vic/", json={"role": "viewer"}, headers=LOCAL)
    assert status(client) == 200


def test_a_token_signs_in_and_is_revoked(client: FlaskClient, house: World) -> None:
    given = {"role": "operator", "expires": 3600.0}
    made = client.post("/api/tokens/", json=given, headers=LOCAL).get_json()
    other = client.post("/api/tokens/", json=given, headers=LOCAL).get_json()
    client.post("/admin/login", data={"token": f" {made['token']}\n"}, headers=FORM)
    token = {"X-CSRF-Token": forgery_token(cookie(client))}
    assert client.put("/bar/", headers=token).status_code == 403
    assert client.post("/foo/stop/", headers=token).status_code == 200
    assert f"token {made['id']}, operator" in client.get("/admin/").get_data(as_text=True)
    assert client.delete(f"/api/tokens/{made['id']}/", headers=LOCAL).status_code == 200
    assert status(client) == 401
    client.post("/admin/login", data={"token": other["token"]}, headers=FORM)
    assert status(client) == 200
    house.clock.sleep(3601)
    assert status(client) == 401


def test_a_password_that_is_changed_meanwhile(client: FlaskClient, house: World) -> None:
    service = house.service
    real = service.access.by_password

    def slow(*args: object) -> object:
        found = real(*args)  # type: ignore[arg-type]
        service.access.put_user("alice", {"password": "another one"})
        return found

    service.access.by_password = slow  # type: ignore[assignment]
    assert sign_in(client).status_code == 401
    with house.store.reading() as view:
        assert view.sessions() == []


def test_any_process_knows_it(client: FlaskClient, house: World) -> None:
    sign_in(client)
    other = create_app(Settings(branch="b1"), house.over(house.store, HERE)).test_client()
    other.set_cookie("cyme-80", cookie(client))
    assert status(other) == 200
    secret = cookie(client)
    client.post("/admin/logout", headers={"X-CSRF-Token": forgery_token(secret)})
    assert status(other) == 401


def test_uses_are_noted_now_and_then(client: FlaskClient, house: World) -> None:
    sign_in(client)
    begun_at = house.clock.now()
    for _ in range(5):
        house.clock.sleep(10)
        status(client)
    with house.store.reading() as view:
        assert view.sessions()[0].last_used_at == begun_at
    house.clock.sleep(11)
    status(client)
    with house.store.reading() as view:
        assert view.sessions()[0].last_used_at == house.clock.now()


def test_a_viewer_looks_and_changes_nothing(client: FlaskClient) -> None:
    sign_in(client, "vic")
    token = {"X-CSRF-Token": forgery_token(cookie(client))}
    assert client.get("/admin/").status_code == 200
    assert client.post("/foo/stop/", headers=token).status_code == 403
    assert client.get("/api/users/").status_code == 403


def test_what_is_said_counts_before_what_is_kept(client: FlaskClient) -> None:
    sign_in(client, "vic")
    # No token is asked of who says it with the request.
    assert client.put("/bar/", auth=("alice", PASSWORD)).status_code == 201
    assert client.get("/foo/", auth=("alice", "wrong")).status_code == 401


def test_health_by_cookie(client: FlaskClient, house: World) -> None:
    assert client.get("/health/").get_json().keys() == {"ok"}
    sign_in(client)
    assert client.get("/health/").get_json().keys() > {"ok"}
    client.set_cookie("cyme-80", "x" * 43)
    assert client.get("/health/").get_json().keys() == {"ok"}
    house.store.failure = Unavailable("the disk is gone")
    assert client.get("/health/").get_json() == {"ok": False}
    assert client.get("/admin/login").status_code == 503
    assert sign_in(client).status_code == 503


def test_while_nobody_is_known(house: World) -> None:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        shown = client.get("/admin/login", headers=BROWSER).get_data(as_text=True)
        assert "no one has to sign in" in shown
        assert "Nobody is known yet" in client.get("/admin/").get_data(as_text=True)
        assert sign_in(client).status_code == 401
