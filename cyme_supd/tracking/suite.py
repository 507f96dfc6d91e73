"""Tests that a user's own application is tracked: offline, in a second."""

from __future__ import annotations

import unittest
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from celery.app import backends
from kombu import Connection, Queue
from kombu.transport import memory, virtual

from cyme_supd.tracking.config import Config
from cyme_supd.tracking.setup import CHORD_UNLOCK, bound_chords, config_of, leave_to_the_platform

#: What the record reads: others are refused there, and may run code where they are not.
_READ = ("json", "application/json")


def make_tests(app: Celery) -> type[unittest.TestCase]:
    """A class of tests of *app*, for unittest and pytest alike.

    ::

        TestTracking = make_tests(app)

    No broker is asked: messages go through one in memory. Nothing is executed.
    """
    return type("TestTracking", (Tracked,), {"app": app, "__test__": True})


class Tracked(unittest.TestCase):
    """What has to hold of ``app``."""

    #: Only those of an application are run.
    __test__ = False
    app: Celery

    @property
    def config(self) -> Config:
        found = config_of(self.app)
        if found is None:
            self.fail("not configured: app.config_from_object(Config(queues=[...]))")
        return found

    @property
    def platform(self) -> str:
        name: str = self.config.PLATFORM_QUEUE_NAME
        return name

    @property
    def work(self) -> dict[str, Queue]:
        queues = self.app.amqp.queues
        return {name: queue for name, queue in queues.items() if name != self.platform}

    def test_every_queue_is_there(self) -> None:
        for name in (*self.config.QUEUES, "celery", self.platform):
            self.assertIn(name, self.app.amqp.queues, f"{name} is not among task_queues")

    def test_every_queue_is_on_the_topic_exchange(self) -> None:
        exchange = self.config.task_default_exchange
        for name, queue in self.app.amqp.queues.items():
            found = queue.exchange and (queue.exchange.name, queue.exchange.type)
            self.assertEqual(found, (exchange, "topic"), f"{name} is on another exchange")
            self.assertTrue(queue.durable, f"{name} does not outlive its broker")

    def test_work_queues_are_bound_by_their_names(self) -> None:
        for name, queue in self.work.items():
            self.assertEqual(queue.routing_key, name)

    def test_the_platform_queue_is_bound_to_everything(self) -> None:
        self.assertEqual(self.app.amqp.queues[self.platform].routing_key, "#")

    def test_no_queue_is_made_up(self) -> None:
        self.assertFalse(
            self.app.conf.task_create_missing_queues,
            "tasks for queues that are not declared would go unseen",
        )

    def test_starts_are_told(self) -> None:
        self.assertTrue(self.app.conf.task_track_started, "STARTED is not told")

    def test_messages_can_be_read(self) -> None:
        written = {name: self.app.tasks[name].serializer for name in _tasks(self.app)}
        for name, serializer in written.items():
            self.assertIn(serializer, _READ, f"{name}: the record reads JSON alone")
        for content in self.app.conf.accept_content:
            self.assertIn(content, _READ, "workers take what the record refuses")

    def test_results_have_a_backend_that_there_is(self) -> None:
        # That of databases would connect if it were made.
        backends.by_url(self.app.conf.result_backend, self.app.loader)

    def test_every_task_is_seen(self) -> None:
        for name in _tasks(self.app):
            with self.subTest(task=name):
                reached = _reached(self.app, name)
                self.assertTrue(reached & self.work.keys(), f"{name} reaches no queue of its own")
                self.assertIn(self.platform, reached, f"{name} does not reach {self.platform}")

    def test_a_worker_leaves_the_platform_queue_alone(self) -> None:
        queues = self.app.amqp.Queues(self.app.conf.task_queues)
        leave_to_the_platform(queues, self.platform)
        self.assertEqual(queues.consume_from.keys(), self.work.keys())

    def test_chords_are_not_waited_for_for_ever(self) -> None:
        bound_chords(self.app, self.config)
        most = self.app.tasks[CHORD_UNLOCK].max_retries
        self.assertIsInstance(most, int, "CHORD_UNLOCK_MAX_RETRIES is no number")


class _Sent(str):
    """Stands for a result: one of Celery's own would have the backend connect."""


def _tasks(app: Celery) -> list[str]:
    """Those of the application, and one of Celery's own for all of those."""
    mine = [name for name in app.tasks if not name.startswith("celery.")]
    return [*sorted(mine), CHORD_UNLOCK]


def _reached(app: Celery, task: str) -> set[str]:
    """The queues that a message of *task* comes to lie in."""
    with _broker_in_memory() as connection, warnings.catch_warnings():
        # What cannot be delivered is warned of, and that an eager app is not eager here.
        warnings.simplefilter("ignore")
        channel = connection.default_channel
        producer = app.amqp.Producer(channel)
        app.send_task(task, producer=producer, ignore_result=True, result_cls=_Sent)
        return {name for name in channel.queues if channel.queue_declare(name).message_count}


@contextmanager
def _broker_in_memory() -> Iterator[Connection]:
    """A broker that others who have theirs in memory see nothing of."""
    channel = type("Channel", (memory.Channel,), {"queues": {}, "events": defaultdict(set)})
    own = {"Channel": channel, "global_state": virtual.BrokerState()}
    with Connection(transport=type("Transport", (memory.Transport,), own)) as connection:
        yield connection
