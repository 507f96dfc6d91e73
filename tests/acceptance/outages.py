"""Brokers that can be taken away and given back, and requests that go on meanwhile."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Protocol

import httpx
import redis

from tests.acceptance.harness import BranchHost
from tests.services import OwnRabbitMQ
from tests.support import eventually

READ_EVERY_S = 0.2
CHANGE_EVERY_S = 0.5
#: So long a change may wait; in an outage that is not known of yet it does.
WAIT_S = 8
AT_ONCE_S = 1.0
_ONCE = re.compile(r"[0-9a-f]{32}")


class Broker(Protocol):
    """A broker in a test's hands; what brings it back returns when it is."""

    @property
    def url(self) -> str | None: ...

    def take(self, host: BranchHost) -> None: ...
    def give(self, host: BranchHost) -> None: ...
    def freeze(self, host: BranchHost) -> None: ...
    def thaw(self, host: BranchHost) -> None: ...
    def holds(self, host: BranchHost) -> set[str]:
        """All that is kept at it for good, but the content of queues."""


class Embedded:
    """The one that the branch runs itself."""

    url = None

    def take(self, host: BranchHost) -> None:
        host.supervisorctl("stop", "cyme:broker")

    def give(self, host: BranchHost) -> None:
        host.supervisorctl("start", "cyme:broker")
        with redis.Redis.from_url(host.broker) as server:
            eventually(lambda: _answers(server))

    def freeze(self, host: BranchHost) -> None:
        os.kill(host.pid("cyme:broker"), signal.SIGSTOP)

    def thaw(self, host: BranchHost) -> None:
        os.kill(host.pid("cyme:broker"), signal.SIGCONT)

    def holds(self, host: BranchHost) -> set[str]:
        with redis.Redis.from_url(host.broker, decode_responses=True) as server:
            kept: set[str] = set()
            for key in server.scan_iter():
                if server.ttl(key) >= 0:
                    continue
                is_set = server.type(key) == "set"
                members = server.smembers(key) if is_set else [""]
                kept.update(f"{key} {member}" for member in members)
            return kept


class Rabbit:
    """One of the tests' own."""

    def __init__(self, own: OwnRabbitMQ) -> None:
        self._own = own
        self.url = own.broker.url("/")

    def take(self, host: BranchHost) -> None:
        self._own.kill()

    def give(self, host: BranchHost) -> None:
        self._own.start()

    def freeze(self, host: BranchHost) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self, host: BranchHost) -> None:
        self._signal(signal.SIGCONT)

    def holds(self, host: BranchHost) -> set[str]:
        # A part of some names is new with every connection.
        held = Counter(
            f"{kind} {_ONCE.sub('', name)}"
            for kind in ("queues", "exchanges")
            for name in self._own.broker.names(kind)
        )
        return {f"{name} ({count})" for name, count in held.items()}

    def _signal(self, number: signal.Signals) -> None:
        assert self._own.process is not None
        self._own.process.send_signal(number)


def _answers(server: redis.Redis) -> bool:
    try:
        return bool(server.ping())
    except redis.ConnectionError:
        return False


@dataclass(frozen=True)
class Sent:
    """A request, and what became of it; instants are monotonic."""

    what: str
    begun_at: float
    took_s: float
    status: int
    body: Any


@dataclass
class Wish:
    """What the branch has accepted: what should be when all is done."""

    limits: tuple[int, int] = (1, 1)
    queues: set[str] = field(default_factory=set)
    is_enabled: bool = True
    created: list[str] = field(default_factory=list)


class Load:
    """Requests that come in all the time: reads in one thread, changes in another.

    The app ``foo`` has the instances ``w1``, that is scaled and consumes, and
    ``w2``, that is disabled and enabled, and the queues ``q0`` to ``q2``.
    """

    def __init__(self, host: BranchHost, prefix: str, most: int = 2) -> None:
        self._host = host
        self._client = httpx.Client(base_url=host.client.base_url, timeout=60, trust_env=False)
        self._prefix = prefix
        self._most = most
        self._done = threading.Event()
        self.reads: list[Sent] = []
        self.changes: list[Sent] = []
        self.wish = Wish()
        self.known_at: float | None = None
        self._count = 0

    @contextmanager
    def running(self) -> Iterator[Load]:
        threads = [threading.Thread(target=body) for body in (self._read, self._change)]
        with self._client:
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                self._done.set()
                for thread in threads:
                    thread.join()

    @property
    def sent(self) -> list[Sent]:
        return [*self.reads, *self.changes]

    def late(self, since: float, until: float) -> list[Sent]:
        """Requests begun in between that were not answered at once."""
        return [one for one in self.sent if since < one.begun_at < until and one.took_s > AT_ONCE_S]

    def _read(self) -> None:
        paths = ["/health/", "/foo/instances/w1/", "/foo/instances/", "/ping/", "/foo/queues/"]
        for path in cycle(paths):
            sent = self._send(self.reads, "GET", path)
            if path == "/health/" and sent.status == 503 and self.known_at is None:
                self.known_at = time.monotonic()
            if self._done.wait(READ_EVERY_S):
                return

    def _change(self) -> None:
        for change in cycle((self._scale, self._consume, self._toggle, self._create, self._cancel)):
            change()
            self._count += 1
            if self._done.wait(CHANGE_EVERY_S):
                return

    def _scale(self) -> None:
        limits = (2 + self._count % 3, 1)
        path = "/foo/instances/w1/autoscale/"
        self._post(path, lambda: setattr(self.wish, "limits", limits), max=limits[0], min=1)

    def _consume(self) -> None:
        queue = f"q{self._count % 3}"
        self._post(f"/foo/instances/w1/queues/{queue}/", lambda: self.wish.queues.add(queue))

    def _cancel(self) -> None:
        queue = f"q{(self._count + 1) % 3}"
        path = f"/foo/instances/w1/queues/{queue}/"
        self._send(self.changes, "DELETE", path, timeout=WAIT_S)
        self.wish.queues.discard(queue)

    def _toggle(self) -> None:
        wanted = not self.wish.is_enabled
        action = "enable" if wanted else "disable"
        self._post(f"/foo/instances/w2/{action}/", lambda: setattr(self.wish, "is_enabled", wanted))

    def _create(self) -> None:
        if len(self.wish.created) < self._most:
            name = f"{self._prefix}-{self._count}"
            self._post(f"/foo/instances/{name}/", lambda: self.wish.created.append(name))

    def _post(self, path: str, accepted: Callable[[], None], **values: Any) -> None:
        self._send(self.changes, "POST", path, timeout=WAIT_S, **values)
        accepted()

    def _send(self, into: list[Sent], method: str, path: str, **values: Any) -> Sent:
        begun_at = time.monotonic()
        response = self._client.request(method, path, json=values or None)
        took_s = time.monotonic() - begun_at
        sent = Sent(f"{method} {path}", begun_at, took_s, response.status_code, response.json())
        into.append(sent)
        return sent
