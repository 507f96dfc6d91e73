"""What the pages of tracked tasks show, and of whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import EVENTS, NEVER_RECEIVED, Gap, Refusal
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, START, World, put
from tests.unit.test_pages import EVIL
from tests.unit.whole_support import AGAIN, SOURCE

AT = START.timestamp()


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
