"""A fleet of branches in one process, without a broker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.presence import Gathered, Heartbeat, Peer, Roll
from cyme_supd.errors import CymeError, Internal, NoAnswer, NotFound, Unavailable

Handler = Callable[[Mapping[str, Any], float], Any]


class MemoryBranch:
    """``heartbeat`` and ``handlers`` may be changed at any time.

    One that ``is_mute`` lives and answers nothing.
    """

    def __init__(self, heartbeat: Heartbeat, handlers: Mapping[str, Handler]) -> None:
        self.heartbeat = heartbeat
        self.handlers = dict(handlers)
        self.is_mute = False
        self.is_alive = True

    def stop(self) -> None:
        """End, with a word to all."""
        self.heartbeat = replace(self.heartbeat, is_leaving=True)

    def kill(self) -> None:
        """Send no heartbeat any more."""
        self.is_alive = False


class MemoryFleet:
    """:class:`cyme_supd.domain.mailbox.Mailbox` and ``Presence`` of whoever is in it.

    While ``is_down`` is set there is no broker. A question to one that is mute
    takes as long as it may, by the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._roll = Roll()
        self._lock = threading.Lock()
        self.branches: dict[str, MemoryBranch] = {}
        self.is_down = False

    def join(self, heartbeat: Heartbeat, handlers: Mapping[str, Handler]) -> MemoryBranch:
        branch = self.branches[heartbeat.id] = MemoryBranch(heartbeat, handlers)
        return branch

    def peers(self) -> dict[str, Peer]:
        now, at = self._clock.monotonic(), self._clock.now()
        with self._lock:
            for branch in self.branches.values():
                if branch.is_alive and not self.is_down:
                    self._roll.hear(branch.heartbeat, now, at)
                # It has said so once.
                branch.is_alive = branch.is_alive and not branch.heartbeat.is_leaving
            return self._roll.peers(now)

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        gathered = self._put({branch}, command, arguments, timeout_s)
        if branch in gathered.errors:
            raise gathered.errors[branch]
        if branch in gathered.silent:
            peer = self.peers().get(branch)
            if peer is None or not peer.is_live:
                raise Unavailable(f"branch {branch!r} is not there")
            raise NoAnswer(f"branch {branch!r} did not answer within {timeout_s:g} s")
        return gathered.answers[branch]

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        wanted = set(self.peers() if branches is None else branches)
        return self._put(wanted, command, arguments, timeout_s)

    def cast(self, command: str, arguments: Mapping[str, Any], branch: str | None = None) -> None:
        if not self.is_down:
            for id in self._live() & ({branch} if branch is not None else self._live()):
                self._said(id, command, arguments, 30.0)

    def _live(self) -> set[str]:
        return {id for id, peer in self.peers().items() if peer.is_live}

    def _put(
        self, wanted: set[str], command: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> Gathered:
        if self.is_down:
            raise Unavailable("the broker is down")
        deadline = self._clock.monotonic() + timeout_s
        answers, errors, silent = {}, {}, []
        # All are asked at once: who is waited for in vain keeps no other from answering.
        for id in sorted(wanted, key=lambda id: (self._is_mute(id), id)):
            said = None
            left_s = deadline - self._clock.monotonic()
            if id in self._live() and left_s > 0:
                said = self._said(id, command, arguments, left_s)
            if said is None:
                silent.append(id)
            elif isinstance(said, CymeError):
                errors[id] = said
            else:
                (answers[id],) = said
        return Gathered(answers, errors, tuple(silent))

    def _is_mute(self, id: str) -> bool:
        return id in self.branches and self.branches[id].is_mute

    def _said(
        self, id: str, command: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> list[Any] | CymeError | None:
        """The answer in a list, the error, or nothing in time."""
        branch, said = self.branches[id], list[list[Any] | CymeError]()
        if branch.is_mute or not branch.is_alive:
            self._wait_in_vain(id, timeout_s)
            return None
        handler = branch.handlers.get(command)
        if handler is None:
            return NotFound(f"branch {id!r} knows no {command!r}")
        thread = threading.Thread(
            target=lambda: said.append(_answer(handler, arguments, timeout_s)), daemon=True
        )
        thread.start()
        thread.join(timeout_s)
        return said[0] if said else None

    def _wait_in_vain(self, id: str, timeout_s: float) -> None:
        """As long as there is time, and hope."""
        deadline = self._clock.monotonic() + timeout_s
        while id in self._live() and (left_s := deadline - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, 0.1))


def _answer(
    handler: Handler, arguments: Mapping[str, Any], timeout_s: float
) -> list[Any] | CymeError:
    try:
        return [_over_the_wire(handler(_over_the_wire(dict(arguments)), timeout_s))]
    except CymeError as exc:
        return exc
    except Exception as exc:
        return Internal(f"the branch could not answer: {exc!r}")


def _over_the_wire(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))
