"""Jobs and runs in a store, ordered as the injector does, and an answerer that hears of them."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kombu import Queue

from cyme_supd.clock import SystemClock
from cyme_supd.domain.job import Job, Run, RunStatus, run_id
from cyme_supd.domain.orders import Order, answers_queue
from cyme_supd.domain.ports import Store
from cyme_supd.runner.letters import order_message
from cyme_supd.scheduler.answerer import Answerer
from cyme_supd.seal import Seal
from cyme_supd.workers.outgoing import Outgoing


class Scheduling:
    """At the broker at *url*: what a test orders goes to ``queue``."""

    def __init__(self, url: str, store: Store, key: bytes) -> None:
        self.url = url
        self.store = store
        self.key = key
        self.seal = Seal(key)
        self.queue = f"jobs-{secrets.token_hex(6)}"
        self.reply = answers_queue(key)
        self._outgoing = Outgoing(url, 5.0)
        with store.writing() as tx:
            tx.add_category("example")

    def job(self, **given: Any) -> Job:
        name = given.pop("name", secrets.token_hex(4))
        job = Job("example", name, "@daily", datetime.now(UTC), routing_key=self.queue, **given)
        with self.store.writing() as tx:
            tx.add_jobs([job])
        return job

    def order(self, job: Job, **given: Any) -> Run:
        """A run of *job*, stored and ordered; with ``order_at=None`` it waits for another."""
        now = datetime.now(UTC)
        made = Run(
            run_id(job.id, now), job.id, job.category, job.name, now, RunStatus.QUEUED, now,
            order_at=now, orders=1,
        )  # fmt: skip
        run = replace(made, **given)
        with self.store.recording() as tx:
            tx.add_runs([run])
        if run.order_at is not None:
            self.publish(run)
        return run

    def sealed(self, run: Run) -> str:
        """What a runner finds in an order of it."""
        return self.seal.close(Order(run.id, run.job_id, self.reply))

    def publish(self, *runs: Run) -> None:
        orders = [Order(run.id, run.job_id, self.reply) for run in runs]
        letters = [(self.queue, order_message(self.seal, order, "test")) for order in orders]
        if self._outgoing.put_each(letters):
            with self._outgoing.channel() as channel:
                Queue(self.queue, durable=True)(channel).declare()
            self._outgoing.put_each(letters)

    def now(self, run: Run) -> Run:
        with self.store.reading() as view:
            return view.run(run.id)

    def events(self, run: Run) -> list[str]:
        with self.store.reading() as view:
            return [event.type for event in view.run_events(run.id)]

    def close(self) -> None:
        with self._outgoing.channel() as channel:
            for name in (self.queue, self.reply):
                channel.queue_delete(name)
        self._outgoing.close()


@contextlib.contextmanager
def answering(of: Scheduling, sharer: str = "a") -> Iterator[Answerer]:
    """An answerer that sweeps and listens until the end."""
    answerer = Answerer(
        of.store, of.key, sharer, of.url, SystemClock(), lambda name: None,
        lambda name: None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=answerer.run, args=(stop, lambda: None), daemon=True)
    thread.start()
    try:
        yield answerer
    finally:
        stop.set()
        thread.join()
