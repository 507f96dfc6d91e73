"""Things to store, and short ways to store them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Status

AT = datetime(2011, 8, 15, 22, 6, 43, 1, tzinfo=UTC)
DEFAULT = "redis://:secret@127.0.0.1:6379/0"


def app(name: str = "foo", **given: Any) -> App:
    return App(name, given.pop("created_at", AT), **given)


def queue(name: str = "tasks", app: str = "foo", **given: Any) -> Queue:
    defaults = {
        "exchange": name,
        "exchange_type": "direct",
        "routing_key": name,
        "options": {},
        "created_at": AT,
    }
    return Queue(app=app, name=name, **{**defaults, **given})


def instance(name: str = "w1", app: str = "foo", **given: Any) -> Instance:
    return Instance(name, app, **{"branch": "b1", "created_at": AT, **given})


def branch(id: str = "b1", **given: Any) -> Branch:
    defaults = {
        "url": "http://127.0.0.1:8000",
        "port": 8000,
        "version": "0.1.0",
        "sup_interval": 2.5,
        "numc": 2,
        "loglevel": "INFO",
        "logfile": None,
        "started_at": AT,
    }
    return Branch(id, **{**defaults, **given})


def fill(store: Store, *things: App | Queue | Instance) -> None:
    with store.writing() as transaction:
        for thing in things:
            add(transaction, thing)


def add(transaction: Transaction, thing: App | Queue | Instance) -> None:
    if isinstance(thing, App):
        transaction.add_app(thing)
    elif isinstance(thing, Queue):
        transaction.add_queue(thing)
    else:
        transaction.add_instance(thing)


def observe(store: Store, *statuses: Status) -> None:
    with store.writing() as transaction:
        transaction.save_statuses(statuses)


def pending(store: Store, branch: str = "b1") -> list[str]:
    with store.reading() as view:
        return view.pending(branch)
