"""A dispatcher that a test controls: grants what it knows, and writes down what it hears."""

from __future__ import annotations

import contextlib
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from kombu import Connection, Consumer, Queue

from cyme_supd.brokers import connections
from cyme_supd.domain.orders import (
    Cancel,
    Claim,
    Ended,
    Grant,
    Message,
    Order,
    Reason,
    Refusal,
    Withdrawal,
)
from cyme_supd.runner.letters import order_message, said_in, said_message
from cyme_supd.seal import Seal
from cyme_supd.workers import taking
from cyme_supd.workers.outgoing import NoRoute, Outgoing

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_grant(**given: Any) -> Grant:
    """What is to be run; nonce and run are put in when it is granted."""
    wanted: dict[str, Any] = {"command": None, "argv": None, "environment": {}, "user": None}
    return Grant(
        run=str(uuid.uuid4()),
        nonce="0" * 32,
        job="j1",
        name="nightly",
        category="example",
        fire_time=AT,
        **{**wanted, "timeout_s": 60.0, **given},
    )


class Dispatcher:
    """At *url*; ``is_silent`` hears claims and answers none."""

    def __init__(self, url: str, seal: Seal) -> None:
        self.url = url
        self.seal = seal
        self.queue = f"jobs-{secrets.token_hex(6)}"
        self.reply = f"cyme.results.{secrets.token_hex(6)}"
        self.runs: dict[str, Grant] = {}
        self.claims: dict[str, Claim] = {}
        self.heard: list[Any] = []
        self.refusals: list[str] = []
        self.is_silent = False
        self._outgoing = Outgoing(url, 5.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Dispatcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError), Connection(self.url) as connection:
            for name in (self.queue, self.reply):
                connection.default_channel.queue_delete(name)
        self._outgoing.close()

    def order(self, times: int = 1, **given: Any) -> str:
        grant = a_grant(**given)
        self.runs[grant.run] = grant
        self.publish(grant.run, times)
        return grant.run

    def publish(self, run: str, times: int = 1, seal: Seal | None = None) -> None:
        order = Order(run, "j1", self.reply)
        for _ in range(times):
            self.put(self.queue, order_message(seal or self.seal, order, "test"))

    def put(self, queue: str, message: Any) -> None:
        try:
            self._outgoing.put(queue, [message])
        except NoRoute:
            with self._outgoing.channel() as channel:
                Queue(queue, durable=True)(channel).declare()
            self._outgoing.put(queue, [message])

    def cancel(self, run: str) -> None:
        claim = self.claims[run]
        self._say(claim.reply, Cancel(run, claim.nonce))

    def all(self, kind: type[Any], run: str) -> list[Any]:
        return [each for each in self.heard if type(each) is kind and each.run == run]

    def ended(self, run: str) -> Ended | None:
        return next(iter(self.all(Ended, run)), None)

    def _say(self, queue: str, said: Message) -> None:
        with contextlib.suppress(NoRoute):
            self._outgoing.put(queue, [said_message(self.seal, said)])

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = connections.connection(self.url, transport=taking.transport_of(self.url))
            with contextlib.suppress(*connections.broken(connection)), connection:
                self._listen(connection)
            self._stop.wait(0.1)

    def _listen(self, connection: Connection) -> None:
        queues = [Queue(self.reply, durable=True)]
        with Consumer(connection.channel(), queues, on_message=self._hear, accept=["json"]):
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)

    def _hear(self, message: Any) -> None:
        said = said_in(self.seal, message.body, (object,))
        self.heard.append(said)
        if isinstance(said, Claim) and not self.is_silent:
            self._say(said.reply, self._answer(said))
        claim = self.claims.get(said.run)
        if isinstance(said, Withdrawal) and claim is not None and claim.nonce == said.nonce:
            del self.claims[said.run]
        message.ack()

    def _answer(self, claim: Claim) -> Grant | Refusal:
        known = self.runs.get(claim.run)
        if known is None:
            return self._refuse(claim, Reason.UNKNOWN)
        if self.claims.setdefault(claim.run, claim).nonce != claim.nonce:
            return self._refuse(claim, Reason.CLAIMED)
        return replace(known, nonce=claim.nonce)

    def _refuse(self, claim: Claim, reason: Reason) -> Refusal:
        self.refusals.append(claim.run)
        return Refusal(claim.run, claim.nonce, reason)


@contextlib.contextmanager
def dispatching(url: str, seal: Seal) -> Iterator[Dispatcher]:
    with Dispatcher(url, seal) as dispatcher:
        yield dispatcher
