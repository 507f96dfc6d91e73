"""Brokers: up, down or hung; they pass on, lose, delay and double what is put to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.scheduler import Scheduler
    from tests.simulation.workers import Worker

#: Times for which it is away that are shorter than that perhaps nobody notices.
NOTICED_S = 10.0
#: How long one that is not to be lost may be under way when times are bad.
LATE_S = 8.0


@dataclass(frozen=True, slots=True)
class Message:
    """A command to workers; ``nodes`` are those it is for, ``None`` all of them.

    ``expires_s`` is by the wall clock.
    """

    command: str
    arguments: Mapping[str, Any]
    nodes: tuple[str, ...] | None
    expires_s: float


#: Ticket, node, what it said.
Hearer = Callable[[str, str, Mapping[str, Any]], None]


class Broker:
    """``number`` counts its lives: what it had in memory ends with each.

    ``lost``, ``late`` and ``doubled`` are shares of the messages; ``refused``
    are queues that are there, declared otherwise. ``hearer`` is whoever reads
    the branch's reply queue. ``well_since_s`` leaves out what nobody may have noticed.
    """

    def __init__(self, scheduler: Scheduler, url: str) -> None:
        self.scheduler = scheduler
        self.url = url
        self.number = 1
        self.is_down = self.is_hung = False
        self.well_since_s = self.ill_since_s = scheduler.now_s
        self.lost = self.late = self.doubled = 0.0
        self.refused: set[str] = set()
        self.hearer: Hearer | None = None
        self.on_break: Callable[[], None] | None = None
        self._bound: dict[int, tuple[Worker, float]] = {}
        self._workers: dict[int, Worker] = {}
        self._kept: list[tuple[str, str, Mapping[str, Any]]] = []
        # What waits in sockets while it hangs.
        self._stuck: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._reply_s = 0.0

    @property
    def is_up(self) -> bool:
        return not (self.is_down or self.is_hung)

    # What happens to it

    def go_down(self) -> None:
        self.scheduler.tell("broker %s: down", self.url)
        self._fall_ill()
        self.is_down, self.is_hung = True, False
        self.number += 1
        self._kept.clear()
        self._stuck.clear()
        for worker in list(self._workers.values()):
            worker.lost_broker()
        if self.on_break is not None:
            self.on_break()

    def hang(self) -> None:
        if not self.is_down:
            self.scheduler.tell("broker %s: hangs", self.url)
            self._fall_ill()
            self.is_hung = True

    def _fall_ill(self) -> None:
        if self.is_up:
            self.ill_since_s = self.scheduler.now_s

    def come_back(self) -> None:
        if self.is_up:
            return
        self.scheduler.tell("broker %s: is back", self.url)
        self.is_down = self.is_hung = False
        if self.scheduler.now_s - self.ill_since_s >= NOTICED_S:
            self.well_since_s = self.scheduler.now_s
        stuck, self._stuck = self._stuck, []
        for what, args in stuck:
            what(*args)

    # Commands

    def connect(self, worker: Worker) -> int:
        """The number of the life of the broker that it is connected to."""
        self._workers[worker.process.pid] = worker
        return self.number

    def disconnect(self, worker: Worker) -> None:
        self.unbind(worker)
        self._workers.pop(worker.process.pid, None)

    def bind(self, worker: Worker) -> None:
        self._bound[worker.process.pid] = (worker, 0.0)

    def unbind(self, worker: Worker) -> None:
        self._bound.pop(worker.process.pid, None)

    def publish(self, message: Message) -> None:
        if self.is_hung:
            self._stuck.append((self.publish, (message,)))
        elif not self.is_down and not self.scheduler.chance(self.lost):
            for pid, (worker, at_s) in list(self._bound.items()):
                if message.nodes is None or worker.node in message.nodes:
                    at_s = max(at_s, self.scheduler.now_s) + self._latency_s()
                    self._bound[pid] = (worker, at_s)
                    delay_s = at_s - self.scheduler.now_s
                    self.scheduler.after(delay_s, self._pass_on, worker, message, self.number)

    def _pass_on(self, worker: Worker, message: Message, number: int) -> None:
        if self.is_hung:
            self._stuck.append((self._pass_on, (worker, message, number)))
        elif not self.is_down and number == self.number:
            worker.deliver(message, number)

    # Answers

    def reply(self, ticket: str, node: str, said: Mapping[str, Any]) -> None:
        if self.is_hung:
            self._stuck.append((self.reply, (ticket, node, said)))
            return
        if self.is_down or self.scheduler.chance(self.lost):
            return
        copies = 2 if self.scheduler.chance(self.doubled) else 1
        for _ in range(copies):
            args = (ticket, node, said, self.number)
            if self.scheduler.chance(self.late):
                self.scheduler.after(self.scheduler.between(0.1, LATE_S), self._hear, *args)
            else:
                self._reply_s = max(self._reply_s, self.scheduler.now_s) + 0.001
                delay_s = self._reply_s - self.scheduler.now_s + self._latency_s()
                self.scheduler.after(delay_s, self._hear, *args)

    def _hear(self, ticket: str, node: str, said: Mapping[str, Any], number: int) -> None:
        if number != self.number or self.is_down:
            return
        if self.is_hung:
            self._stuck.append((self._hear, (ticket, node, said, number)))
        elif self.hearer is None:
            self._kept.append((ticket, node, said))
        else:
            self.hearer(ticket, node, said)

    def listen(self, hearer: Hearer) -> None:
        """Read the reply queue: first what was kept for whoever was there before."""
        self.hearer = hearer
        kept, self._kept = self._kept, []
        for ticket, node, said in kept:
            self.scheduler.after(self._latency_s(), self._hear, ticket, node, said, self.number)

    def go_deaf(self) -> None:
        """Nobody reads the reply queue any more."""
        self.hearer = self.on_break = None

    def echo(self, back: Callable[[], None]) -> None:
        """A message that somebody puts to itself."""
        if self.is_hung:
            self._stuck.append((self.echo, (back,)))
        elif not self.is_down and not self.scheduler.chance(self.lost / 4):
            self.scheduler.after(self._latency_s(), self._echoed, back, self.number)

    def _echoed(self, back: Callable[[], None], number: int) -> None:
        if self.is_hung:
            self._stuck.append((self._echoed, (back, number)))
        elif number == self.number and not self.is_down:
            back()

    def _latency_s(self) -> float:
        return 0.0005 + 0.004 * self.scheduler.random.random()
