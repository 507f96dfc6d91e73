"""The tests that users run against their own applications."""

from __future__ import annotations

import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from cyme_supd.tracking import Config, make_tests


def nothing() -> None:
    """What tasks do here."""


def shop(**settings: Any) -> Celery:
    app = Celery("shop", set_as_current=False)
    app.config_from_object(Config(queues=["mail"], **settings))
    app.task(nothing, shared=False, name="mail.send")
    app.task(nothing, shared=False, name="other")
    return app


def with_task(**options: Any) -> Celery:
    app = shop()
    app.task(nothing, shared=False, name="mail.odd", **options)
    return app


def routed(queue: Any) -> Celery:
    return shop(task_routes={"other": {"queue": queue}})


def sent_to(exchange: str, key: str) -> Celery:
    return shop(task_routes={"other": {"exchange": exchange, "routing_key": key}})


def with_namespace() -> Celery:
    app = Celery("shop", set_as_current=False)
    app.config_from_object(Config(queues=["mail"]), namespace="SHOP")
    return app


def failures(app: Celery) -> set[str]:
    """The names of the tests that fail."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(make_tests(app)).run(result)
    assert result.testsRun > 5
    found = [test for test, _ in (*result.failures, *result.errors)]
    # One of several in a test says which test it is of.
    tests = [getattr(test, "test_case", test) for test in found]
    return {test.id().rpartition(".")[2].removeprefix("test_") for test in tests}


@pytest.mark.parametrize(
    "app",
    [
        shop(),
        shop(RESULT_DB_NAME="x"),
        shop(task_default_queue="rest", task_default_exchange="mine"),
        shop(task_always_eager=True, task_send_sent_event=True),
        shop(result_backend="rpc://", PLATFORM_QUEUE_NAME="seen", accept_content=["json"]),
        with_namespace(),
        routed("mail"),
        with_task(rate_limit="1/m", expires=60),
    ],
)
def test_one_that_is_right(app: Celery) -> None:
    assert failures(app) == set()


TOPIC, OTHER = Exchange("task_exchange", "topic"), Exchange("other", "topic")
PLATFORM = Queue("platform.fifo", TOPIC, "#")
CELERY, MAIL = Queue("celery", TOPIC, "celery"), Queue("mail", TOPIC, "mail")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Celery("shop", set_as_current=False), "every_queue_is_there"),
        (lambda: shop(task_queues=[CELERY, PLATFORM]), "every_queue_is_there"),
        (lambda: shop(task_queues=[CELERY, MAIL]), "every_task_is_seen"),
        (
            lambda: shop(task_queues=[CELERY, PLATFORM, Queue("mail", OTHER, "mail")]),
            "every_queue_is_on_the_topic_exchange",
        ),
        (
            lambda: shop(task_queues=[CELERY, PLATFORM, Queue("mail", TOPIC, "post")]),
            "work_queues_are_bound_by_their_names",
        ),
        (
            lambda: shop(task_queues=[CELERY, MAIL, Queue("platform.fifo", TOPIC, "mail")]),
            "the_platform_queue_is_bound_to_everything",
        ),
        (
            lambda: shop(
                task_queues=[CELERY, PLATFORM, Queue("mail", TOPIC, "mail", durable=False)]
            ),
            "every_queue_is_on_the_topic_exchange",
        ),
        (lambda: shop(task_create_missing_queues=True), "no_queue_is_made_up"),
        (lambda: routed("mial"), "every_task_is_seen"),
        (lambda: routed("platform.fifo"), "every_task_is_seen"),
        (lambda: sent_to("other", "mail"), "every_task_is_seen"),
        (lambda: sent_to("task_exchange", "post"), "every_task_is_seen"),
        # With no queue nothing is declared: on Redis this one is not seen, either.
        (lambda: sent_to("task_exchange", "mail"), "every_task_is_seen"),
        (lambda: routed(Queue("mine", OTHER, "mine")), "every_task_is_seen"),
        (lambda: with_task(serializer="pickle"), "messages_can_be_read"),
        (lambda: shop(task_serializer="yaml"), "messages_can_be_read"),
        (lambda: shop(accept_content=["json", "pickle"]), "messages_can_be_read"),
        (lambda: shop(task_track_started=False), "starts_are_told"),
        (lambda: shop(result_backend="no-such://"), "results_have_a_backend_that_there_is"),
        (lambda: shop(CHORD_UNLOCK_MAX_RETRIES=None), "chords_are_not_waited_for_for_ever"),
    ],
)
def test_one_that_is_wrong(make: Callable[[], Celery], told: str) -> None:
    assert told in failures(make())


def test_a_task_is_named() -> None:
    result = unittest.TestResult()
    tests = make_tests(routed("mial"))
    unittest.defaultTestLoader.loadTestsFromTestCase(tests).run(result)
    ((_, said),) = result.errors
    assert "'mial' missing from task_queues" in said


MODULE = """\
from celery import Celery
from cyme_supd.tracking import Config, make_tests

app = Celery("shop", broker="amqp://nobody.invalid//", set_as_current=False)
app.config_from_object(Config(queues=["mail"]))
TestTracking = make_tests(app)
"""


@pytest.mark.parametrize("runner", ["pytest -q -p no:cacheprovider", "unittest"])
def test_both_programs_run_it(runner: str, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", *runner.split(), "test_shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout or "Ran 11 tests" in done.stderr
