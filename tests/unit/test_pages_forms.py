"""Everything that the interface can is on the pages, and nothing else; and for whom."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from cyme_supd.domain.access import Role
from cyme_supd.web import batches, operations
from cyme_supd.web.app import create_app
from cyme_supd.web.params import Params
from cyme_supd.web.settings import Settings
from tests.unit.pages_support import JOB, PAGES, RUN, Request, put_a_job, put_a_task, requests_of
from tests.unit.service_support import BROKER, World

NAMES = {"app": "foo", "name": "w1", "queue": "tasks", "category": "example"}
#: Where all that changes something is found; by its page, the methods and paths.
WHERE = {
    "": "POST /<app>/pause/, POST /<app>/resume/, POST /<app>/restart/",
    "apps/": "PUT POST /<app>/, POST /<app>/pause/, POST /<app>/resume/",
    "apps/foo/": """
        PUT POST /<app>/, DELETE /<app>/, POST /<app>/start/, POST /<app>/stop/,
        POST /<app>/pause/, POST /<app>/resume/,
        POST /<app>/restart/, POST /<app>/restart/resume/, POST /<app>/restart/abort/
    """,
    "branches/b1/": "POST /branches/<id>/drain/, POST /branches/<id>/undrain/",
    "instances/": """
        PUT POST /<app>/instances/, PUT POST /<app>/instances/<name>/,
        DELETE /<app>/instances/<name>/, POST /<app>/instances/<name>/autoscale/,
        POST /<app>/instances/<name>/enable/, POST /<app>/instances/<name>/disable/,
        POST /<app>/instances/<name>/restart/, POST /<app>/instances/<instance>/pause/,
        POST /<app>/instances/<instance>/resume/
    """,
    "instances/foo/w1/": """
        PUT POST /<app>/instances/<name>/, DELETE /<app>/instances/<name>/,
        POST /<app>/instances/<name>/autoscale/, POST /<app>/instances/<name>/enable/,
        POST /<app>/instances/<name>/disable/, POST /<app>/instances/<name>/restart/,
        POST /<app>/instances/<instance>/pause/, POST /<app>/instances/<instance>/resume/,
        PUT POST /<app>/instances/<name>/queues/<queue>/,
        DELETE /<app>/instances/<name>/queues/<queue>/
    """,
    "queues/": """
        PUT POST /<app>/queues/<queue>/, POST /<app>/queues/<queue>/purge/,
        POST /<app>/queues/<queue>/pause/, POST /<app>/queues/<queue>/resume/
    """,
    "queues/foo/tasks/": """
        PUT POST /<app>/queues/<queue>/, DELETE /<app>/queues/<queue>/,
        POST /<app>/queues/<queue>/purge/, POST /<app>/queues/<queue>/pause/,
        POST /<app>/queues/<queue>/resume/, PUT POST /<app>/queue/<queue>/
    """,
    "jobs/": """
        PUT POST /api/category/<name>/, DELETE /api/category/<name>/, POST /api/jobs/<id>/run/,
        POST /api/jobs/<id>/pause/, POST /api/jobs/<id>/resume/
    """,
    f"jobs/{JOB}/": """
        POST /api/jobs/<id>/run/, POST /api/jobs/<id>/pause/, POST /api/jobs/<id>/resume/
    """,
    "jobs/runs/": "POST /api/runs/prune/",
    f"jobs/runs/{RUN}/": "POST /api/runs/<id>/cancel/",
    "tasks/": """
        POST /api/tasks/retry/, POST /api/tasks/<id>/retry/, POST /api/tasks/<id>/revoke/
    """,
    "tasks/t1/": "POST /api/tasks/<id>/retry/, POST /api/tasks/<id>/revoke/",
    "tasks/t2/": "POST /api/tasks/<id>/revoke/",
    "users/": """
        POST /api/users/, PUT POST /api/users/<name>/, DELETE /api/users/<name>/,
        POST /api/tokens/, DELETE /api/tokens/<id>/
    """,
}
#: What no page has, and why.
ELSEWHERE = {
    "DELETE /instances/<name>/": "the page of an instance knows its app",
    "DELETE /<app>/queues/": "it is refused",
    "VERB /<app>/queue/<queue>/<url>": "the list of one URL is the same, with any method",
}


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        client.put("/foo/queues/tasks/")
        client.put("/foo/queues/mail/")
        client.put("/foo/instances/w1/", json={"queues": ["tasks"]})
        client.put("/foo/instances/w2/")
        put_a_job(client, house)
        put_a_task(house)
        yield client


def rule_of(client: FlaskClient, each: Request, **names: str) -> Rule:
    urls = client.application.url_map.bind("")
    rule, _ = urls.match(each.path_of(**{**NAMES, **names}), each.method, return_rule=True)
    return rule


def change_everything(client: FlaskClient) -> None:
    """To what has the buttons that undo it."""
    client.post("/foo/restart/abort/")
    client.post("/foo/instances/!/w1/disable/")
    client.post("/branches/b1/drain/")
    client.post(f"/api/jobs/{JOB}/pause/")
    for place in ("/!/foo/", "/foo/queues/!/tasks/", "/foo/instances/!/w1/"):
        client.post(f"{place}pause/", json={"reason": "lunch"})
    client.post("/api/users/", json={"name": "alice", "password": "long enough", "role": "admin"})
    client.environ_base.update(HTTP_AUTHORIZATION=basic("alice", "long enough"))
    client.post("/api/tokens/", json={"role": "viewer"})


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def on_page(client: FlaskClient, page: str) -> set[tuple[str, str]]:
    """Methods and paths of all that is on *page*, with and without what may be left out."""
    return {
        (each.method, operations.described_path(rule_of(client, each, **names)))
        for each in requests_of(client, [page])
        for names in ({}, dict.fromkeys(each.optional, ""))
    }


def test_all_that_changes_something_is_on_a_page(client: FlaskClient, house: World) -> None:
    found = {page: on_page(client, page) for page in PAGES}
    house.broker_queues.holds(BROKER, "tasks", 7, 1)
    for change in (lambda: client.post("/foo/restart/"), lambda: change_everything(client)):
        change()
        for page in PAGES:
            found[page] |= on_page(client, page)
    changing = [one for one in operations.operations(client.application) if one.methods != "GET"]
    reached = {
        page: {
            one.key
            for one in changing
            if any((verb, one.path) in seen for verb in one.methods.split())
        }
        for page, seen in found.items()
    }
    expected = {
        page: {" ".join(key.split()) for key in WHERE.get(page, "").split(",")} - {""}
        for page in PAGES
    }
    assert reached == expected
    assert {one.key for one in changing}.difference(*reached.values()) == set(ELSEWHERE)


def test_fields_are_parameters_of_the_route(client: FlaskClient) -> None:
    forms = [each for each in requests_of(client) if each.id]
    assert len(forms) > 15
    for each in forms:
        rest = set(each.fields) - set(each.in_path)
        view = client.application.view_functions[rule_of(client, each).endpoint]
        model: type[Params] | None = getattr(view, "params", None)
        known = set(model.model_fields) if model else set(batches._FIELDS)
        assert rest <= known, each.id
        assert not each.has_trial or "dry_run" in known, each.id


def test_forms_offer_all_that_a_route_takes(client: FlaskClient) -> None:
    # How long to wait, whether secrets are shown, where to go on, and another word for the same.
    aside = {"timeout", "secrets", "dry_run", "after", "vhost"}
    taken: dict[str, set[str]] = {}
    known: dict[str, set[str]] = {}
    for each in requests_of(client):
        rule = rule_of(client, each)
        model = getattr(client.application.view_functions[rule.endpoint], "params", None)
        if model is None:
            continue
        route = f"{each.method} {operations.described_path(rule)}"
        known[route] = set(model.model_fields) - aside
        query = each.path.partition("?")[2]
        by_query = {pair.partition("=")[0] for pair in query.split("&")} - {""}
        taken.setdefault(route, set()).update(each.fields, by_query)
    for route, names in known.items():
        assert names <= taken[route], route


def test_ids_are_different_and_forms_are_kept(client: FlaskClient) -> None:
    for page in PAGES:
        ids = [each.id for each in requests_of(client, [page]) if each.id]
        assert len(ids) == len(set(ids)), page
        text = client.get(f"/admin/{page}").get_data(as_text=True)
        assert all(f'id="{id}" data-keep' in text for id in ids)
        # Nothing is sent where no script does it.
        assert text.count('method="dialog"') == len(ids)


@pytest.mark.parametrize("role", Role)
def test_each_sees_what_they_may_do(client: FlaskClient, role: Role) -> None:
    client.post("/api/users/", json={"name": "root", "password": "long enough", "role": "admin"})
    made = client.post("/api/tokens/", json={"role": role}, auth=("root", "long enough"))
    bearer = {"Authorization": f"Bearer {made.get_json()['token']}"}
    client.environ_base.update(HTTP_AUTHORIZATION=bearer["Authorization"])
    for page in PAGES:
        is_theirs = page != "users/" or role is Role.ADMIN
        answer = client.get(f"/admin/{page}")
        assert answer.status_code == (200 if is_theirs else 403)
        assert ("/admin/users/" in answer.get_data(as_text=True)) == (role is Role.ADMIN)
    found = [each for each in requests_of(client) if "/admin/" not in each.path]
    assert bool(found) == (role is not Role.VIEWER)
    ids = {each.id for each in found}
    assert ("declare" in ids) == (role is not Role.VIEWER)
    assert ("add-app" in ids) == ("add-user" in ids) == ("drain" in ids) == (role is Role.ADMIN)


def test_no_secret_is_in_a_form(client: FlaskClient) -> None:
    client.put(
        "/foo/",
        json={
            "broker": "amqp://me:hunter22@mq//",
            "environment": {"KEY": "hunter22"},
            "result_backend": "redis://:hunter22@r/0",
            "arguments": ["--prefetch-multiplier", "a b"],
        },
    )
    text = client.get("/admin/apps/foo/").get_data(as_text=True)
    assert "hunter22" not in text
    assert "********" in text
    assert 'value="--prefetch-multiplier &#39;a b&#39;"' in text


def test_a_token_is_in_no_page(client: FlaskClient) -> None:
    made = client.post("/api/tokens/", json={"label": "for CI", "role": "admin"}).get_json()
    client.environ_base.update(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    text = client.get("/admin/users/").get_data(as_text=True)
    assert "for CI" in text
    assert made["id"] in text
    # The secret may have a _ of its own.
    secret = made["token"].partition(f"{made['id']}_")[2]
    assert len(secret) > 30
    assert secret not in text


def test_bulk_actions_are_for_all_that_are_shown(client: FlaskClient) -> None:
    for number in range(120):
        client.put(f"/foo/instances/!/n{number:03}/")
    assert "All 122 that are shown, on every page" in shown(client, "instances/")
    assert len(client.get("/admin/matching/").get_json()) == 122
    found = client.get("/admin/matching/?app=foo&q=n01&page=2").get_json()
    assert found == [{"app": "foo", "name": f"n01{number}"} for number in range(10)]
    assert client.get("/admin/matching/?app=bar").get_json() == []
    each = [one for one in requests_of(client, ["instances/"]) if "data-each" in one.said]
    assert len(each) == 7
    for one in each:
        sent = {"max": 3, "min": 1} if "max" in one.fields else None
        answer = client.open(one.path_of(**NAMES), method=one.method, json=sent)
        # Not what one of the others has made impossible.
        assert answer.status_code in (200, 202, 409), one.path


def test_names_that_need_encoding(client: FlaskClient) -> None:
    client.put("/foo/queues/a%2Fb%20!%3F/")
    text = shown(client, "queues/")
    assert "/admin/queues/foo/a%2Fb%20%21%3F/" in text
    text = shown(client, "queues/foo/a%2Fb%20%21%3F/")
    assert "<h1>a/b !?" in text
    for each in requests_of(client, ["queues/foo/a%2Fb%20%21%3F/"]):
        if each.id != "send":
            sent = {"exchange_type": "topic"} if each.id == "edit" else None
            answer = client.open(each.path_of(), method=each.method, json=sent)
            assert answer.status_code == 200, each.path


def test_how_far_a_rolling_restart_is(client: FlaskClient) -> None:
    assert "None yet. One restarts" in shown(client, "apps/foo/")
    client.post("/foo/restart/")
    text = shown(client, "apps/foo/")
    assert "Running: 0 of 2 restarted" in text
    assert '<progress max="2" value="0">' in text
    assert "Restart no more" in text
    client.post("/foo/restart/abort/")
    assert "Go on" in shown(client, "apps/foo/")


def test_what_says_what_to_do_where_there_is_nothing(house: World) -> None:
    app = create_app(Settings(branch="b1"), house.service)
    with app.test_client() as client:
        client.delete("/foo/?force=1")
        assert "Add one below" in shown(client, "apps/")
        assert "It takes an <a" in shown(client, "queues/")
        assert "It takes an <a" in shown(client, "instances/")
        assert "Nobody is known yet" in shown(client, "users/")
        assert 'id="add-app" data-keep open' in shown(client, "apps/")


def test_pages_of_what_is_not_there(client: FlaskClient) -> None:
    for path in ("apps/bar/", "apps/bar/plan/", "apps/bar/orphans/", "branches/b9/"):
        assert "There is no" in shown(client, path, 404)
    assert "has no queue" in shown(client, "queues/foo/none/", 404)


def test_pages_of_many_are_small(client: FlaskClient) -> None:
    for number in range(998):
        client.put(f"/foo/instances/!/worker-{number:04}.example.com/", json={"queues": ["tasks"]})
    for page in PAGES:
        assert len(client.get(f"/admin/{page}").data) < 100_000, page


def shown(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == status
    return answer.get_data(as_text=True)
