"""Who may queue URLs, what is shown and written down of them, and hostile words."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.task import METHODS, Task, TaskState
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import START, World
from tests.unit.url_support import ask, error, the_one, with_a_queue

URI = "/foo/queue/tasks/http://example.com/"
SITE = "https://ui.example"


@pytest.fixture(scope="module")
def made() -> World:
    return with_a_queue()


@pytest.fixture(scope="module")
def client(made: World) -> Iterator[FlaskClient]:
    settings = Settings(branch="b1", server_names=("cyme.example",), cors_origins=(SITE,))
    with create_app(settings, made.service).test_client() as client:
        yield client


@pytest.fixture
def house(made: World) -> World:
    made.publisher.queued.clear()
    return made


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Referer": "https://evil.example/page"},
        {"Referer": "http://localhost:3000/"},
        {"Referer": "http://localhost@evil.example/"},
        {"Referer": "http://localhost.evil.example/"},
        {"Referer": "https://evil.example/", "Sec-Fetch-Site": "none"},
        {"Referer": "http://[evil"},
        {"Referer": "//evil.example/"},
        {"Referer": "ftp://localhost/"},
        {"Referer": "http://localhost/", "Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://localhost/", "Origin": "https://evil.example"},
        {"Host": "evil.example"},
    ],
    ids=str,
)
def test_another_site_queues_nothing(
    headers: dict[str, str], house: World, client: FlaskClient
) -> None:
    for method in METHODS:
        for uri in (URI, "/foo/queue/!/tasks/http://h/", "/foo/queue/tasks/http%3A%2F%2Fh%2F"):
            response = ask(client, uri, method, headers=headers)
            assert response.status_code == 403, (method, uri)
    assert house.publisher.sent() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/admin/"},
        {"Origin": "http://localhost", "Referer": "http://localhost/"},
        {"Origin": SITE, "Referer": f"{SITE}/page", "Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://LOCALHOST/"},
        {"Referer": "HTTP://localhost"},
        {"Referer": "about:blank"},
        {"Referer": ""},
    ],
    ids=str,
)
def test_who_may(headers: dict[str, str], house: World, client: FlaskClient) -> None:
    for method in METHODS:
        assert ask(client, URI, method, headers=headers).status_code == 202, method
    assert len(house.publisher.sent()) == len(METHODS)


def test_what_only_reads_may_be_asked_from_anywhere(house: World, client: FlaskClient) -> None:
    id = ask(client, URI).get_json()["uuid"]
    headers = {"Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}
    response = client.get(f"/foo/query/{id}/state/", headers=headers)
    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers


def test_the_list_of_urls_is_guarded_as_any_change(house: World, client: FlaskClient) -> None:
    sent = {"data": "[]", "content_type": "application/json"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/foo/queue/tasks/", headers=headers, **sent).status_code == 403


def test_a_preflight_queues_nothing(house: World, client: FlaskClient) -> None:
    headers = {"Origin": SITE, "Access-Control-Request-Method": "PATCH"}
    headers["Access-Control-Request-Headers"] = "content-type, X-Forward-Accept, x-other"
    response = ask(client, URI, "OPTIONS", headers=headers)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == SITE
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(allowed) == {"authorization", "content-type", "x-forward-accept"}
    assert (
        ask(client, URI, "OPTIONS", headers={**headers, "Origin": "https://x"}).status_code == 403
    )
    assert house.publisher.sent() == []
    # Not a browser's question: nobody has sent a page.
    del headers["Origin"]
    for method in ("OPTIONS", "GET"):
        assert ask(client, URI, method, headers=headers).status_code == 202
    house.publisher.queued.clear()
    assert ask(client, URI, "OPTIONS", headers={"Origin": SITE}).status_code == 202
    assert the_one(house).method == "OPTIONS"


def test_nothing_of_it_is_cached(house: World, client: FlaskClient) -> None:
    for method in METHODS:
        for uri in (URI, "/foo/queue/tasks/ftp://h/"):
            headers = ask(client, uri, method).headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["Vary"] == "Origin"
            assert headers["X-Content-Type-Options"] == "nosniff"


# Secrets

SECRET_URLS = (
    "http://u:hunter2@h/x",
    "http://:hunter2@h/",
    "http://u:hunter2@h:81?a=http://x:y@z/",
    f"http://{'u' * 300}:hunter2@h/",
    f"http://u:hunter2{'x' * 1100}@h/",
    "http://u:a@b:hunter2@h/",
    "http://h/?password=hunter2",
    "http://h/?a=1&api_key=hunter2&b=2#c",
    "http://h/?my%5Ftoken=hunter2",
    "http://h?Secret=a&secret=hunter2",
)


@pytest.mark.parametrize("url", SECRET_URLS)
def test_secrets_are_neither_shown_nor_written_down(
    url: str, house: World, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shown = ask(client, f"/foo/queue/tasks/{url}")
    assert shown.status_code == 202
    assert the_one(house).url == url
    id = shown.get_json()["uuid"]
    with house.store.writing() as tx:
        tx.save_tasks([Task(id, "foo", TaskState.SUCCESS, {"url": url, "body": ""}, None, START)])
    for response in (shown, client.get(f"/foo/query/{id}/result/")):
        text = response.get_data(as_text=True)
        assert "hunter2" not in text
        assert "********" in text
    for uri in (f"/foo/queu/tasks/{url}", f"/foo/queue//{url}", f"/nope/queue/tasks/{url}"):
        ask(client, uri, "POST")
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/@me",
        "http://h/a:b@c",
        "http://h:81/users/@me?x=a:b@c&key=1",
        "http://u@h/",
        "http://h/?next=http://g:80/@x",
        "http://h/?a=&b",
    ],
)
def test_nothing_else_is_masked(url: str, house: World, client: FlaskClient) -> None:
    assert ask(client, f"/foo/queue/tasks/{url}").get_json()["url"] == url


def test_what_is_masked_can_still_be_read(house: World, client: FlaskClient) -> None:
    response = ask(client, "/foo/queue/tasks/http://u:hunter2@h:81/a?b=c&token=hunter2&d=@#e")
    assert response.get_json()["url"] == "http://u:********@h:81/a?b=c&token=********&d=@#e"
    assert response.get_json()["params"] == {"b": "c", "token": "********", "d": "@"}


def test_a_refusal_does_not_repeat_secrets(house: World, client: FlaskClient) -> None:
    for url in ("http://u:hunter2/", "http://u:hunter2@[::1/", "ftp://u:hunter2@h/", "u:hunter2@h"):
        response = ask(client, f"/foo/queue/tasks/{url}")
        assert response.status_code == 400
        assert "hunter2" not in response.get_data(as_text=True)
        entry = json.dumps([{"url": url, "headers": {"A": "hunter2"}, "data": "hunter2"}])
        response = client.post("/foo/queue/tasks/", data=entry, content_type="application/json")
        assert response.status_code == 400
        assert "hunter2" not in response.get_data(as_text=True)


def test_one_line_at_most(
    house: World, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "cyme_supd.web")
    ask(client, "/foo/queue/tasks/http://u:hunter2@h/?a=b", "DELETE")
    ask(client, "/foo/queue/a%0Ab/http://h/", "HEAD")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "b1: DELETE /foo/queue/tasks/- -> 202"),
        ("DEBUG", "b1: HEAD /foo/queue/a%0Ab/- -> 400"),
    ]


# Hostile words


def test_nobody_says_the_target_in_a_header(house: World, client: FlaskClient) -> None:
    headers = {"cyme.target": "http://h/", "Cyme-Target": "http://h/"}
    response = client.get("/foo/queue/tasks/", headers=headers)
    assert response.status_code == 405
    response = client.get("/", headers=headers, environ_overrides={"cyme.target": "http://h/"})
    assert response.get_json() == ["foo"]


BYTES = st.one_of(
    st.sampled_from("/:@?#[]%!\\.&=;+ \t\r\n\0\x7f\x80\xff0123456789abcdefhtp"),
    st.characters(max_codepoint=255),
)
STARTS = (
    "/foo/queue/tasks/",
    "/foo/queue/!/",
    "/foo/queue/",
    "//foo/queue/t/",
    "/foo%2Fqueue/",
    "/",
)


@given(
    st.sampled_from(STARTS),
    st.sampled_from(("", "http://", "https://h", "http%3A%2F%2F", "http://h/?", "%")),
    st.text(BYTES, max_size=30),
    st.sampled_from(("GET", "POST", "PUT", "HEAD", "TRACE", "DELETE", "OPTIONS")),
)
def test_whatever_bytes_are_sent(start: str, scheme: str, rest: str, method: str) -> None:
    client, house = _hostile()
    house.publisher.queued.clear()
    response = ask(client, start + scheme + rest, method)
    assert response.status_code < 500, response.get_data()
    assert (response.status_code == 202) == bool(house.publisher.queued)
    for request in house.publisher.sent():
        assert request.url.isascii()
        assert request.method == method


@given(
    st.dictionaries(
        st.sampled_from(
            ("Referer", "Origin", "Sec-Fetch-Site", "Content-Type", "X-Forward-A", "Host")
        ),
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20),
    ),
)
def test_whatever_headers_are_sent(headers: dict[str, str]) -> None:
    client, _ = _hostile()
    assert ask(client, URI, headers=headers).status_code in (202, 400, 403)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.just("\ud800"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = {name: JSON for name in ("method", "params", "data", "headers", "x")}


@given(
    st.lists(
        st.one_of(JSON, st.fixed_dictionaries({"url": st.just("http://h/")}, optional=FIELDS)),
        max_size=3,
    )
)
def test_whatever_list_is_sent(entries: list[object]) -> None:
    client, house = _hostile()
    house.publisher.queued.clear()
    body = json.dumps(entries)
    response = client.post("/foo/queue/tasks/", data=body, content_type="application/json")
    assert response.status_code in (202, 400), response.get_data()
    if response.status_code == 202:
        assert len(house.publisher.sent()) == len(entries)
    else:
        error(response)
        assert house.publisher.sent() == []


_MADE: list[tuple[FlaskClient, World]] = []


def _hostile() -> tuple[FlaskClient, World]:
    """Made once: hypothesis asks hundreds of times."""
    if not _MADE:
        house = with_a_queue()
        _MADE.append((create_app(Settings(branch="b1"), house.service).test_client(), house))
    return _MADE[0]
