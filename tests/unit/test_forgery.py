"""No change by a page that is not ours: every route that there is, in every way to ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.access import SAFE_METHODS, local_token
from cyme_supd.domain.sessions import forgery_token
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World, declare

PASSWORD = "correct horse"
KEY = b"k" * 32
LOCAL = {"Authorization": f"Bearer {local_token(KEY)}"}
OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
URL = "/foo/queue/tasks/http://example.com/"
ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "X-CSRF-Token": "x"},
)
#: It has no session yet: its own rules are in test_signing.py.
LOGIN = ("POST", "/admin/login")


@pytest.fixture
def house(house: World) -> World:
    declare(house, "tasks")
    house.service = house.over(house.store, replace(HERE, task_key=KEY))
    return house


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


@pytest.fixture
def known(client: FlaskClient) -> FlaskClient:
    given = {"password": PASSWORD, "role": "admin"}
    assert client.put("/api/users/alice/", json=given, headers=LOCAL).status_code == 201
    sent = {"name": "alice", "password": PASSWORD}
    assert client.post("/admin/login", data=sent, headers=OWN).status_code == 303
    return client


def changes(client: FlaskClient) -> list[tuple[str, str]]:
    """A method and a path for every route that changes something."""
    made = [
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"\1", rule.rule))
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - SAFE_METHODS
    ]
    # To queue a URL is a change, whatever the verb.
    made += [(method, URL) for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")]
    made += [("GET", URL.replace("/queue/", "/queue/!/"))]
    assert len(made) > 60
    return made


def code(answer: TestResponse) -> tuple[int, str]:
    body = answer.get_json(silent=True) or {}
    return answer.status_code, body.get("error", {}).get("message", "")


def test_no_change_by_cookie_without_the_pages_token(known: FlaskClient) -> None:
    for method, path in changes(known):
        if (method, path) == LOGIN:
            continue
        for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": forgery_token("other")}):
            answer = known.open(path, method=method, headers={**OWN, **wrong})
            assert answer.status_code == 403, (method, path, wrong)
            assert b"by who signed in has to" in answer.data or method == "HEAD"
    assert known.get("/foo/").get_json()["instances"] == []


def test_no_change_from_elsewhere(known: FlaskClient) -> None:
    token = {"X-CSRF-Token": forgery_token(known.get_cookie("cyme-80").value)}  # type: ignore[union-attr]
    for method, path in changes(known):
        for there in ELSEWHERE:
            for who in (token, LOCAL, {"Authorization": "Basic YWxpY2U6eA=="}):
                answer = known.open(path, method=method, headers={**who, **there})
                assert answer.status_code == 403, (method, path, there)
                assert b"another site" in answer.data or method == "HEAD"


def test_no_change_from_elsewhere_while_nobody_is_known(client: FlaskClient) -> None:
    for method, path in changes(client):
        for there in ELSEWHERE:
            assert client.open(path, method=method, headers=there).status_code == 403


def test_with_the_token_it_is_done(known: FlaskClient) -> None:
    token = forgery_token(known.get_cookie("cyme-80").value)  # type: ignore[union-attr]
    right = {**OWN, "X-CSRF-Token": token}
    assert known.put("/foo/instances/!/w1/", headers=right).status_code == 202
    assert known.get(URL, headers=right).status_code == 202
    assert known.post("/foo/stop/?dry_run=1", headers=right).status_code == 200
    assert known.post("/foo/stop/?dry_run=1", headers=OWN).status_code == 403
    # A form of the interface's has no such field: only pages have forms.
    assert known.post("/foo/stop/", data={"csrf_token": token}, headers=OWN).status_code == 403
    # Nothing is asked of who just looks.
    assert known.get("/foo/").status_code == 200


def test_a_link_from_elsewhere_opens_a_page_and_queues_nothing(known: FlaskClient) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert known.get("/admin/", headers=followed).status_code == 200
    assert known.get(URL, headers=followed).status_code == 403


def test_who_says_who_they_are_needs_no_token(known: FlaskClient) -> None:
    assert known.put("/bar/", auth=("alice", PASSWORD)).status_code == 201
    assert known.post("/bar/stop/", headers=LOCAL).status_code == 200


def test_a_site_that_was_let_in_has_no_token(house: World) -> None:
    settings = Settings(branch="b1", cors_origins=("https://ui.example",))
    with create_app(settings, house.service).test_client() as client:
        client.put("/api/users/alice/", json={"password": PASSWORD}, headers=LOCAL)
        sent = {"name": "alice", "password": PASSWORD}
        there = {"Origin": "https://ui.example", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/admin/login", data=sent, headers=there).status_code == 403
        client.post("/admin/login", data=sent, headers=OWN)
        assert client.post("/foo/stop/", headers=there).status_code == 403
