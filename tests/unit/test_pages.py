"""The pages: what is on them, for whom, and what can never be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.access import Role
from cyme_supd.domain.metrics import MESSAGES, OLDEST, Key, Totals
from cyme_supd.domain.status import Condition, ProcessState
from cyme_supd.domain.transitions import Transition
from cyme_supd.errors import Unavailable
from cyme_supd.service.overview import GOOD_S
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.pages_support import PAGES, put_a_job, put_a_task
from tests.unit.service_support import BROKER, START, World

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        client.put("/foo/queues/tasks/")
        client.put("/foo/instances/w1/", json={"queues": ["tasks"]})
        put_a_job(client, house)
        put_a_task(house)
        yield client


def shown(client: FlaskClient, path: str, status: int = 200, **query: str) -> str:
    answer = client.get(f"/admin/{path}", query_string=query)
    assert answer.status_code == status
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
def test_every_page(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/admin/{path}", headers=BROWSER)
    text = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert text.count("<main") == text.count("</main>") == 1
    assert re.search('aria-current="(page|true)"', text) or "branches" in path
    # Nothing inline, and nobody else is asked.
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]*\s(on\w+|style)=", text)
    assert not re.search(r"<script(?![^>]*\ssrc=\"/admin/static/)", text)
    assert len(text) < 100_000


def test_what_the_pages_need(client: FlaskClient) -> None:
    for link in re.findall(r'"(/admin/static/[^"]+)"', shown(client, "")):
        answer = client.get(link)
        assert answer.status_code == 200
        assert "max-age" in answer.headers["Cache-Control"]
    for script in ("live.js", "log.js"):
        text = client.get(f"/admin/static/{script}").get_data(as_text=True)
        for imported in re.findall(r'from "\./([^"]+)"', text):
            answer = client.get(f"/admin/static/{imported}")
            assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
            # Nothing tells one version of it from another.
            assert "no-cache" in answer.headers["Cache-Control"]
            same = {"If-None-Match": answer.headers["ETag"]}
            assert client.get(f"/admin/static/{imported}", headers=same).status_code == 304
    assert client.get("/admin/static/../base.html").status_code == 404
    assert client.get("/admin/static/base.html").status_code == 404


def test_what_scripts_import_is_there_and_looked_for_anew(client: FlaskClient) -> None:
    seen, left = set(), {"acts.js", "forms.js", "live.js"}
    while left:
        name = left.pop()
        answer = client.get(f"/admin/static/{name}")
        assert answer.status_code == 200, name
        # Its address does not change with its content.
        assert answer.headers["Cache-Control"] == "private, no-cache"
        again = {"If-None-Match": answer.headers["ETag"]}
        assert client.get(f"/admin/static/{name}", headers=again).status_code == 304
        seen.add(name)
        imported = re.findall(r'from "\./([^"]+)";', answer.get_data(as_text=True))
        left |= set(imported) - seen
    assert "request.js" in seen


def test_a_browser_is_sent_there_and_a_program_is_not(client: FlaskClient) -> None:
    sent = client.get("/", headers=BROWSER)
    assert (sent.status_code, sent.headers["Location"]) == (303, "admin/")
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.1"):
        assert client.get("/", headers={"Accept": accept}).get_json() == ["foo"]
    assert client.get("/").get_json() == ["foo"]


def test_a_page_that_is_only_older_is_not_sent_again(client: FlaskClient, house: World) -> None:
    house.clock.listeners.clear()
    for path in PAGES:
        first = client.get(f"/admin/{path}")
        house.clock.sleep(1)
        same = client.get(f"/admin/{path}", headers={"If-None-Match": first.headers["ETag"]})
        assert (same.status_code, same.get_data()) == (304, b""), path
    client.post("/foo/instances/!/w1/autoscale/?max=9")
    other = client.get("/admin/instances/", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_who_needs_somebody_is_first(client: FlaskClient, house: World) -> None:
    assert "Nothing. Every instance that should run does" in shown(client, "")
    looping = Condition("CrashLooping", True, "Backoff", "it ends soon after every start", START)
    house.branch.override = {"ready": False, "conditions": (looping,)}
    client.post("/foo/instances/w1/restart/?timeout=5")
    text = shown(client, "")
    assert "CrashLooping: Backoff, it ends soon after every start" in text
    assert 'class="level ill"' in text


def test_filters(client: FlaskClient) -> None:
    client.put("/foo/instances/other/")
    assert ">w1</a>" in shown(client, "instances/", q="W1")
    assert ">other</a>" not in shown(client, "instances/", q="w1")
    assert "None like that" in shown(client, "instances/", level="ill")
    assert "None like that" in shown(client, "instances/", app="bar")
    assert ">w1</a>" in shown(client, "instances/", app="", level="", q="", page="x")
    assert "create instance" in shown(client, "audit/", name="w1")
    assert "Nothing yet" in shown(client, "audit/", name="w2")


def test_many_are_shown_in_parts(client: FlaskClient) -> None:
    for number in range(120):
        client.put(f"/foo/instances/!/n{number:03}/")
    text = shown(client, "instances/")
    assert "121 of them, page 1 of 2" in text
    assert text.count("/admin/instances/foo/") == 100
    assert shown(client, "instances/", page="2").count("/admin/instances/foo/") == 21


@pytest.mark.parametrize(
    ("path", "query", "kinds"),
    [
        ("", "", "depth per_s processes"),
        ("apps/foo/", "?app=foo", "depth oldest_s per_s processes"),
        ("instances/foo/w1/", "?app=foo&amp;instance=w1", "per_s processes"),
        ("queues/foo/a%2Fb%20&/", "?app=foo&amp;queue=a%2Fb+%26", "depth oldest_s"),
    ],
)
def test_charts_are_of_what_the_page_is_about(
    client: FlaskClient, path: str, query: str, kinds: str
) -> None:
    client.put("/foo/queues/a%2Fb%20&/")
    text = client.get(f"/admin/{path}").get_data(as_text=True)
    found = re.findall(r'data-samples="([^"]+)" data-kinds="([^"]+)"', text)
    assert found == [(f"/api/samples/{query}", kinds)]
    assert "No samples yet" in text
    assert client.get(found[0][0].replace("&amp;", "&")).status_code == 200


def test_queues_in_which_most_waits_come_first(
    client: FlaskClient, house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put("/foo/queues/mail/")
    assert "nothing waits, as far as is known" in shown(client, "")
    gauges: dict[Key, float] = {
        (MESSAGES.name, ("foo", "tasks")): 900.0,
        (MESSAGES.name, ("foo", "mail")): 2.0,
        (OLDEST.name, ("foo", "mail")): 7300.0,
    }
    monkeypatch.setattr(house.service.metrics, "totals", lambda: Totals({}, gauges))
    house.clock.sleep(GOOD_S)
    text = shown(client, "")
    rows = re.findall(r">foo</a><td>(\d+)<td>([^\n]+)", text)
    assert rows == [("2", "2 h"), ("900", "not known")]


def test_how_an_instance_changed_is_on_its_page(client: FlaskClient, house: World) -> None:
    assert "It has not in the last seven days" in shown(client, "instances/foo/w1/")
    change = Transition("w1", START, ProcessState.BACKOFF, False, None, "Exited")
    with house.store.writing() as tx:
        tx.save_transitions([change])
    text = shown(client, "instances/foo/w1/")
    assert "<td>BACKOFF<td>no<td>not known<td>Exited" in text
    assert 'data-place="/foo/instances/w1/"' in text


def test_what_is_vendored_has_its_licence(client: FlaskClient) -> None:
    answer = client.get("/admin/static/uPlot.LICENSE")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert "MIT" in answer.get_data(as_text=True)
    script = client.get("/admin/static/uPlot.min.js").get_data(as_text=True)
    # The policy of the pages lets nobody set a style as text, or run one.
    for word in ("cssText", 'setAttribute("style"', "eval(", "new Function", "innerHTML"):
        assert word not in script


def test_each_button_is_a_request_of_the_interface(client: FlaskClient) -> None:
    text = shown(client, "instances/foo/w1/")
    found = re.findall(r'data-method="(\w+)" data-path="([^"]+)"', text)
    assert ("POST", "/foo/instances/!/w1/disable/") in found
    for method, path in found:
        answer = client.open(path.replace("&amp;", "&"), method=method)
        # Not what a button of the moment before has made impossible.
        assert answer.status_code in (200, 202, 409), path


def test_who_may_only_look_has_no_buttons(client: FlaskClient) -> None:
    app = client.application

    def become_a_viewer() -> None:
        from flask import g

        g.role = Role.VIEWER

    app.before_request_funcs.setdefault(None, []).append(become_a_viewer)
    for path in PAGES:
        assert "data-path" not in shown(client, path)


def test_what_somebody_has_typed_is_text(client: FlaskClient, house: World) -> None:
    client.put("/foo/", json={"directory": EVIL})
    client.post("/foo/instances/w1/pause/", json={"reason": EVIL})
    client.get("/foo/", headers={"User-Agent": EVIL})
    client.put("/foo/instances/w1/", json={"pool": "solo"}, headers={"User-Agent": EVIL})
    with house.store.writing() as tx:
        tx.save_app(replace(tx.app("foo"), user=EVIL))
    for path in PAGES:
        assert EVIL not in shown(client, path)
        assert EVIL not in shown(client, path, q=EVIL, app=EVIL, name=EVIL, level=EVIL)


def test_what_is_not_there(client: FlaskClient) -> None:
    text = shown(client, "instances/foo/w9/", 404)
    assert "<h1>There is no instance" in text
    assert "w9" in text
    assert client.get("/admin/nothing/").status_code == 404
    assert client.post("/admin/").status_code == 400
    assert client.post("/admin/audit/").status_code == 405


def test_where_the_store_is_away(client: FlaskClient, house: World) -> None:
    house.store.failure = Unavailable("the database is locked", "try again")
    for path in PAGES:
        text = shown(client, path, 503)
        assert "The database is locked" in text
        assert "try again" in text


def test_queues_are_asked_for_together(client: FlaskClient, house: World) -> None:
    client.put("/bar/")
    client.put("/bar/queues/tasks/", json={"exchange": "other"})
    house.broker_queues.holds(BROKER, "tasks", 7)
    house.broker_queues.asked.clear()
    found = client.get("/api/queues/").get_json()["data"]["queues"]
    assert [(each["app"], each["exchange"], each["depth"]) for each in found] == [
        ("bar", "other", 7),
        ("foo", "tasks", 7),
    ]
    assert house.broker_queues.asked == [(BROKER, "tasks")]
    house.broker_queues.breaks(BROKER)
    assert "not known" in shown(client, "queues/")
