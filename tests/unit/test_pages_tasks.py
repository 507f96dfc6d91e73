"""What the pages of tracked tasks show, and of whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import EVENTS, NEVER_RECEIVED, Gap, Refusal
from cyme_supd.web.admin.rendering import ROWS
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, START, World, put
from tests.unit.test_pages import EVIL
from tests.unit.whole_support import AGAIN, SOURCE

AT = START.timestamp()
#: Characters that a page may have.
LARGEST = 200_000


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        client.put("/foo/", json={"tracked": True})
        put(house)
        yield client


@pytest.fixture
def tasks(house: World) -> None:
    facts = {"name": "mail.send", "routing_key": "mail", "args": "('ann',)"}
    failed = {"error": "ValueError('x')", "traceback": "Traceback: here", "worker": f"w1@{HERE.id}"}
    with house.store.recording() as tx:
        tx.observe(
            SOURCE,
            [
                observed("t1", AT - 9, "FAILURE", 0, root="t0", **facts, **failed),
                observed("a/b", AT - 8, "STARTED", 0, parent="t1", **facts),
                observed("gone", AT - 7, "SENT", 0, **facts),
            ],
            {"t1": AGAIN},
        )
        tx.observe(SOURCE, [observed("kid", AT - 6, "STARTED", 0, parent="t1", **facts)])
        tx.mark_lost([each.number for each in tx.tracked_with("gone")], NEVER_RECEIVED)
        tx.add_gap(Gap(SOURCE, EVENTS, AT - 6, AT - 5, "the broker was started anew"))
        tx.refuse([Refusal(SOURCE, AT - 4, "content type", "pickle", "application/x-python")])


def shown(client: FlaskClient, path: str = "", status: int = 200) -> str:
    answer = client.get(f"/admin/tasks/{path}")
    assert answer.status_code == status
    return answer.get_data(as_text=True)


def test_where_there_is_nothing_yet(client: FlaskClient) -> None:
    text = shown(client)
    assert "None yet" in text
    assert "/foo/tracking/" in text
    assert "None." in shown(client, "errors/")
    assert "None: all" in shown(client, "refusals/")


@pytest.mark.usefixtures("tasks")
def test_tasks(client: FlaskClient) -> None:
    text = shown(client)
    assert text.index('tasks/gone/"') < text.index('tasks/a%2Fb/"') < text.index('tasks/t1/"')
    assert '<span class="level ill">lost, SENT</span>' in text
    assert "the broker was started anew" in text
    assert 'data-path="/api/tasks/!/t1/retry/"' in text
    assert 'data-path="/api/tasks/!/a%2Fb/revoke/"' in text
    text = shown(client, "?state=FAILURE&q=ann&app=foo")
    assert "tasks/t1/" in text
    assert "tasks/gone/" not in text
    assert "None like that" in shown(client, "?worker=none")


@pytest.mark.usefixtures("tasks")
def test_pages_of_them(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyme_supd.web.admin.tasks.ROWS", 2)
    text = shown(client, "?name=mail.send")
    assert "name=mail.send&amp;after=" in text
    after = text.partition("after=")[2].partition('"')[0]
    rest = shown(client, f"?name=mail.send&after={after}")
    assert "tasks/t1/" in rest
    assert 'rel="next"' not in rest


@pytest.mark.usefixtures("tasks")
def test_one_of_them(client: FlaskClient) -> None:
    text = shown(client, "t1/")
    assert "Traceback: here" in text
    assert '/admin/instances/foo/w1/">w1</a>' in text
    assert 'href="/foo/instances/w1/log/?bytes=1048576&amp;q=t1"' in text
    assert '/admin/tasks/t0/">t0</a>' in text
    assert '/admin/tasks/a%2Fb/">mail.send</a>' in text
    assert "/api/tasks/!/t1/retry/?force=1" in text
    text = shown(client, "kid/")
    assert '/admin/tasks/t1/">t1</a>' in text
    assert "/api/tasks/!/kid/revoke/?terminate=1" in text
    assert "thought lost" in shown(client, "gone/")
    assert "is recorded" in shown(client, "none/", 404)


@pytest.mark.usefixtures("tasks")
def test_failures_and_refusals(client: FlaskClient) -> None:
    text = shown(client, "errors/?name=mail.send")
    assert "tasks/?name=mail.send&amp;state=FAILURE&amp;error=ValueError" in text
    assert "pickle" in shown(client, "refusals/?app=foo")


def test_what_others_wrote_is_text(client: FlaskClient, house: World) -> None:
    facts: dict[str, Any] = dict.fromkeys(
        ("name", "args", "kwargs", "error", "result", "traceback", "worker", "routing_key"), EVIL
    )
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed(EVIL, AT, "FAILURE", 0, parent=EVIL, **facts)])
        tx.refuse([Refusal(SOURCE, AT, EVIL[:32], EVIL, EVIL, EVIL, EVIL.encode())])
    for path in ("", "errors/", "refusals/"):
        assert EVIL not in shown(client, path)


@pytest.mark.usefixtures("tasks")
def test_a_viewer_has_no_buttons(client: FlaskClient) -> None:
    made = client.post("/api/users/", json={"name": "ann", "role": "admin", "password": "a" * 12})
    assert made.status_code == 201
    admin = ("ann", "a" * 12)
    body = {"name": "bob", "role": "viewer", "password": "b" * 12}
    assert client.post("/api/users/", json=body, auth=admin).status_code == 201
    for path in ("", "t1/"):
        text = client.get(f"/admin/tasks/{path}", auth=("bob", "b" * 12)).get_data(as_text=True)
        assert "mail.send" in text
        assert "data-method" not in text
    answer = client.post("/api/tasks/t1/retry/", auth=("bob", "b" * 12))
    assert answer.status_code == 403


def test_a_page_of_long_words_is_not_large(client: FlaskClient, house: World) -> None:
    long = ("<é'" * 2000)[:4096]
    facts: dict[str, Any] = dict.fromkeys(("name", "args", "error", "worker", "routing_key"), long)
    tasks = [observed(f"t{i}", AT + i, "FAILURE", 0, parent="p", **facts) for i in range(ROWS + 9)]
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed("p", AT, "SUCCESS", 0), *tasks])
        refused = Refusal(SOURCE, AT, "content type", long[:4096], long[:255], long[:4096])
        tx.refuse([refused] * ROWS)
    for path in ("", "p/", "errors/", "refusals/"):
        assert len(shown(client, path)) < LARGEST, path
    text = shown(client, "p/")
    assert text.count('data-path="/api/tasks/!/t') == ROWS
    assert f"the latest {ROWS} of {ROWS + 9}" in text


@pytest.mark.usefixtures("tasks")
def test_what_is_exported_is_all_that_match(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyme_supd.web.admin.tasks.ROWS", 1)
    after = shown(client, "?state=STARTED").partition("after=")[2].partition('"')[0]
    text = shown(client, f"?state=STARTED&after={after}&other=1")
    assert 'href="/api/tasks/export/?state=STARTED"' in text
    assert 'errors/?state=STARTED"' in text
    assert "/api/tasks/?state=STARTED'" in text
    assert 'href="/api/tasks/export/"' in shown(client, f"?after={after}")


@pytest.mark.usefixtures("tasks")
def test_to_send_an_exception_again_its_form_is_unfolded(client: FlaskClient) -> None:
    unfolded = '<details class="form" id="retry" data-keep open>'
    assert unfolded in shown(client, "?state=FAILURE&error=ValueError")
    assert unfolded not in shown(client, "?state=FAILURE")


def test_how_a_producer_joins_where_nothing_is_recorded(client: FlaskClient) -> None:
    client.put("/bar/")
    client.put("/foo/queues/mail/")
    text = shown(client)
    assert "app.config_from_object(Config(queues=[&#34;mail&#34;]))" in text
    assert "platform.fifo" in text
    assert '/admin/apps/foo/">foo</a>' in text
    assert '/admin/apps/bar/">bar</a>' not in text


def test_what_others_wrote_turns_nothing_beside_it_around(
    client: FlaskClient, house: World
) -> None:
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed("\u05d0", AT, "FAILURE", 0, name="\u202ename")])
    text = shown(client, "%D7%90/")
    assert "<h1><bdi>\u202ename</bdi>" in text
    assert "<small><bdi>\u05d0</bdi></small>" in text


@pytest.mark.parametrize("id", [".", ".."])
def test_no_button_asks_for_another_place(client: FlaskClient, house: World, id: str) -> None:
    """A browser takes such a segment away, with the one before it."""
    with house.store.recording() as tx:
        tx.observe(SOURCE, [observed(id, AT, "FAILURE", 0, name="mail.send")])
    text = shown(client)
    assert "mail.send" in text
    assert f"/!/{id}/" not in text
    assert f'/tasks/{id}/"' not in text
