"""What a use-case asks of workers, and waits for: a connection of its own for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Producer, Queue

from cyme_supd.brokers import bounded
from cyme_supd.brokers.connections import CONNECT_TIMEOUT_S, IO_TIMEOUT_S, broken, connection
from cyme_supd.clock import Clock
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.orphans import Inventory
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import Unavailable
from cyme_supd.workers.pidbox import REPLY_QUEUE_EXPIRES_S, ask

Commands = Mapping[str, dict[str, Any]]
#: By node and command.
Answers = dict[tuple[str, str], Any]

STATS, ACTIVE = "stats", "active"
#: Celery's own, in the order of :class:`Inventory`, with their arguments.
_INVENTORY: Commands = {"active_queues": {}, "registered": {"builtins": True}}

#: What is left when an answer does not come is not to be waited for, too.
CLOSE_WITHIN_S = 0.1
#: How long one look for answers lasts; on Redis it may be twice that.
DRAIN_S = 0.05
#: What an answer may take from a worker that has the question.
ANSWER_S = 0.1


class WorkerQuestions:
    """:class:`cyme_supd.domain.ports.WorkerQuestions`, from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        """Celery's stats of the worker; ``Unavailable`` when it does not say."""
        stats = self._asked([worker], {STATS: {}}, timeout_s).get((worker.nodename, STATS))
        if not isinstance(stats, dict):
            raise Unavailable(f"{worker.nodename} did not answer within {timeout_s:g} s")
        return stats

    def stats_of_all(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> dict[str, dict[str, object]]:
        answers = self._asked(workers, {STATS: {}}, timeout_s)
        told = {worker.name: answers.get((worker.nodename, STATS)) for worker in workers}
        return {name: said for name, said in told.items() if isinstance(said, dict)}

    def inventories(self, workers: Sequence[Worker], timeout_s: float) -> dict[str, Inventory]:
        """Celery's words for it, which every worker knows; one message each for all of them."""
        answers = self._asked(workers, _INVENTORY, timeout_s)
        found = {}
        for worker in workers:
            queues, tasks = (answers.get((worker.nodename, command)) for command in _INVENTORY)
            if isinstance(queues, list) and isinstance(tasks, list):
                found[worker.name] = _inventory(queues, tasks)
        return found

    def active(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> dict[str, tuple[RunningTask, ...]]:
        """Whose arguments may be anything, and are nobody's business here."""
        answers = self._asked(workers, {ACTIVE: {"safe": True}}, timeout_s)
        told = {worker.name: answers.get((worker.nodename, ACTIVE)) for worker in workers}
        return {
            name: tuple(_task(name, each) for each in said)
            for name, said in told.items()
            if isinstance(said, list)
        }

    def _asked(self, workers: Sequence[Worker], commands: Commands, timeout_s: float) -> Answers:
        """What workers of one broker answer in time."""
        deadline = self._clock.monotonic() + timeout_s
        conn = connection(
            workers[0].broker, min(CONNECT_TIMEOUT_S, timeout_s), min(IO_TIMEOUT_S, timeout_s)
        )
        try:
            # On Redis a channel is closed when the command under way has ended.
            conn.transport.brpop_timeout = CLOSE_WITHIN_S
            bounded.connect(conn)
            return self._answers(conn, commands, [each.nodename for each in workers], deadline)
        except broken(conn) as exc:
            raise Unavailable(f"its broker is not to be had: {exc}") from exc
        finally:
            bounded.let_go(conn)

    def _answers(
        self,
        conn: Connection,
        commands: Commands,
        nodes: Sequence[str],
        deadline: float,
    ) -> Answers:
        """By node and command, until all have answered or it is too late."""
        answers: Answers = {}
        wanted = {(node, command) for node in nodes for command in commands}

        def receive(body: Any, message: Any) -> None:
            for node, said in body.items() if isinstance(body, dict) else ():
                key = (str(node), str(message.headers.get("ticket")))
                if key in wanted:
                    answers[key] = said

        channel, address = conn.channel(), f"cyme-ask-{uuid4().hex}"
        _answers_at(address, channel, receive).consume()
        left_s = deadline - self._clock.monotonic()
        # On Redis an answer that comes when nobody listens any more stays for good.
        expires_at = self._clock.now().timestamp() + max(left_s / 2, left_s - ANSWER_S)
        # By the queue's name alone: on Redis a binding would outlive whoever
        # is killed, or loses the broker, before it can take it away.
        producer = Producer(channel)
        for command, arguments in commands.items():
            ask(producer, command, arguments, nodes, address, expires_at, exchange="")
        while len(answers) < len(wanted):
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                break
            with suppress(TimeoutError):
                conn.drain_events(timeout=min(left_s, DRAIN_S))
        return answers


def _task(instance: str, said: Mapping[str, Any]) -> RunningTask:
    began = said.get("time_start")
    started_at = datetime.fromtimestamp(began, UTC) if isinstance(began, int | float) else None
    return RunningTask(instance, str(said["id"]), str(said["name"]), started_at)


def _inventory(queues: list[Any], tasks: list[Any]) -> Inventory:
    return Inventory(
        queues=frozenset(str(each["name"]) for each in queues if isinstance(each, dict)),
        # Behind the name there may be settings of the task, in brackets.
        tasks=frozenset(str(each).partition(" [")[0] for each in tasks),
    )


def _answers_at(address: str, channel: Any, receive: Callable[[Any, Any], None]) -> Consumer:
    queue = Queue(address, durable=False, auto_delete=True, expires=REPLY_QUEUE_EXPIRES_S)
    return Consumer(channel, [queue], callbacks=[receive], no_ack=True, accept=["json"])
