"""Requests through proxies: who is believed, and who is behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import request
from flask.testing import FlaskClient

from cyme_supd.domain.access import local_token
from cyme_supd.service.guesses import GUESSES
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World, declare

PASSWORD = "correct horse"
KEY = b"k" * 32
LOCAL = {"Authorization": f"Bearer {local_token(KEY)}"}
NAMED = ("127.0.0.1/32", "10.1.0.0/16")
SETTINGS = Settings(branch="b1", server_names=("cyme.example",), trusted_proxies=NAMED)
#: What the proxy of conf/nginx.conf says.
SAID = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "cyme.example",
    "X-Forwarded-Prefix": "/cyme",
}
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


def clients(house: World, settings: Settings) -> FlaskClient:
    service = house.over(house.store, replace(HERE, task_key=KEY))
    return create_app(settings, service).test_client()


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    """One that named its proxies, and knows somebody."""
    declare(house, "tasks")
    client = clients(house, SETTINGS)
    with client:
        given = {"password": PASSWORD, "role": "admin"}
        assert client.put("/api/users/alice/", json=given, headers=LOCAL).status_code == 201
        yield client


def seen(client: FlaskClient, peer: str, headers: dict[str, str]) -> dict[str, Any]:
    """What the application takes a request for."""
    found: dict[str, Any] = {}

    def look() -> None:
        found.update(
            address=request.remote_addr,
            scheme=request.scheme,
            host=request.host,
            root=request.script_root,
        )

    client.application.before_request_funcs[None].insert(0, look)
    client.get("/ping/", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    client.application.before_request_funcs[None].remove(look)
    return found


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"])
def test_a_named_one_is_believed(peer: str, client: FlaskClient) -> None:
    assert seen(client, peer, SAID) == {
        "address": "203.0.113.9",
        "scheme": "https",
        "host": "cyme.example",
        "root": "/cyme",
    }


@pytest.mark.parametrize("peer", ["127.0.0.2", "10.2.0.1", "203.0.113.9", "::1", ""])
def test_another_is_not(peer: str, client: FlaskClient) -> None:
    expected = {"address": peer, "scheme": "http", "host": "localhost", "root": ""}
    assert seen(client, peer, SAID) == expected


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
        # Of proxies behind one another it is the first that is not named.
        ("1.2.3.4, 203.0.113.9, 10.1.0.7", "203.0.113.9"),
        ("10.1.0.9, 203.0.113.9, 10.1.0.7", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("10.1.0.9, 10.1.0.7", "10.1.0.9"),
        ("unknown", "127.0.0.1"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("203.0.113.9, evil\x01, 10.1.0.7", "10.1.0.7"),
        ("", "127.0.0.1"),
    ],
)
def test_whose_address_counts(said: str, address: str, client: FlaskClient) -> None:
    headers = {"X-Forwarded-For": said.replace("\x01", "~")}
    assert seen(client, "127.0.0.1", headers)["address"] == address


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("X-Forwarded-Proto", "https", {"scheme": "https"}),
        ("X-Forwarded-Proto", "javascript", {"scheme": "http"}),
        ("X-Forwarded-Prefix", "/cyme/", {"root": "/cyme"}),
        ("X-Forwarded-Prefix", "/", {"root": ""}),
        ("X-Forwarded-Prefix", "//evil.example", {"root": ""}),
        ("X-Forwarded-Prefix", "https://evil.example", {"root": ""}),
        ("X-Forwarded-Prefix", '/"><script>', {"root": ""}),
        ("X-Forwarded-Prefix", "/evil, /cyme", {"root": "/cyme"}),
    ],
)
def test_what_makes_no_sense_is_left_out(
    name: str, value: str, expected: dict[str, str], client: FlaskClient
) -> None:
    found = seen(client, "127.0.0.1", {name: value})
    assert found.items() >= expected.items()


def test_a_foreign_name_is_refused_of_a_named_one_too(client: FlaskClient) -> None:
    said = {**SAID, "X-Forwarded-Host": "evil.example"}
    assert client.get("/ping/", headers=said).status_code == 403


# Who is behind one


@pytest.mark.parametrize("names", [(), NAMED])
@pytest.mark.parametrize(
    "said",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_nobody_behind_a_proxy_is_on_the_host(
    names: tuple[str, ...], said: dict[str, str], house: World
) -> None:
    with clients(house, replace(SETTINGS, trusted_proxies=names)) as client:
        # Nobody is known: they are let in on the host, and not through a proxy.
        assert client.get("/foo/").status_code == 200
        assert client.get("/foo/", headers=said).status_code == 401
        assert client.get("/foo/", headers={**said, **LOCAL}).status_code == 401
        assert client.get("/health/", headers=said).get_json().keys() == {"ok"}
        url = "/foo/queue/tasks/http://example.com/"
        assert client.get(url, headers=said).status_code == 401
        shown = client.get("/admin/login", headers={**said, **BROWSER}).get_data(as_text=True)
        assert "cyme createsuperuser" in shown
        # The branch's own pages ask it what a proxy's client may.
        assert client.get("/admin/", headers={**said, **BROWSER}).status_code == 303


def test_one_that_is_to_be_open_is_open_behind_a_proxy(house: World) -> None:
    with clients(house, replace(SETTINGS, is_insecure=True)) as client:
        assert client.get("/foo/", headers=SAID).status_code == 200
        assert client.get("/admin/", headers=SAID).status_code == 200


def test_who_guesses_is_known_by_the_address_behind(client: FlaskClient) -> None:
    for _ in range(GUESSES):
        assert client.get("/", auth=("alice", "wrong"), headers=SAID).status_code == 401
    assert client.get("/", auth=("alice", PASSWORD), headers=SAID).status_code == 429
    other = {**SAID, "X-Forwarded-For": "203.0.113.9, 203.0.113.10"}
    assert client.get("/", auth=("alice", PASSWORD), headers=other).status_code == 200


def test_changes_are_written_down_with_the_address_behind(client: FlaskClient) -> None:
    kind: dict[str, Any] = {"auth": ("alice", PASSWORD), "headers": SAID}
    assert client.put("/foo/", json={"pool": "solo"}, **kind).status_code == 200
    events = client.get("/api/audit/", **kind).get_json()["data"]["events"]
    assert events[0]["address"] == "203.0.113.9"


def test_rates_are_counted_by_the_address_behind(house: World) -> None:
    with clients(house, replace(SETTINGS, api_rate=2, processes=1)) as client:
        codes = [client.get("/nope/", headers=SAID).status_code for _ in range(8)]
        assert 429 in codes
        other = {**SAID, "X-Forwarded-For": "203.0.113.10"}
        assert client.get("/nope/", headers=other).status_code != 429


# Below a prefix


def test_signing_in_below_a_prefix(client: FlaskClient) -> None:
    asked = client.get("/admin/audit/", headers={**SAID, **BROWSER})
    place = asked.headers["Location"]
    assert place == "/cyme/admin/login?next=%2Fadmin%2Faudit%2F"
    shown = client.get(place.removeprefix("/cyme"), headers=SAID).get_data(as_text=True)
    assert 'action="/cyme/admin/login"' in shown
    assert 'href="/cyme/admin/static/admin.css' in shown
    sent = {"name": "alice", "password": PASSWORD, "next": "/admin/audit/"}
    kind = {"headers": {**SAID, "Origin": "https://cyme.example"}}
    made = client.post("/admin/login", data=sent, **kind)
    assert (made.status_code, made.headers["Location"]) == (303, "/cyme/admin/audit/")
    assert made.headers["Set-Cookie"].startswith("__Host-cyme=")


def test_everything_leads_below_the_prefix(client: FlaskClient) -> None:
    kind: dict[str, Any] = {"auth": ("alice", PASSWORD), "headers": {**SAID, **BROWSER}}
    client.put("/foo/instances/w1/", auth=("alice", PASSWORD), headers=SAID)
    for path in ("", "instances/", "instances/foo/w1/", "queues/", "decisions/", "audit/"):
        text = client.get(f"/admin/{path}", **kind).get_data(as_text=True)
        for found in text.split('="/')[1:]:
            assert found.startswith("cyme/"), (path, found[:60])
    assert client.get("/api/openapi.json", **kind).get_json()["servers"] == [{"url": "/cyme"}]
    docs = client.get("/api/docs", **kind).get_data(as_text=True)
    assert "https://cyme.example/cyme/" in docs
    assert client.get("/", **kind).headers["Location"] == "admin/"
    queued = client.get("/foo/queue/tasks/http://example.com/", **kind)
    assert queued.headers["Location"].startswith("/cyme/foo/query/")
    linked = client.get("/foo/instances/?limit=1", **kind).headers.get("Link", "")
    assert not linked or "/cyme/" in linked or not linked.startswith("</")
