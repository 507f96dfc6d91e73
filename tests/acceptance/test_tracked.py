"""An application that is tracked, of which nobody has changed a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from celery import Celery
from kombu import pools

from cyme_supd.domain.ledgerstore import TaskQuery, Tracked
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.tracking import Config
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, broker_of, either
from tests.acceptance.harness import BranchHost
from tests.acceptance.pages import look
from tests.browser import browser
from tests.support import eventually

#: Knows nothing of Cyme, and publishes a task of its own.
SHOP = """\
from celery import Celery

app = Celery("shop")


@app.task(name="mail.send")
def send(address):
    note.apply_async((address,), queue="notes")
    return address


@app.task(name="notes.note")
def note(address):
    raise ValueError(address)
"""
WITHIN_S = 40.0


@pytest.fixture(scope="module", params=either(EMBEDDED, RABBITMQ))
def broker(request: pytest.FixtureRequest) -> str | None:
    return broker_of(request)


@pytest.fixture(scope="module")
def producer(host: BranchHost, shop: str) -> Iterator[Celery]:
    pools.reset()
    broker = host.get("/shop/", secrets=True)["broker"]["url"]
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(Config(queues=["mail", "notes"], broker_url=broker))
        yield app


@pytest.fixture(scope="module")
def shop(host: BranchHost, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(SHOP)
    told: dict[str, Any] = {"celery_app": "shop:app", "directory": str(folder)}
    host.post("/shop/", 201, tracked=True, **told)
    for queue in ("mail", "notes"):
        host.post(f"/shop/queues/{queue}/", 201)
    host.make("shop", "w1", queues="mail,notes")
    return "shop"


def recorded(host: BranchHost) -> dict[str, Tracked]:
    store = SqlStore(sqlite_url(host.root / "branch.db"), "memory://")
    try:
        with store.reading() as view:
            tasks = view.tracked(TaskQuery()).tasks
            return {str(each.record.get("name")): each for each in tasks}
    finally:
        store.close()


def test_what_it_publishes_is_recorded(host: BranchHost, shop: str, producer: Celery) -> None:
    joining = host.get("/shop/tracking/")
    assert joining["is_tracked"] is True
    assert joining["line"] == 'app.config_from_object(Config(queues=["mail", "notes"]))'
    eventually(lambda: host.get("/shop/tracking/")["seen"], WITHIN_S)
    id = producer.send_task("mail.send", ("ann",)).id

    def ended() -> Any:
        found = recorded(host)
        states = {name: each.record.state for name, each in found.items()}
        assert states == {"mail.send": "SUCCESS", "notes.note": "FAILURE"}
        return found

    found = eventually(ended, WITHIN_S)
    sent, note = found["mail.send"].record, found["notes.note"].record
    assert (sent.id, note.get("parent"), note.get("root")) == (id, id, id)
    assert (sent.get("routing_key"), note.get("routing_key")) == ("mail", "notes")
    assert sent.get("worker") == f"w1@{host.id}"
    assert note.get("error") == "ValueError('ann')"


def test_what_failed_is_sent_again_from_its_page(host: BranchHost, producer: Celery) -> None:
    with browser(f"http://127.0.0.1:{host.port}") as page:
        page.open("/admin/tasks/errors/")
        page.sees("ValueError", row="ValueError")
        page.click("ValueError")
        page.sees("notes.note", row="notes.note")
        page.send("retry", "What would that do?")
        page.sees("1 of 1 would be sent.", of="#retry [data-said]")
        page.click("notes.note")
        page.sees("Traceback")
        page.open(page.path)
        page.click("Retry")
        assert page.answer().startswith("Send it again")
        page.sees("sent as", of="#said")
        # The page hears of the new one by itself, and of its end.
        page.sees("FAILURE", row="notes.note", within_s=WITHIN_S)
        assert page.is_the_same
        page.click("notes.note", row="notes.note")
        page.sees("Retry of")
        retried = page.path
        long = "<b>x" * 50
        producer.send_task("\u202e" + long, queue="mail", task_id=long)
        long_one = f"/admin/tasks/{quote(long, safe='')}/"
        eventually(lambda: host.client.get(long_one).status_code == 200, WITHIN_S)
        for name, path in (
            ("tasks", "/admin/tasks/"),
            ("task", retried),
            ("task-long", long_one),
            ("failures", "/admin/tasks/errors/"),
            ("refusals", "/admin/tasks/refusals/"),
        ):
            look(page, name, path)
        assert page.faults() == []
        assert page.asked_others() == []


def test_what_is_tracked_no_more(host: BranchHost, shop: str) -> None:

    host.post("/shop/", 200, tracked=False)
    assert host.get("/shop/tracking/")["is_tracked"] is False
