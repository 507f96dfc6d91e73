"""Signing in and out where it goes another way: tokens of one app, pages that are no longer
one's own, paths that are none, and many who are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.audit import Query
from cyme_supd.service.sessions import MOST_REFUSED, REFUSED_EVERY
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World
from tests.unit.test_signing import BROWSER, FORM, KEY, LOCAL, PASSWORD, cookie, sign_in


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    house.service = house.over(house.store, replace(HERE, task_key=KEY))
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        given = {"password": PASSWORD, "role": "admin"}
        assert client.put("/api/users/alice/", json=given, headers=LOCAL).status_code == 201
        yield client


def test_a_token_of_one_app_does_not_sign_in(client: FlaskClient) -> None:
    """The pages are of all apps; whoever signed in so could not even sign out."""
    given = {"role": "admin", "app": "foo"}
    made = client.post("/api/tokens/", json=given, headers=LOCAL).get_json()
    refused = client.post("/admin/login", data={"token": made["token"]}, headers=FORM)
    assert refused.status_code == 403
    assert cookie(client) == ""
    assert "this token is for the routes of app" in refused.get_data(as_text=True)


def test_who_signed_out_elsewhere_is_not_led_back_to_signing_out(client: FlaskClient) -> None:
    sent = client.post("/admin/logout", data={}, headers={**FORM, **BROWSER})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/admin/login?next=%2Fadmin%2F")
    made = sign_in(client, next="/admin/logout")
    assert made.headers["Location"] == "/admin/"


@pytest.mark.parametrize("path", ["/admin/nope/", "/admin/logout"])
def test_people_are_told_on_a_page_that_there_is_none(path: str, client: FlaskClient) -> None:
    sign_in(client)
    shown = client.get(path, headers=BROWSER)
    assert shown.status_code == (405 if path == "/admin/logout" else 404)
    assert shown.mimetype == "text/html"
    assert ("Allow" in shown.headers) == (shown.status_code == 405)
    assert re.search("<h1>The(re is no such route| route has no such method)</h1>", shown.text)
    assert client.get(path).mimetype == "application/json"


def test_an_error_names_things_as_they_are_called(client: FlaskClient) -> None:
    sign_in(client)
    shown = client.get("/admin/apps/FooBar/", headers=BROWSER).get_data(as_text=True)
    assert "<h1>There is no app &#39;FooBar&#39;</h1>" in shown


def test_of_many_who_are_refused_only_so_many_are_written_down(
    client: FlaskClient, house: World
) -> None:
    def refuse(first: int) -> int:
        for number in range(first, first + 2 * MOST_REFUSED):
            peer = {"REMOTE_ADDR": f"127.0.{number // 250}.{number % 250}"}
            sent = {"token": "no token"}
            client.post("/admin/login", data=sent, headers=FORM, environ_overrides=peer)
        with house.store.reading() as view:
            return len(view.audit(Query(verb="refuse", limit=10 * MOST_REFUSED)))

    assert refuse(0) == MOST_REFUSED
    house.clock.sleep(REFUSED_EVERY.total_seconds())
    assert refuse(4 * MOST_REFUSED) == 2 * MOST_REFUSED
