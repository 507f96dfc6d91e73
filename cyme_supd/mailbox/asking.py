"""Puts questions to branches, from many threads, each of which waits for its own answers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from cyme_supd.clock import Clock
from cyme_supd.domain.presence import Gathered, Heartbeat, Peer
from cyme_supd.errors import CymeError, NoAnswer, Unavailable, from_wire
from cyme_supd.mailbox.heartbeats import Hearing
from cyme_supd.mailbox.line import Letter, Line
from cyme_supd.mailbox.wire import Kind, Message, Wire, as_json, read

#: How often it is looked whether those who are waited for still live; after the
#: first time it is found out, too, whether the broker passes anything on.
LOOK_S = 0.25
#: How long what nobody waits for is worth doing.
CAST_S = 30.0


class Asking:
    """:class:`cyme_supd.domain.mailbox.Mailbox` over a line."""

    def __init__(self, id: str, line: Line, hearing: Hearing, wire: Wire, clock: Clock) -> None:
        # Of a process: another on the same host may see another clock.
        self._sender = f"{id}.{uuid4().hex[:8]}"
        self._line = line
        self._hearing = hearing
        self._wire = wire
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Round] = {}

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        deadline = self._clock.monotonic() + timeout_s
        self._await_up(deadline)
        peer = self._live(branch, deadline)
        round = self._put([peer], None, command, arguments, deadline)
        if round.errors:
            raise round.errors[branch]
        if branch not in round.answers:
            self._raise_why(round, branch, timeout_s)
        return round.answers[branch]

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        deadline = self._clock.monotonic() + timeout_s
        self._await_up(deadline)
        self._settle(deadline)
        peers = self._hearing.peers()
        wanted = set(peers if branches is None else branches)
        live = [peer.heartbeat for id, peer in peers.items() if peer.is_live]
        asked = [each for each in live if each.id in wanted]
        others = [id for id in peers if id not in wanted]
        round = self._put(asked, others, command, arguments, deadline)
        if not (round.answers or round.errors) and (why := self._broken(round)):
            raise Unavailable(why, "ask again")
        silent = sorted(wanted - round.answers.keys() - round.errors.keys())
        return Gathered(round.answers, round.errors, tuple(silent))

    def cast(self, command: str, arguments: Mapping[str, Any], branch: str | None = None) -> None:
        self._line.start()
        deadline = self._clock.monotonic() + CAST_S
        place: tuple[str, str] | None = (self._wire.everybody.name, "")
        if branch is not None:
            peer = self._hearing.peers().get(branch)
            place = self._wire.place(peer.heartbeat.address) if peer else None
        if place is not None and self._line.is_up and self._is_anybody_there():
            message = self._message(command, arguments, deadline, uuid4().hex, [], False)
            self._line.say(Letter(message, *place, deadline))

    def _is_anybody_there(self) -> bool:
        return any(peer.is_live for peer in self._hearing.peers().values())

    # -- what the line hears

    def take(self, message: Message) -> None:
        """An answer; one that nobody waits for any more is dropped."""
        with self._lock:
            round = self._open.get(str(message.headers["ticket"]))
        if round is not None:
            headers = message.headers
            started_at = datetime.fromisoformat(headers["started_at"])
            round.take(str(headers["branch"]), started_at, read(message.body))

    def lost(self, reason: str) -> None:
        """What was asked cannot be answered any more: the place for answers is gone."""
        with self._lock:
            rounds = list(self._open.values())
        for round in rounds:
            round.fail(f"the connection to the broker broke: {reason}")

    # -- before

    def _await_up(self, deadline: float) -> None:
        if not self._line.await_up(deadline - self._clock.monotonic()):
            reason = self._line.reason or "it does not answer"
            raise Unavailable(f"the broker between the branches is not to be had: {reason}")

    def _settle(self, deadline: float) -> None:
        """A process that has just come does not know everybody yet."""
        left = deadline - self._clock.monotonic()
        if (wait_s := min(self._hearing.until_settled(), left)) > 0:
            self._clock.sleep(wait_s)

    def _live(self, branch: str, deadline: float) -> Heartbeat:
        peer = self._hearing.peers().get(branch)
        if peer is None or not peer.is_live:
            self._settle(deadline)
            peer = self._hearing.peers().get(branch)
        if peer is None:
            raise Unavailable(f"branch {branch!r} is not to be heard")
        if not peer.is_live:
            raise Unavailable(f"branch {branch!r} is gone", "its workers run on if its host does")
        return peer.heartbeat

    # -- one round of question and answers

    def _put(
        self,
        asked: Collection[Heartbeat],
        others: Collection[str] | None,
        command: str,
        arguments: Mapping[str, Any],
        deadline: float,
    ) -> _Round:
        """Ask, and wait. *others* are not asked; ``None``: it is not known who they are."""
        round = _Round({each.id: each for each in asked})
        if not asked:
            return round
        ticket = uuid4().hex
        message = self._message(command, arguments, deadline, ticket, others or [], True)
        with self._lock:
            self._open[ticket] = round
        try:
            # One for all, as long as that is less than one for each.
            if others is not None and len(others) < len(asked):
                self._say(message, self._wire.everybody.name, "", deadline, round)
            else:
                for each in asked:
                    self._say(message, *self._wire.place(each.address), deadline, round)
            self._wait(round, message, deadline)
        finally:
            with self._lock:
                self._open.pop(ticket, None)
            # An answer that is being taken at this moment comes too late.
            round.fail("")
        return round

    def _message(
        self,
        command: str,
        arguments: Mapping[str, Any],
        deadline: float,
        ticket: str,
        others: Collection[str],
        is_answered: bool,
    ) -> Message:
        exchange, routing_key = self._wire.place(self._line.address)
        reply_to = {"exchange": exchange, "routing_key": routing_key}
        question = {
            "method": command,
            "arguments": arguments,
            "destination": None,
            "others": list(others),
            "ticket": ticket,
            "reply_to": reply_to if is_answered else None,
        }
        headers = {
            "sender": self._sender,
            "sent_at": self._clock.now().timestamp(),
            "timeout_s": deadline - self._clock.monotonic(),
        }
        return Message(Kind.QUESTION, as_json(question), headers)

    def _say(
        self, message: Message, exchange: str, routing_key: str, deadline: float, round: _Round
    ) -> None:
        lost = partial(_lost, round)
        self._line.say(Letter(message, exchange, routing_key, deadline, on_lost=lost))

    def _wait(self, round: _Round, message: Message, deadline: float) -> None:
        """Until everybody who lives has answered, or it is too late."""
        timeout_s = deadline - self._clock.monotonic()
        look_s = min(LOOK_S, timeout_s / 2)
        is_first = True
        while (left_s := deadline - self._clock.monotonic()) > 0:
            if round.is_over.wait(min(left_s, look_s)):
                return
            if is_first:
                is_first = False
                round.asked_echo_at = self._clock.monotonic()
                self._line.echo()
            # Sent to where it was, it is lost; who has it nevertheless knows its ticket.
            for moved in round.look_at(self._hearing.peers()):
                self._say(message, *self._wire.place(moved.address), deadline, round)

    def _broken(self, round: _Round) -> str:
        """Why there can be no answer, if that is the broker; else empty."""
        if round.reason:
            return round.reason
        if round.asked_echo_at is None or self._line.heard_at >= round.asked_echo_at:
            return ""
        return "the broker between the branches passes nothing on"

    def _raise_why(self, round: _Round, branch: str, timeout_s: float) -> None:
        if why := self._broken(round):
            raise Unavailable(why, "ask again")
        if branch in round.gone:
            raise Unavailable(f"branch {branch!r} went while it was asked", "look what it has done")
        raise NoAnswer(
            f"branch {branch!r} did not answer within {timeout_s:g} s", "it lives: ask again"
        )


def _lost(round: _Round, reason: str) -> None:
    round.fail(f"the broker between the branches does not take it: {reason}")


@dataclass(slots=True)
class _Round:
    """A question and what came of it; ``wanted`` are those yet to answer, by id."""

    wanted: dict[str, Heartbeat]
    answers: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, CymeError] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    reason: str = ""
    asked_echo_at: float | None = None
    is_over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, id: str, started_at: datetime, said: Mapping[str, Any]) -> None:
        error = from_wire(dict(said["error"])) if "error" in said else None
        with self._lock:
            asked = self.wanted.get(id)
            if self.is_over.is_set() or asked is None or asked.started_at != started_at:
                return
            del self.wanted[id]
            if error is not None:
                self.errors[id] = error
            else:
                self.answers[id] = said["answer"]
            self._check()

    def look_at(self, peers: Mapping[str, Peer]) -> list[Heartbeat]:
        """Leave out who will not answer: lapsed, or another process by now.

        Those come back that are at another address than they were asked at.
        """
        moved = []
        with self._lock:
            for id, asked in list(self.wanted.items()):
                peer = peers.get(id)
                now = peer.heartbeat if peer and peer.is_live else None
                if now is None or now.started_at != asked.started_at:
                    del self.wanted[id]
                    self.gone.add(id)
                elif now.address != asked.address:
                    self.wanted[id] = now
                    moved.append(now)
            self._check()
        return moved

    def fail(self, reason: str) -> None:
        with self._lock:
            if not self.is_over.is_set():
                self.reason = reason
                self.is_over.set()

    def _check(self) -> None:
        if not self.wanted:
            self.is_over.set()
