"""Orders on their way to brokers.

Each broker has a thread of its own, and so none waits for another. What a broker does
not take is dropped here: the run's ``order_at`` is over soon, and it is ordered again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cyme_supd.clock import Clock
from cyme_supd.domain.job import Run
from cyme_supd.domain.orders import Order, answers_queue
from cyme_supd.domain.spec import Queue
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.runner.letters import order_message
from cyme_supd.seal import Seal
from cyme_supd.workers.confirms import Refused
from cyme_supd.workers.declared import Declared
from cyme_supd.workers.depths import BrokerQueues
from cyme_supd.workers.outgoing import Message, Outgoing
from cyme_supd.workers.reports import results_queue

log = logging.getLogger("cyme_supd.scheduler")

TIMEOUT_S = 5.0
#: For so long nothing is tried at a broker that was not to be had.
PAUSE_S = 1.0
#: Put there together, and confirmed by one wait.
MOST_AT_ONCE = 500
#: Orders that wait for one broker; more are left to be ordered again.
MOST_WAITING = 4000
#: Of so many it is full, and those who make more of them had better wait a little.
FULL = 1000


@dataclass(frozen=True, slots=True)
class Parcel:
    """Runs whose orders go into one queue at one broker, all taken at the same time.

    ``may_wait`` is of those that were ordered before, and not long ago.
    """

    broker: str
    queue: Queue
    runs: tuple[Run, ...]
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The broker has the orders of these runs, or will not have them for that ``reason``."""

    runs: tuple[Run, ...]
    reason: str | None = None


class Orders:
    """Sealed with *key*, which also says where runners answer; *origin* is who orders.

    *on_outcome* is called by threads of brokers, when :meth:`outcomes` has something.
    """

    def __init__(
        self, key: bytes, origin: str, clock: Clock, on_outcome: Callable[[], None]
    ) -> None:
        self._seal = Seal(key)
        self._answers = answers_queue(key)
        self._origin = origin
        self._clock = clock
        self._on_outcome = on_outcome
        self._outcomes: deque[Outcome] = deque()
        self._lanes: dict[str, _Lane] = {}

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Waits for nothing. One thread calls this and what is below."""
        for parcel in parcels:
            if parcel.broker not in self._lanes:
                self._lanes[parcel.broker] = self._lane(parcel.broker)
            self._lanes[parcel.broker].put(parcel)

    def is_away(self, broker: str) -> bool:
        """Whether the last that was tried there failed."""
        lane = self._lanes.get(broker)
        return lane is not None and lane.is_failing

    def outcomes(self) -> list[Outcome]:
        """Those that are new."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]

    def wait_for_room(self, within_s: float) -> None:
        """Let the brokers that take orders come up with those that wait for them."""
        deadline = self._clock.monotonic() + within_s
        for lane in self._lanes.values():
            lane.wait_for_room(deadline - self._clock.monotonic())

    def close(self) -> None:
        """What waits is left to be ordered again, by whomever."""
        for lane in self._lanes.values():
            lane.close()

    def _lane(self, broker: str) -> _Lane:
        return _Lane(broker, self._clock, self._answers, self._message, self._told)

    def _message(self, run: Run) -> Message:
        return order_message(self._seal, Order(run.id, run.job_id, self._answers), self._origin)

    def _told(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._on_outcome()


class _Lane:
    """To one broker."""

    def __init__(
        self,
        broker: str,
        clock: Clock,
        answers: str,
        message: Callable[[Run], Message],
        told: Callable[[Outcome], None],
    ) -> None:
        self._clock = clock
        self._answers = results_queue(answers)
        self._message = message
        self._told = told
        self._broker = broker
        self._depths = BrokerQueues()
        self._is_amqp = not broker.startswith("redis")
        self._outgoing = Outgoing(broker, TIMEOUT_S)
        self._declared = Declared(self._outgoing, self._is_amqp)
        self._can_be_answered = False
        self._changed = threading.Condition()
        self._waiting: deque[Parcel] = deque()
        self._count = 0
        self._asleep_until = float("-inf")
        self.is_failing = self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)
        self._thread.start()

    def put(self, parcel: Parcel) -> None:
        with self._changed:
            if self._is_asleep() or self._count >= MOST_WAITING:
                return
            self._waiting.append(parcel)
            self._count += len(parcel.runs)
            self._changed.notify_all()

    def wait_for_room(self, within_s: float) -> None:
        with self._changed:
            self._changed.wait_for(self._has_room, max(0.0, within_s))

    def close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(2 * TIMEOUT_S)
        self._outgoing.close()

    def _has_room(self) -> bool:
        return self._count < FULL or self.is_failing

    def _is_asleep(self) -> bool:
        return self._clock.monotonic() < self._asleep_until

    def _run(self) -> None:
        while parcels := self._next():
            try:
                self._send(parcels)
                self._recovered()
            except Unavailable as exc:
                self._failed(exc)
            except Exception as exc:
                # Nobody would start this thread again.
                log.exception("orders were not put: they will be again")
                self._failed(exc)
            with self._changed:
                self._count = sum(len(each.runs) for each in self._waiting)
                self._changed.notify_all()

    def _next(self) -> list[Parcel]:
        """Some that wait; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            taken: list[Parcel] = []
            while self._waiting and sum(len(each.runs) for each in taken) < MOST_AT_ONCE:
                taken.append(self._waiting.popleft())
            return taken

    def _send(self, parcels: Sequence[Parcel]) -> None:
        if not self._can_be_answered:
            self._declare_answers()
        sent = [each for each in parcels if not self._waits(each) and self._is_declared(each)]
        if missing := self._put(sent):
            # They have expired, or somebody has deleted them.
            self._declared.forget()
            again = [parcel for parcel in sent if parcel.queue.name in missing]
            self._put([parcel for parcel in again if self._is_declared(parcel)])

    def _put(self, parcels: Sequence[Parcel]) -> set[str]:
        """Tell what became of them, but for those whose queues are missing: which these are."""
        letters = [(each.queue.name, self._message(run)) for each in parcels for run in each.runs]
        missing, refused, reason = set[str](), set[str](), ""
        try:
            missing = self._outgoing.put_each(letters) if letters else missing
        except Refused as exc:
            missing, refused, reason = exc.missing, exc.queues, str(exc)
            log.warning("runs are not ordered: %s", exc)
        for parcel in parcels:
            if parcel.queue.name not in missing:
                self._told(Outcome(parcel.runs, reason if parcel.queue.name in refused else None))
        return missing

    def _waits(self, parcel: Parcel) -> bool:
        """Whether what was put there is likely to be among what still waits there.

        Orders once more of all that wait in a long queue would make it longer yet.
        """
        name = parcel.queue.name
        depth = self._depths.depths(self._broker, [name]).get(name) if parcel.may_wait else None
        is_long = depth is not None and depth.messages > 0
        if is_long:
            self._told(Outcome(parcel.runs, "its order waits in the queue, with others"))
        return is_long

    def _is_declared(self, parcel: Parcel) -> bool:
        try:
            self._declared.ensure(parcel.queue)
        except Unavailable:
            raise
        except CymeError as exc:
            log.warning("runs are not ordered: %s", exc)
            self._told(Outcome(parcel.runs, str(exc)))
            return False
        return True

    def _declare_answers(self) -> None:
        if self._is_amqp:
            with self._outgoing.channel() as channel:
                self._answers(channel).declare()
        self._can_be_answered = True

    def _recovered(self) -> None:
        if self.is_failing:
            log.info("the broker takes orders again")
        self.is_failing = False

    def _failed(self, exc: Exception) -> None:
        if not self.is_failing:
            log.warning("runs wait for their broker: %s", exc)
        with self._changed:
            self.is_failing = True
            # It may come back without anything.
            self._can_be_answered = False
            self._declared.forget()
            self._waiting.clear()
            self._asleep_until = self._clock.monotonic() + PAUSE_S
