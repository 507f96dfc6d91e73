"""Remote control over simulated brokers: the real table and pulse, without threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer, Pulse
from cyme_supd.workers import pidbox
from cyme_supd.workers.pulse import PulseWatch
from cyme_supd.workers.table import Table
from cyme_supd.workers.wishes import ASK_SOON_S
from tests.simulation.brokers import Broker, Message
from tests.simulation.scheduler import Scheduler

PULSE_EVERY_S, PULSE_RETRY_S, CONNECT_TIMEOUT_S = 2.0, 0.2, 3.0
_RETRY_S = 1.0


class Listening:
    """What :class:`cyme_supd.workers.collector.Collector` is to one broker."""

    def __init__(
        self,
        scheduler: Scheduler,
        broker: Broker,
        table: Table,
        on_news: Callable[[str], None],
        on_pulse: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._broker = broker
        self._table = table
        self._on_news = on_news
        self.watch = PulseWatch(broker.url, scheduler, on_pulse)
        self._is_over = False
        self._is_connected = False
        self._expected: dict[str, int] = {}
        self._tickets = 0
        scheduler.after(0.0, self._connect)

    def stop(self) -> None:
        self._is_over = True
        if self._is_connected:
            self._broker.go_deaf()

    # The connection

    def _connect(self) -> None:
        if self._is_over or self._is_connected:
            return
        if self._broker.is_down:
            self._lose("refused")
        elif self._broker.is_hung:
            self._scheduler.after(CONNECT_TIMEOUT_S, self._give_up)
        else:
            self._is_connected = True
            self._broker.listen(self._heard)
            self._broker.on_break = self._broken
            self.ask(None)
            self._beat()

    def _give_up(self) -> None:
        if not self._is_over and not self._is_connected:
            self._lose("timed out") if not self._broker.is_up else self._connect()

    def _broken(self) -> None:
        if not self._is_over:
            self._lose("closed")

    def _lose(self, reason: str) -> None:
        if self._is_connected:
            self._broker.go_deaf()
        self._is_connected = False
        self._expected.clear()
        self.watch.lost(reason)
        self._scheduler.after(_RETRY_S, self._connect)

    def _beat(self) -> None:
        if self._is_over or not self._is_connected:
            return
        token = self.watch.sending()
        self._broker.echo(lambda: self._came_back(token))
        self._scheduler.after((self.watch.until_late() or 0.0) + 0.01, self._check_late)
        delay_s = PULSE_EVERY_S if self.watch.pulse.is_well else PULSE_RETRY_S
        self._scheduler.after(delay_s, self._beat)

    def _came_back(self, token: str) -> None:
        if self._is_connected and not self._is_over:
            self.watch.came_back(token)

    def _check_late(self) -> None:
        if self._is_over or not self._is_connected:
            return
        losses = self.watch.losses
        self.watch.check_late()
        if self.watch.losses != losses:
            self._lose("late")

    # Questions

    def put(self, command: str, arguments: Mapping[str, Any], nodes: Sequence[str] | None) -> None:
        if self.watch.pulse.is_well is False or not self._is_connected:
            return
        expires_s = self._scheduler.wall_s + pidbox.QUESTION_EXPIRES_S
        wanted = None if nodes is None else tuple(nodes)
        self._broker.publish(Message(command, arguments, wanted, expires_s))

    def ask(self, nodes: Sequence[str] | None) -> None:
        self.put(pidbox.LOOK, {}, nodes)

    def ask_soon(self, node: str) -> None:
        """Again and again for a while, until it tells something new."""
        if self.watch.pulse.is_well is not False:
            self._tickets += 1
            ticket = self._expected[node] = self._tickets
            self._scheduler.after(ASK_SOON_S[0], self._ask_expected, node, ticket, 0)

    def _ask_expected(self, node: str, ticket: int, times: int) -> None:
        if self._is_over or self._expected.get(node) != ticket:
            return
        if times >= len(ASK_SOON_S) - 1:
            del self._expected[node]
            return
        self.ask([node])
        delay_s = ASK_SOON_S[times + 1] - ASK_SOON_S[times]
        self._scheduler.after(delay_s, self._ask_expected, node, ticket, times + 1)

    def _heard(self, ticket: str, node: str, said: Mapping[str, Any]) -> None:
        if self._is_over:
            return
        if ticket == pidbox.READY:
            self._table.forget(node)
            self.ask_soon(node)
        elif self._table.take(node, said, self._scheduler.now_s):
            self._expected.pop(node, None)
            self._on_news(node)


class SimulatedRemote:
    """:class:`cyme_supd.domain.ports.RemoteControl` over simulated brokers.

    ``commanded(name, command)`` is called for what changes a worker.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        brokers: Mapping[str, Broker],
        on_news: Callable[[str], None],
        on_pulse: Callable[[], None],
        gate: Callable[[str, str], None],
    ) -> None:
        self._scheduler = scheduler
        self._brokers = brokers
        self._on_news = on_news
        self._on_pulse = on_pulse
        self._gate = gate
        self._table = Table()
        self._listening: dict[str, Listening] = {}

    def stop(self) -> None:
        for listening in self._listening.values():
            listening.stop()
        self._listening.clear()

    # The port

    def use(self, brokers: Iterable[str]) -> None:
        wanted = set(brokers)
        for url in sorted(self._listening.keys() - wanted):
            self._listening.pop(url).stop()
        for url in sorted(wanted - self._listening.keys()):
            self._listening[url] = Listening(
                self._scheduler, self._brokers[url], self._table, self._on_news, self._on_pulse
            )

    def answer(self, worker: Worker, pid: int | None = None) -> Answer | None:
        return self._table.answer(worker.nodename, pid)

    def pulse(self, broker: str) -> Pulse:
        listening = self._listening.get(broker)
        if listening is None:
            return Pulse(None, self._scheduler.now_s, "not listening there yet")
        return listening.watch.pulse

    def ask(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            if listening := self._listening.get(worker.broker):
                listening.ask([worker.nodename])

    def ask_all(self) -> None:
        for url in sorted(self._listening):
            self._listening[url].ask(None)

    def autoscale(self, workers: Sequence[Worker], max: int, min: int) -> None:
        for worker in workers:
            self._gate("autoscale", worker.name)
            if listening := self._listening.get(worker.broker):
                listening.put("autoscale", {"max": max, "min": min}, [worker.nodename])
                listening.ask([worker.nodename])

    def consume(self, worker: Worker, entries: Sequence[Mapping[str, Any]]) -> None:
        self._tell(worker, pidbox.CONSUME, {"entries": [dict(entry) for entry in entries]})

    def cancel(self, worker: Worker, queues: Sequence[str]) -> None:
        self._tell(worker, pidbox.CANCEL, {"queues": list(queues)})

    def _tell(self, worker: Worker, command: str, arguments: Mapping[str, Any]) -> None:
        self._gate(command, worker.name)
        if listening := self._listening.get(worker.broker):
            listening.put(command, arguments, [worker.nodename])
            listening.ask_soon(worker.nodename)

    def forget(self, worker: Worker) -> None:
        self._table.forget(worker.nodename)

    def drop_queue(self, worker: Worker) -> None:
        self._gate("drop", worker.name)
