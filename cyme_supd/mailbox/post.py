"""What a process has of the mailbox: who only asks, and who also answers and is heard of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.presence import (
    DEFAULT_INTERVAL_S,
    Gathered,
    Heard,
    Heartbeat,
    Peer,
    growing_s,
)
from cyme_supd.mailbox.asking import Asking
from cyme_supd.mailbox.controllers import Controllers, Handler
from cyme_supd.mailbox.heartbeats import Beating, Hearing
from cyme_supd.mailbox.line import Line
from cyme_supd.mailbox.wire import Kind, Message, Wire

log = logging.getLogger(__name__)


class Post:
    """The ports ``Mailbox`` and ``Presence`` for a process that asks in the name of *id*.

    Nothing is opened before :meth:`start`, or the first question.
    """

    is_answering = False

    def __init__(
        self,
        id: str,
        broker: str,
        fleet: str,
        clock: Clock,
        beat: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.id = id
        self._beat = beat
        self._wire = wire = Wire(broker, fleet)
        self._line = line = Line(
            broker, wire, clock, self.is_answering, self._hear, self._on_up, self._on_lost, beat
        )
        self._hearing = Hearing(clock, self._on_heard)
        self._asking = Asking(id, line, self._hearing, wire, clock)

    def start(self) -> None:
        self._line.start()

    def stop(self) -> None:
        self._line.stop()

    def remember(self, peers: Iterable[Peer]) -> None:
        """Branches that an earlier process heard: whoever is still there beats."""
        self._hearing.remember(peers)

    def peers(self) -> dict[str, Peer]:
        self._line.start()
        return self._hearing.peers()

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        return self._asking.ask(branch, command, arguments, timeout_s)

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        return self._asking.scatter(command, arguments, timeout_s, branches)

    def cast(self, command: str, arguments: Mapping[str, Any], branch: str | None = None) -> None:
        self._asking.cast(command, arguments, branch)

    # -- what the line calls

    def _hear(self, message: Message) -> None:
        if message.kind is Kind.HEARTBEAT:
            self._hearing.hear(message)
        elif message.kind is Kind.ANSWER:
            self._asking.take(message)

    def _on_up(self, address: str) -> None:
        self._hearing.call_roll(self._line, self._wire, address)

    def _on_lost(self, reason: str) -> None:
        self._asking.lost(reason)

    def _on_heard(self, heartbeat: Heartbeat, heard: Heard) -> None:
        """A heartbeat came."""


class BranchPost(Post):
    """The same for the one process of a branch that answers, and beats.

    ``about()`` is the branch's heartbeat at the moment, always that of a process
    which started at *started_at*. *handlers* are those of the ``numc``
    controllers, by command; those in *quick* take milliseconds, those in
    *patient* mostly wait.
    """

    is_answering = True

    def __init__(
        self,
        id: str,
        broker: str,
        fleet: str,
        clock: Clock,
        started_at: datetime,
        about: Callable[[], Heartbeat],
        handlers: Mapping[str, Handler],
        quick: Mapping[str, Handler],
        numc: int,
        beat: Callable[[str], None] = lambda name: None,
        interval_s: float = DEFAULT_INTERVAL_S,
        patient: Mapping[str, Handler] = MappingProxyType({}),
    ) -> None:
        super().__init__(id, broker, fleet, clock, beat)
        line, wire = self._line, self._wire
        self.controllers = Controllers(
            id, started_at, handlers, quick, numc, line, wire, clock, beat, patient
        )
        self._least_s = interval_s
        self._beating = Beating(about, line, wire, clock, self._interval_s, self._show_life)
        self._rivals: set[datetime] = set()

    def start(self) -> None:
        """Once."""
        super().start()
        self.controllers.start()
        self._beating.start()

    def stop(self) -> None:
        """Say so to all; what is under way is not waited for."""
        self._beating.leave()
        self.controllers.stop()
        super().stop()

    def beat_soon(self) -> None:
        """Something of what the heartbeat says has changed."""
        self._beating.soon()

    def _interval_s(self) -> float:
        live = sum(peer.is_live for peer in self._hearing.peers().values())
        return growing_s(live, self._least_s)

    def _show_life(self) -> None:
        self._beat(self._beating.name)
        self.controllers.show_life()

    def _hear(self, message: Message) -> None:
        if message.kind is Kind.QUESTION:
            self.controllers.take(message)
        elif message.kind is Kind.ROLL_CALL:
            self._beating.answer(message)
        else:
            super()._hear(message)

    def _on_up(self, address: str) -> None:
        super()._on_up(address)
        self._beating.soon()

    def _on_heard(self, heartbeat: Heartbeat, heard: Heard) -> None:
        if heartbeat.id == self.id:
            self._look_for_rival(heartbeat)
        elif heard in (Heard.CAME, Heard.LEFT):
            verb = "is there" if heard is Heard.CAME else "has left"
            log.info("branch %s at %s %s", heartbeat.id, heartbeat.url, verb)

    def _look_for_rival(self, heartbeat: Heartbeat) -> None:
        """Another process that says it is this branch: two roots with one id, or a copy of one."""
        own = self._beating.latest
        if own is None or heartbeat.is_leaving or heartbeat.started_at == own.started_at:
            return
        if heartbeat.started_at not in self._rivals:
            self._rivals.add(heartbeat.started_at)
            answers = "this one" if own.started_at > heartbeat.started_at else "that one"
            log.error(
                "another process says that it is branch %s: at %s, started at %s; "
                "others ask %s, which started later. Give one of them another id, with a root "
                "of its own",
                self.id,
                heartbeat.url,
                heartbeat.started_at.isoformat(),
                answers,
            )
