"""The branch's side of results: from the brokers into the store.

A message is acknowledged after what it says is committed, so a branch that
is killed in between hears it again; the store keeps the first word.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from kombu import Connection, Consumer

from cyme_supd.brokers import bounded, connections
from cyme_supd.clock import Clock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.task import Task, TaskState, results_queue
from cyme_supd.domain.values import load_json
from cyme_supd.errors import CymeError, Invalid
from cyme_supd.workers import reports, taking
from cyme_supd.workers.boot import cyme_unacked

log = logging.getLogger(__name__)

#: How long one look lasts while nothing comes; also how soon a thread ends.
IDLE_S = 1.0
#: After some are stored, others gather for this long; the first one of all
#: waits for nothing.
GATHER_S = 0.05
#: How long those that are on their way are waited for.
NEXT_S = 0.002
#: Messages that are stored together, about.
MOST = 200
RETRY_S = 1.0
#: How often copies of messages that somebody else took are dropped.
FORGET_EVERY_S = 60.0
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)

Save = Callable[[Sequence[Task]], None]
IsGiven = Callable[[str, str], bool]


class Inboxes:
    """One thread a broker, each taking results from the branch's own queue there.

    ``save`` stores what came; ``is_given(app, id)`` says whether that id was
    given to a task of that app.
    """

    def __init__(
        self,
        branch: str,
        clock: Clock,
        save: Save,
        is_given: IsGiven,
        beat: Callable[[str], None],
        retire: Callable[[str], None],
    ) -> None:
        self._branch = branch
        self._clock = clock
        self._save = save
        self._is_given = is_given
        self._beat = beat
        self._retire = retire
        self._inboxes: dict[str, _Inbox] = {}

    def use(self, brokers: Iterable[str]) -> None:
        """Take results from exactly these brokers from now on."""
        wanted = set(brokers)
        for url in self._inboxes.keys() - wanted:
            inbox = self._inboxes.pop(url)
            inbox.stop()
            self._retire(inbox.name)
        for url in wanted - self._inboxes.keys():
            self._inboxes[url] = _Inbox(
                url, self._branch, self._clock, self._save, self._is_given, self._beat
            )
            self._inboxes[url].start()


class _Inbox:
    def __init__(
        self,
        url: str,
        branch: str,
        clock: Clock,
        save: Save,
        is_given: IsGiven,
        beat: Callable[[str], None],
    ) -> None:
        self.name = f"results:{parse_broker(url).key}"
        self._url = url
        self._queue = results_queue(branch)
        self._clock = clock
        self._save = save
        self._is_given = is_given
        self._beat = beat
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[Any] = []

    def start(self) -> None:
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; it is not waited for, nor shows signs of life any more."""
        with self._lock:
            self._stop.set()

    def _moved(self) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._beat(self.name)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._moved()
            # What was taken and not acknowledged comes again.
            self._waiting.clear()
            connection = connections.connection(
                self._url, transport=taking.transport_of(self._url), **self._options()
            )
            begun = self._clock.monotonic()
            try:
                bounded.connect(connection)
                self._listen(connection)
            except Exception as exc:
                # What is in the way may be a message that nobody can read: it
                # is gone by now, or will be refused, and the next ones wait.
                if self._clock.monotonic() - begun > BACKOFF_S[-1]:
                    failures = 0
                self._complain(exc, isinstance(exc, connections.broken(connection)), failures)
                self._stop.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
            finally:
                bounded.let_go(connection)

    def _complain(self, exc: Exception, is_foreseen: bool, failures: int) -> None:
        """Once at length, or for every try where somebody looks closely."""
        level = (
            (logging.WARNING if is_foreseen else logging.ERROR) if not failures else logging.DEBUG
        )
        log.log(level, "%s waits: %r", self.name, exc, exc_info=not is_foreseen)

    def _options(self) -> dict[str, Any]:
        return cyme_unacked.options(self._queue) if self._url.startswith("redis") else {}

    def _listen(self, connection: Connection) -> None:
        cyme_unacked.give_back(connection, {})
        taking.put_again(connection, [self._queue])
        channel = connection.channel()
        if isinstance(channel, taking.Channel):
            channel.most = MOST
        consumer = Consumer(
            channel,
            [reports.results_queue(self._queue)],
            on_message=self._waiting.append,
            on_decode_error=_drop,
            prefetch_count=2 * MOST,
            accept=["json"],
        )
        next_forget = self._clock.monotonic() + FORGET_EVERY_S
        with consumer:
            while not self._stop.is_set():
                self._moved()
                if self._clock.monotonic() >= next_forget:
                    next_forget = self._clock.monotonic() + FORGET_EVERY_S
                    taking.forget_copies(connection)
                self._take(connection)
                if self._waiting:
                    self._settle()
                    self._stop.wait(GATHER_S)

    def _take(self, connection: Connection) -> None:
        """All that is there; where that is nothing, the first to come within a while."""
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=IDLE_S)
            while len(self._waiting) < MOST:
                connection.drain_events(timeout=NEXT_S)

    def _settle(self) -> None:
        """Store what has come, and only then acknowledge it."""
        tasks = [task for message in self._waiting for task in self._read(message)]
        while not self._is_saved(tasks):
            self._moved()
            if self._stop.wait(RETRY_S):
                return
        _acknowledge(self._waiting)
        self._waiting.clear()

    def _is_saved(self, tasks: Sequence[Task]) -> bool:
        try:
            if tasks:
                self._save(tasks)
            return True
        except Invalid as exc:
            if len(tasks) > 1:
                return all([self._is_saved([task]) for task in tasks])
            log.warning("a result is none that can be stored: %s", exc)
            return True
        except CymeError as exc:
            log.warning("%d results are kept back: %s", len(tasks), exc)
            return False

    def _read(self, message: Any) -> list[Task]:
        """The tasks that *message* is about: one, or a list of them."""
        try:
            said = load_json(message.body)
        except (TypeError, ValueError, Invalid) as exc:
            log.warning("a message among the results is none: %s", exc)
            return []
        each_said = said if isinstance(said, list) else [said]
        return [task for each in each_said if (task := self._known(each))]

    def _known(self, said: Any) -> Task | None:
        try:
            task = _task(said)
            if not self._is_given(task.app, task.id):
                raise ValueError("its id was given to nobody")
            return task
        except (TypeError, KeyError, ValueError, Invalid) as exc:
            log.warning("what is said of a result cannot be: %s", exc)
            return None


def _task(said: Any) -> Task:
    """What a worker says; any kind of ``ValueError`` or ``TypeError`` if it cannot be that."""
    task = Task(
        id=str(said["id"]),
        app=str(said["app"]),
        state=TaskState(said["state"]),
        result=said["result"],
        error=said["error"],
        finished_at=datetime.fromisoformat(said["at"]),
    )
    has_kinds = isinstance(task.result, dict | None) and isinstance(task.error, str | None)
    if not has_kinds or task.finished_at.tzinfo is None or task.state == TaskState.PENDING:
        raise ValueError("it says nothing of an end")
    return task


def _drop(message: Any, exc: Exception) -> None:
    log.warning("a message among the results cannot be read: %r", exc)
    message.ack()


def _acknowledge(messages: Sequence[Any]) -> None:
    """All of them, in the order they came, by one command."""
    last = messages[-1]
    if isinstance(last.channel, taking.Channel):
        last.channel.acknowledge([message.delivery_tag for message in messages])
    else:
        last.ack(multiple=True)
