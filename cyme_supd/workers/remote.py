"""Remote control of all workers, whatever brokers they are at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.naming import direct_queue
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Answer, Pulse
from cyme_supd.workers import pidbox
from cyme_supd.workers.collector import Collector
from cyme_supd.workers.table import Table
from cyme_supd.workers.wishes import Drop


class Collectors:
    """A collector per broker in use, and one table for all their answers."""

    def __init__(
        self,
        branch: str,
        clock: Clock,
        on_news: Callable[[str], None],
        on_pulse: Callable[[], None],
        beat: Callable[[str], None],
        retire: Callable[[str], None],
        on_use: Callable[[set[str]], None],
        pulse_interval_s: float,
        on_answer: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._branch = branch
        self._clock = clock
        self._on_news = on_news
        self._on_pulse = on_pulse
        self._beat = beat
        self._retire = retire
        self._on_use = on_use
        self._pulse_interval_s = pulse_interval_s
        self._on_answer = on_answer
        self._table = Table()
        self._collectors: dict[str, Collector] = {}

    def use(self, brokers: Iterable[str]) -> None:
        """Listen at exactly these brokers from now on."""
        wanted = set(brokers)
        self._on_use(wanted)
        for url in self._collectors.keys() - wanted:
            collector = self._collectors.pop(url)
            collector.stop()
            for name in collector.names:
                self._retire(name)
        for url in wanted - self._collectors.keys():
            self._collectors[url] = self._collector(url)
            self._collectors[url].start()

    def answer(self, worker: Worker, pid: int | None = None) -> Answer | None:
        return self._table.answer(worker.nodename, pid)

    def forget(self, worker: Worker) -> None:
        self._table.forget(worker.nodename)
        collector = self._collectors.get(worker.broker)
        if collector is not None:
            collector.keep(direct_queue(worker.name))

    def pulse(self, broker: str) -> Pulse:
        collector = self._collectors.get(broker)
        if collector is None:
            return Pulse(None, self._clock.monotonic(), "not listening there yet")
        return collector.pulse

    def ask(self, workers: Sequence[Worker]) -> None:
        for collector, nodes in self._by_collector(workers):
            collector.ask(nodes)

    def ask_all(self) -> None:
        """One broadcast at each broker, however many workers there are."""
        for collector in self._collectors.values():
            collector.ask(None)

    def autoscale(self, workers: Sequence[Worker], max: int, min: int) -> None:
        for collector, nodes in self._by_collector(workers):
            collector.put("autoscale", {"max": max, "min": min}, nodes)
            # Behind the command on the same connection: the answer is from after it.
            collector.ask(nodes)

    def consume(self, worker: Worker, entries: Sequence[Mapping[str, Any]]) -> None:
        self._tell(worker, pidbox.CONSUME, {"entries": [dict(entry) for entry in entries]})

    def cancel(self, worker: Worker, queues: Sequence[str]) -> None:
        self._tell(worker, pidbox.CANCEL, {"queues": list(queues)})

    def _tell(self, worker: Worker, command: str, arguments: dict[str, Any]) -> None:
        collector = self._collectors.get(worker.broker)
        if collector is not None:
            collector.put(command, arguments, [worker.nodename])
            # What it was told it does a moment after it has said so.
            collector.ask_soon(worker.nodename)

    def drop_queue(self, worker: Worker) -> None:
        collector = self._collectors.get(worker.broker)
        if collector is not None:
            exchanges = tuple((queue.exchange, queue.exchange_type) for queue in worker.queues)
            collector.drop(Drop(direct_queue(worker.name), worker.nodename, exchanges))

    def health(self) -> dict[str, dict[str, object]]:
        """By broker's key: ``ok`` (None: not known yet), ``reason``, masked ``url``."""
        return {
            collector.key: {
                "ok": collector.pulse.is_well,
                "reason": collector.pulse.reason,
                "url": collector.masked_url,
            }
            for collector in list(self._collectors.values())
        }

    def stop(self) -> None:
        self.use(())

    def _by_collector(self, workers: Sequence[Worker]) -> list[tuple[Collector, list[str]]]:
        nodes: defaultdict[str, list[str]] = defaultdict(list)
        for worker in workers:
            nodes[worker.broker].append(worker.nodename)
        return [
            (self._collectors[url], names)
            for url, names in nodes.items()
            if url in self._collectors
        ]

    def _collector(self, url: str) -> Collector:
        return Collector(
            url,
            self._branch,
            self._table,
            self._clock,
            on_news=self._on_news,
            on_pulse=self._on_pulse,
            beat=self._beat,
            pulse_interval_s=self._pulse_interval_s,
            on_answer=self._on_answer,
        )
