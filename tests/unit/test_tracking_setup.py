"""What is done once for an application that is tracked, and in its workers."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.signals import worker_init
from kombu.transport.virtual import BrokerState

from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.tracking import Config, config_of, setup_app
from cyme_supd.tracking.topology import WorkQueue, queues
from tests import services

CHORD_UNLOCK = "celery.chord_unlock"


def tracked(**settings: Any) -> Celery:
    app = Celery("house", set_as_current=False)
    app.config_from_object(Config(queues=["foo"], **{"broker_url": "memory://", **settings}))
    return app


class Worker:
    """As far as the signal's receivers look at it."""

    def __init__(self, app: Celery) -> None:
        self.app = app


def starts(app: Celery, only: str = "", without: str = "") -> set[str]:
    """What a worker consumes from that is started with ``-Q`` and ``-X``."""
    chosen = app.amqp.queues
    chosen.select(only.split())
    chosen.deselect(without.split())
    worker_init.send(sender=Worker(app))
    return set(chosen.consume_from)


@pytest.fixture
def dead() -> str:
    return f"redis://127.0.0.1:{services.free_port()}/0"


def test_everything_is_declared() -> None:
    app = tracked()
    assert setup_app(app) is True
    with app.connection_for_write() as connection:
        state: BrokerState = connection.transport.state
        assert state.exchanges["task_exchange"]["type"] == "topic"
        for name, key in (("foo", "foo"), ("celery", "celery"), ("platform.fifo", "#")):
            assert state.has_binding(name, "task_exchange", key)
        state.clear()


def test_waiting_for_chords_is_bounded() -> None:
    app = tracked()
    assert app.tasks[CHORD_UNLOCK].max_retries is None
    setup_app(app)
    assert app.tasks[CHORD_UNLOCK].max_retries == 86_400
    setup_app(app := tracked(CHORD_UNLOCK_MAX_RETRIES=60))
    assert app.tasks[CHORD_UNLOCK].max_retries == 60


def test_a_broker_that_is_down(dead: str, caplog: pytest.LogCaptureFixture) -> None:
    app = tracked(broker_url=dead)
    with pytest.raises(Unavailable, match="not to be had"):
        setup_app(app)
    with caplog.at_level(logging.WARNING):
        assert setup_app(app, throw=False) is False
    assert "queues are not declared" in caplog.text
    # What needs no broker is done.
    assert app.tasks[CHORD_UNLOCK].max_retries == 86_400


def test_an_app_that_is_not_tracked() -> None:
    app = Celery("house", set_as_current=False, broker="memory://")
    with pytest.raises(Invalid) as refused:
        setup_app(app)
    assert "config_from_object" in refused.value.hint
    with pytest.raises(Invalid):
        setup_app(app, throw=False)


@pytest.mark.parametrize("source", [{"task_acks_late": True}, SimpleNamespace(task_acks_late=True)])
def test_the_config_of_others(source: Any) -> None:
    app = Celery("house", set_as_current=False)
    assert config_of(app) is None
    app.config_from_object(source)
    assert config_of(app) is None


def test_a_config_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(queues=["foo"])
    monkeypatch.setitem(sys.modules, "shop_settings", SimpleNamespace(tracked=config))
    app = Celery("house", set_as_current=False)
    app.config_from_object("shop_settings:tracked")
    assert config_of(app) is config


@pytest.mark.parametrize(
    ("only", "without", "consumes"),
    [
        ("", "", {"foo", "celery"}),
        ("", "celery", {"foo"}),
        ("", "platform.fifo", {"foo", "celery"}),
        ("foo", "", {"foo"}),
        ("foo celery", "celery", {"foo"}),
        ("foo platform.fifo", "", {"foo", "platform.fifo"}),
    ],
)
def test_what_a_worker_consumes_from(only: str, without: str, consumes: set[str]) -> None:
    assert starts(tracked(), only, without) == consumes


def test_a_worker_that_is_told_to_run_all_twice(caplog: pytest.LogCaptureFixture) -> None:
    starts(tracked(), "platform.fifo")
    assert "consumes from platform.fifo" in caplog.text


def test_a_worker_sets_its_app_up_by_itself(dead: str) -> None:
    app = tracked(broker_url=dead)
    starts(app)
    assert app.tasks[CHORD_UNLOCK].max_retries == 86_400


def test_workers_of_others_are_left_alone() -> None:
    app = Celery("house", set_as_current=False, broker="memory://")
    assert starts(app) == {"celery"}
    assert app.tasks[CHORD_UNLOCK].max_retries is None


def test_sentry_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    library = SimpleNamespace(init=lambda **words: begun.append(words), __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "sentry_sdk", library)
    dsn = "https://key@sentry.local/1"
    setup_app(tracked(SENTRY_DSN=dsn))
    assert begun == [{"dsn": dsn}]
    setup_app(tracked())
    assert len(begun) == 1


def test_a_queue_is_told_to_others_as_any_is() -> None:
    work, platform = queues(["foo"], "seen", "x")
    told = work.as_dict(recurse=True)
    assert told.keys() == platform.as_dict(recurse=True).keys()
    assert told["name"] == "foo"
    assert isinstance(work, WorkQueue)
