"""Heartbeats: who hears them keeps a table, and a branch sends its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from cyme_supd.clock import Clock
from cyme_supd.domain.presence import DEFAULT_INTERVAL_S, Heard, Heartbeat, Peer, Roll
from cyme_supd.mailbox.line import Letter, Line
from cyme_supd.mailbox.wire import Kind, Message, Wire, heartbeat_message, heartbeat_of, read

log = logging.getLogger(__name__)

#: After a roll call everybody who is there has been heard by then.
SETTLED_S = 0.3
#: How long a branch that ends waits for its last word to be out.
LEAVE_S = 1.0

OnHeard = Callable[[Heartbeat, Heard], None]


class Hearing:
    """:class:`cyme_supd.domain.mailbox.Presence`, from the heartbeats of a line."""

    def __init__(self, clock: Clock, on_heard: OnHeard = lambda heartbeat, heard: None) -> None:
        self._clock = clock
        self._on_heard = on_heard
        self._roll = Roll()
        self._lock = threading.Lock()
        self._settled_at = float("-inf")

    def peers(self) -> dict[str, Peer]:
        with self._lock:
            return self._roll.peers(self._clock.monotonic())

    def remember(self, peers: Iterable[Peer]) -> None:
        """Those that an earlier process heard."""
        with self._lock:
            for peer in peers:
                self._roll.remember(peer, self._clock.monotonic(), self._clock.now())

    def hear(self, message: Message) -> None:
        heartbeat = heartbeat_of(read(message.body))
        with self._lock:
            heard = self._roll.hear(heartbeat, self._clock.monotonic(), self._clock.now())
        self._on_heard(heartbeat, heard)

    def call_roll(self, line: Line, wire: Wire, address: str) -> None:
        """Have every branch beat at once, for *address* alone."""
        now = self._clock.monotonic()
        self._settled_at = now + SETTLED_S
        message = Message(Kind.ROLL_CALL, "{}", {"reply_to": address})
        line.say(Letter(message, wire.presence.name, "", now + LEAVE_S))

    def until_settled(self) -> float:
        """Seconds until everybody there is known, none if they are already."""
        return max(0.0, self._settled_at - self._clock.monotonic())


class Beating:
    """Sends a branch's heartbeat: every interval, and whenever there is news.

    ``interval_s()`` may be another at every beat, which says what it is;
    ``about()`` is what the branch says of itself at the moment; it is called
    from the one thread there is.
    """

    name = "mailbox:beats"

    def __init__(
        self,
        about: Callable[[], Heartbeat],
        line: Line,
        wire: Wire,
        clock: Clock,
        interval_s: Callable[[], float],
        on_beat: Callable[[], None],
    ) -> None:
        self._about = about
        self._line = line
        self._wire = wire
        self._clock = clock
        self._next_interval_s = interval_s
        self._interval_s = interval_s()
        self._on_beat = on_beat
        self._is_due = threading.Event()
        self._stop = threading.Event()
        self.latest: Heartbeat | None = None
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def soon(self) -> None:
        """There is news, or somebody new who is to hear it."""
        self._is_due.set()

    def answer(self, message: Message) -> None:
        """Somebody calls the roll: the latest is new enough, and costs nothing."""
        latest, address = self.latest, message.headers["reply_to"]
        if latest is not None and isinstance(address, str):
            self._say(latest, *self._wire.place(address))

    def leave(self) -> None:
        """Say that the branch ends, and let that get out if it can."""
        self._stop.set()
        self._is_due.set()
        self._thread.join(LEAVE_S)
        if self.latest is None or not self._line.is_up:
            return
        is_over = threading.Event()
        last = replace(self.latest, is_leaving=True)
        self._say(last, self._wire.presence.name, "", is_over.set)
        is_over.wait(LEAVE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._on_beat()
            # Those who hear it take it at its word.
            self._interval_s = self._next_interval_s()
            if self._line.is_up:
                self.latest = self._about()
                self._say(self.latest, self._wire.presence.name, "")
            self._await_due()

    def _await_due(self) -> None:
        """In looks: a thread that is not seen for a minute is taken for dead."""
        due_at = self._clock.monotonic() + self._interval_s
        while (left_s := due_at - self._clock.monotonic()) > 0:
            if self._is_due.wait(min(left_s, DEFAULT_INTERVAL_S)):
                break
            self._on_beat()
        self._is_due.clear()

    def _say(
        self,
        heartbeat: Heartbeat,
        exchange: str,
        routing_key: str,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        own = replace(heartbeat, address=self._line.address, interval_s=self._interval_s)
        deadline = self._clock.monotonic() + self._interval_s
        message = heartbeat_message(own)
        self._line.say(
            Letter(message, exchange, routing_key, deadline, on_over, lambda reason: on_over())
        )
