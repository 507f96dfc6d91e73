"""An application that is tracked, of which nobody has changed a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import pools

from cyme_supd.domain.ledgerstore import TaskQuery, Tracked
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.tracking import Config
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, broker_of, either
from tests.acceptance.harness import BranchHost
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


@pytest.fixture
def producer(host: BranchHost) -> Iterator[Celery]:
    pools.reset()
    broker = host.get("/shop/", secrets=True)["broker"]["url"]
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(Config(queues=["mail", "notes"], broker_url=broker))
        yield app


@pytest.fixture
def shop(host: BranchHost, tmp_path: Path) -> str:
    (tmp_path / "shop.py").write_text(SHOP)
    told: dict[str, Any] = {"celery_app": "shop:app", "directory": str(tmp_path)}
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

    # One that is not tracked any more is forgotten by nobody, and records nothing more.
    host.post("/shop/", 200, tracked=False)
    assert host.get("/shop/tracking/")["is_tracked"] is False
