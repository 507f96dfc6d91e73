"""Workers as they behave: slow to start, late to answer, sometimes deaf or stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cyme_supd.domain.launch import Launch
from cyme_supd.workers import pidbox

if TYPE_CHECKING:
    from tests.simulation.brokers import Broker, Message
    from tests.simulation.processes import Process
    from tests.simulation.world import World

_RECONNECT_S = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0, 26.0, 28.0)
_LONGEST_RECONNECT_S = 30.0
SHUTDOWN_RETRY_S = 0.5


class Worker:
    """A Celery worker with the branch's boot module in it.

    ``queues`` is what it consumes from, with the digest of the declaration each
    is really bound by; ``taken`` what it takes again after every reconnect, and
    tells; ``tasks`` when each that runs will be done. ``is_hung``: does nothing at all,
    ``is_stopped``: for a signal that nobody can refuse; ``is_deaf``: answers, and begins nothing.
    ``well_at_s`` is when it was last over.
    """

    def __init__(self, world: World, process: Process, launch: Launch) -> None:
        self.world = world
        self.process = process
        self.identity = launch.identity
        self.node: str = launch.boot["node"]
        self.pool = launch.argv[launch.argv.index("-P") + 1]
        self.autoscale = _autoscale(launch.argv)
        self.broker: Broker = world.brokers[launch.environment["CELERY_BROKER_URL"]]
        own, *others = launch.boot["queues"]
        self.own: str = own["name"]
        self.taken: dict[str, str] = {entry["name"]: entry["digest"] for entry in others}
        self.queues: dict[str, str] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        self.tasks: list[float] = []
        self.started = 0
        self.is_hung = self.is_stopped = self.is_deaf = False
        self.is_ending = self.has_answered = False
        self.deaf_at = self.well_at_s = 0.0
        self.connection: int | None = None
        self._failures = 0
        self._next_s = 0.0
        # What came while it could not be read; in order.
        self._unread: list[Message] = []
        boot_s = world.scheduler.between(0.3, 2.0) * world.load()
        world.scheduler.after(boot_s, self._booted)
        world.scheduler.after(world.scheduler.between(0.0, 1.0), self._work)

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    @property
    def is_connected(self) -> bool:
        return self.connection is not None

    # Its life

    def _booted(self) -> None:
        if self.is_alive and self.world.crashes_at_boot(self.process.name):
            self.process.exit(1)
        elif self.is_alive:
            self._connect()

    def _connect(self) -> None:
        if not self.is_alive or self.is_ending or self.is_connected:
            return
        if self.is_hung or not self.broker.is_up:
            self._connect_later()
            return
        self._failures = 0
        self.connection = self.broker.connect(self)
        self._take_queues()
        self.world.scheduler.tell("%s: connected", self.node)
        # It says that it is ready a moment before its mailbox is bound.
        self.broker.reply(pidbox.READY, self.node, {"ready": self.process.pid})
        delay_s = self.world.scheduler.between(0.0, 0.04)
        self.world.scheduler.after(delay_s, self._bind, self.connection)

    def _connect_later(self) -> None:
        delays = _RECONNECT_S
        known = self._failures < len(delays)
        delay_s = delays[self._failures] if known else _LONGEST_RECONNECT_S
        self._failures += 1
        self.world.scheduler.after(delay_s, self._connect)

    def _take_queues(self) -> None:
        """Again what it had; what the broker refuses is left out."""
        self.queues = {self.own: ""}
        for name, digest in list(self.taken.items()):
            if not self._allow(name, digest):
                del self.taken[name]
        self.queues.update(self.taken)

    def _allow(self, name: str, digest: str) -> bool:
        if name in self.broker.refused:
            self.refused[name] = (digest, "declared otherwise")
            return False
        self.refused.pop(name, None)
        self.taken[name] = digest
        return True

    def _bind(self, connection: int) -> None:
        if self.is_alive and self.connection == connection and not self.is_ending:
            self.broker.bind(self)

    def disconnect(self) -> None:
        self.connection = None
        self._unread.clear()
        self.broker.disconnect(self)

    def lost_broker(self) -> None:
        """Its connection broke; it tries again by itself, later and later."""
        if self.is_connected:
            self.disconnect()
            if not self.is_ending:
                self._connect_later()

    # Being stopped

    def hang(self) -> None:
        self.is_hung = True
        self.is_stopped = self.world.scheduler.chance(0.5)

    def go_on(self) -> None:
        if self.is_hung or self.is_deaf:
            self.well_at_s = self.world.scheduler.now_s
        self.is_hung = self.is_stopped = self.is_deaf = False
        unread, self._unread = self._unread, []
        for message in unread:
            self.world.scheduler.after(self._latency_s(), self._handle, message)
        if self.is_ending:
            self._end()

    def go_deaf(self) -> None:
        self.is_deaf = True
        self.deaf_at = self.world.scheduler.now_s

    def end_warmly(self) -> None:
        if self.is_ending:
            return
        self.is_ending = True
        self.broker.unbind(self)
        if not self.is_hung:
            self._end()

    def _end(self) -> None:
        """Once its tasks are done; not while its broker hangs, it waits for that."""
        if not self.is_alive or self.is_hung:
            return
        now_s = self.world.scheduler.now_s
        if self.broker.is_hung:
            self.world.scheduler.after(SHUTDOWN_RETRY_S, self._end)
        elif self.tasks and max(self.tasks) > now_s:
            self.world.scheduler.after(max(self.tasks) - now_s, self._end)
        else:
            self.world.scheduler.after(self.world.scheduler.between(0.05, 0.5), self._ended)

    def _ended(self) -> None:
        if self.is_alive and not self.is_hung:
            self.process.exit(0)

    # Its tasks

    def _work(self) -> None:
        """Now and then there is a task for it."""
        if not self.is_alive or self.is_ending:
            return
        scheduler = self.world.scheduler
        self.tasks = [until for until in self.tasks if until > scheduler.now_s]
        is_able = self.is_connected and not (self.is_hung or self.is_deaf)
        if is_able and len(self.tasks) < self._width():
            self.started += 1
            self.tasks.append(scheduler.now_s + min(14.0, scheduler.random.expovariate(1 / 4.0)))
        scheduler.after(scheduler.between(1.0, 9.0), self._work)

    def _width(self) -> int:
        return self.autoscale[0] if self.autoscale else 1

    @property
    def is_mute(self) -> bool:
        """A solo worker answers nobody while its task runs."""
        return self.pool == "solo" and self._busy_until() > self.world.scheduler.now_s

    def _busy_until(self) -> float:
        return max(self.tasks, default=0.0)

    # Its mailbox

    def deliver(self, message: Message, connection: int) -> None:
        if not self.is_alive or self.connection != connection or self.is_ending:
            return
        if self.is_hung:
            self._unread.append(message)
        elif self.is_mute:
            delay_s = self._busy_until() - self.world.scheduler.now_s
            self.world.scheduler.after(delay_s + 0.001, self.deliver, message, connection)
        else:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if not self.is_alive or not self.is_connected or self.is_ending:
            return
        if self.is_hung:
            self._unread.append(message)
            return
        if message.expires_s < self.world.scheduler.wall_s:
            return
        if message.command == pidbox.CONSUME:
            for entry in message.arguments["entries"]:
                name, digest = entry["name"], entry["digest"]
                is_bound_otherwise = name in self.queues and self.taken.get(name) != digest
                if not is_bound_otherwise and self._allow(name, digest):
                    self._soon(self._consume, name)
        elif message.command == pidbox.CANCEL:
            for name in message.arguments["queues"]:
                self.refused.pop(name, None)
                self._soon(self._cancel, name)
        elif message.command == "autoscale" and self.autoscale is not None:
            self.autoscale = (message.arguments["max"], message.arguments["min"])
        if message.command in (pidbox.LOOK, pidbox.CONSUME, pidbox.CANCEL):
            self.has_answered = True
            self.broker.reply(message.command, self.node, self._told())

    def _soon(self, what: Any, name: str) -> None:
        # It says so before it does; what comes first is done first.
        now_s = self.world.scheduler.now_s
        self._next_s = max(self._next_s, now_s) + self._latency_s()
        self.world.scheduler.after(self._next_s - now_s, what, name, self.connection)

    def _consume(self, name: str, connection: int) -> None:
        # One it knows it binds to nothing else.
        is_there = self.is_alive and self.connection == connection
        if is_there and name not in self.queues and name in self.taken:
            self.queues[name] = self.taken[name]

    def _cancel(self, name: str, connection: int) -> None:
        if self.is_alive and self.connection == connection:
            self.queues.pop(name, None)
            self.taken.pop(name, None)

    def _told(self) -> Mapping[str, Any]:
        return {
            "pid": self.process.pid,
            "autoscale": list(self.autoscale) if self.autoscale else None,
            "queues": {name: self.taken.get(name, "") for name in self.queues},
            "refused": {name: list(said) for name, said in self.refused.items()},
            "prefetch": self._width(),
            "started": self.started,
            "active": sum(until > self.world.scheduler.now_s for until in self.tasks),
        }

    def _latency_s(self) -> float:
        return self.world.scheduler.between(0.001, 0.03)


def _autoscale(argv: tuple[str, ...]) -> tuple[int, int] | None:
    for word in argv:
        if word.startswith("--autoscale="):
            most, least = word.partition("=")[2].split(",")
            return int(most), int(least)
    return None
