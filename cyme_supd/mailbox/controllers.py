"""Answers other branches' questions: a few threads, each with one question at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.errors import CymeError, Internal, Invalid, NotFound
from cyme_supd.mailbox.ages import Ages
from cyme_supd.mailbox.line import Letter, Line
from cyme_supd.mailbox.wire import Kind, Message, Wire, as_json, read

log = logging.getLogger(__name__)

#: ``handler(arguments, deadline_s)``: what JSON can hold, within so many seconds.
Handler = Callable[[Mapping[str, Any], float], Any]


#: A handler that has not come back so long after its deadline is stuck.
OVERDUE_S = 30.0
#: As many wait at a time; those beyond are the other controllers' business.
MOST_WAITING = 32
#: Of as many questions it is known that they were here: one may come twice.
SEEN = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """It is worth an answer, which goes to ``place``, until ``deadline`` (monotonic)."""

    command: str
    arguments: Mapping[str, Any]
    deadline: float
    ticket: str
    place: tuple[str, str] | None


class Controllers:
    """*numc* threads; one more for what is *quick*, which never waits behind what takes
    longer; and for each question that is *patient*, which mostly waits, one of its own.

    All are looked into at every question: they may be added to.

    ``beat(thread name)`` is called by :meth:`show_life` for those that get on.
    """

    def __init__(
        self,
        id: str,
        started_at: datetime,
        handlers: Mapping[str, Handler],
        quick: Mapping[str, Handler],
        numc: int,
        line: Line,
        wire: Wire,
        clock: Clock,
        beat: Callable[[str], None],
        patient: Mapping[str, Handler] = MappingProxyType({}),
    ) -> None:
        self._id = id
        self._started_at = started_at
        self._handlers = handlers
        self._quick = quick
        self._patient = patient
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._line = line
        self._wire = wire
        self._clock = clock
        self._beat = beat
        self._ages = Ages()
        self._seen: dict[str, None] = {}
        self._slow: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._fast: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._threads = [self._thread("controller:quick", self._fast)]
        self._threads += [self._thread(f"controller:{n + 1}", self._slow) for n in range(numc)]
        self._overdue_at: dict[str, float] = {}

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more; what is under way is not waited for."""
        self._fast.put(None)
        for _ in self._threads[1:]:
            self._slow.put(None)

    def show_life(self) -> None:
        """A controller waits as long as nobody asks, and works until its question's deadline."""
        now = self._clock.monotonic()
        for thread in self._threads:
            if now < self._overdue_at.get(thread.name, float("inf")):
                self._beat(thread.name)

    # -- the hearing thread

    def take(self, message: Message) -> None:
        """A question that is for this branch, in time, and was not here before."""
        said = read(message.body)
        if self._id in (said.get("others") or ()):
            return
        question = self._question(said, message.headers)
        if question.deadline <= self._clock.monotonic():
            log.info("a question is too old to be answered: %s", question.command)
        elif not self._was_here(question):
            self._give(question)

    def _give(self, question: Question) -> None:
        if question.command in self._quick:
            self._fast.put(question)
        elif question.command in self._patient and self._waiting.acquire(blocking=False):
            threading.Thread(
                target=self._wait_with, args=(question,), name="controller:patient", daemon=True
            ).start()
        else:
            self._slow.put(question)

    def _wait_with(self, question: Question) -> None:
        try:
            left_s = question.deadline - self._clock.monotonic()
            self._reply(question, self._answer(question, left_s))
        finally:
            self._waiting.release()

    def _question(self, said: Mapping[str, Any], headers: Mapping[str, Any]) -> Question:
        arguments, reply_to, ticket = said.get("arguments"), said.get("reply_to"), said["ticket"]
        if not isinstance(arguments, dict):
            raise Invalid("a question without arguments")
        now, sent_at = self._clock.monotonic(), float(headers["sent_at"])
        received_at = self._clock.now().timestamp()
        age_s = self._ages.age_s(str(headers["sender"]), sent_at, received_at, now)
        place = (str(reply_to["exchange"]), str(reply_to["routing_key"])) if reply_to else None
        return Question(
            command=str(said["method"]),
            arguments=arguments,
            deadline=now + float(headers["timeout_s"]) - age_s,
            ticket=str(ticket),
            place=place,
        )

    def _was_here(self, question: Question) -> bool:
        """One that broke a connection while it was sent, or that may be lost, is sent again."""
        was_here = question.ticket in self._seen
        self._seen[question.ticket] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
        return was_here

    # -- the controllers

    def _thread(self, name: str, questions: queue.SimpleQueue[Question | None]) -> threading.Thread:
        return threading.Thread(target=self._run, args=(name, questions), name=name, daemon=True)

    def _run(self, name: str, questions: queue.SimpleQueue[Question | None]) -> None:
        while (question := questions.get()) is not None:
            left_s = question.deadline - self._clock.monotonic()
            # Who asked has given up: the others are waited for.
            if left_s > 0:
                self._overdue_at[name] = question.deadline + OVERDUE_S
                self._reply(question, self._answer(question, left_s))
                self._overdue_at.pop(name, None)

    def _answer(self, question: Question, left_s: float) -> str:
        """In JSON: what the handler says, or its error."""
        try:
            handler = self._handler(question.command)
            if handler is None:
                hint = "it may be of another version"
                raise NotFound(f"branch {self._id!r} knows no {question.command!r}", hint)
            return as_json({"answer": handler(question.arguments, left_s)})
        except CymeError as exc:
            return as_json({"error": exc.to_peer()})
        except Exception:
            log.exception("the question %s cannot be answered", question.command)
            message = f"branch {self._id!r} could not answer {question.command!r}"
            return as_json({"error": Internal(message, "its log says why").to_peer()})

    def _handler(self, command: str) -> Handler | None:
        for table in (self._quick, self._handlers, self._patient):
            if command in table:
                return table[command]
        return None

    def _reply(self, question: Question, body: str) -> None:
        if question.place is None:
            return
        headers = {
            "ticket": question.ticket,
            "branch": self._id,
            "started_at": self._started_at.isoformat(),
        }
        deadline = max(question.deadline, self._clock.monotonic() + 1.0)
        self._line.say(Letter(Message(Kind.ANSWER, body, headers), *question.place, deadline))
