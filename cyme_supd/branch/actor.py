"""Carries out what a plan says, and logs one line for each thing done."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable

from cyme_supd.clock import Clock
from cyme_supd.domain.audit import ACT, INSTANCE, Change
from cyme_supd.domain.plan import (
    Action,
    Apply,
    Autoscale,
    Cancel,
    Consume,
    Kill,
    Remove,
    Start,
    Stop,
    WriteLaunch,
)
from cyme_supd.domain.ports import Launches, Programs, RemoteControl
from cyme_supd.domain.spec import Worker

log = logging.getLogger(__name__)

_MOST_DONE = 1000
#: They prepare what is noted.
_UNNOTED = (WriteLaunch, Apply)
#: A start that has not led to an answer by then no longer holds up others.
START_SLOT_S = 10.0


class Actor:
    """Acts on workers. Nothing here waits for what it has set going.

    At most *max_starting* workers are on their way up at once: thirty at
    once on two cores take twelve seconds each, four at a time half a second.
    """

    def __init__(
        self,
        programs: Programs,
        launches: Launches,
        remote: RemoteControl,
        clock: Clock,
        max_starting: int,
        on_action: Callable[[Action], None] = lambda _action: None,
    ) -> None:
        self._programs = programs
        self._launches = launches
        self._remote = remote
        self._clock = clock
        self._max_starting = max_starting
        #: What was done to workers, until it is written down.
        self.done: deque[Change] = deque(maxlen=_MOST_DONE)
        self._on_action = on_action
        self._starting: dict[str, float] = {}
        # In the order they came; the values mean nothing.
        self._waiting: dict[str, None] = {}
        self._commanded: dict[str, float] = {}
        # Asked to end, and not started since.
        self._ending: set[str] = set()

    def act(self, worker: Worker, action: Action) -> bool:
        """Do it; False where the worker has to wait for its turn, see :meth:`turns`."""
        if isinstance(action, Start) and not self._take_slot(worker.name):
            return False
        self._do(worker, action)
        self._note(worker, action)
        self._on_action(action)
        log.info("%s: %s (%s)", worker.name, _words(action), action.reason)
        return True

    def _note(self, worker: Worker, action: Action) -> None:
        if not isinstance(action, _UNNOTED):
            after = {"action": _words(action), "reason": action.reason}
            self.done.append(Change(ACT, INSTANCE, worker.app.name, worker.name, None, after))

    def commanded_at(self, name: str) -> float | None:
        """When the worker was last told something over remote control (monotonic)."""
        return self._commanded.get(name)

    def is_asked_to_end(self, name: str) -> bool:
        """Whether it was stopped from here, and not started since."""
        return name in self._ending

    def told(self, name: str) -> None:
        """It is being told something, or has refused what its launch file said."""
        self._commanded[name] = self._clock.monotonic()

    def arrived(self, name: str) -> None:
        """The worker is up, or down again: the next may start."""
        self._starting.pop(name, None)

    def turns(self) -> list[str]:
        """Who has waited longest, as many as may start now; they are to be looked at."""
        names = list(itertools.islice(self._waiting, self._free()))
        for name in names:
            del self._waiting[name]
        return names

    def next_turn(self) -> tuple[str, float] | None:
        """Who waits longest, and in how many seconds a start at the latest makes room."""
        if not self._waiting or not self._starting:
            return None
        left_s = START_SLOT_S - (self._clock.monotonic() - min(self._starting.values()))
        return next(iter(self._waiting)), max(0.0, left_s)

    def _do(self, worker: Worker, action: Action) -> None:
        match action:
            case WriteLaunch(launch=launch):
                self._launches.write(worker.name, launch)
            case Apply(stop_timeout_s=stop_timeout_s):
                self._programs.apply(worker.name, stop_timeout_s)
            case Start():
                self._ending.discard(worker.name)
                self._remote.forget(worker)
                self._programs.start([worker.name])
            case Stop():
                self._ending.add(worker.name)
                self._programs.stop([worker.name])
            case Kill():
                self._ending.add(worker.name)
                self._programs.kill([worker.name])
            case Remove():
                self._remove(worker)
            case Autoscale(max=most, min=least):
                self.told(worker.name)
                self._remote.autoscale([worker], most, least)
            case Consume(entries=entries):
                self.told(worker.name)
                self._remote.consume(worker, entries)
            case Cancel(queues=queues):
                self.told(worker.name)
                self._remote.cancel(worker, queues)

    def _remove(self, worker: Worker) -> None:
        # In this order a crash in between leaves a program without files at
        # no time, and the next pass goes on where this one ended.
        self._programs.remove(worker.name)
        self._launches.remove(worker.name)
        self._remote.forget(worker)
        self._remote.drop_queue(worker)
        self._commanded.pop(worker.name, None)
        self._waiting.pop(worker.name, None)
        self._ending.discard(worker.name)
        self.arrived(worker.name)

    def _take_slot(self, name: str) -> bool:
        if name not in self._starting and self._free() == 0:
            self._waiting.setdefault(name)
            return False
        self._waiting.pop(name, None)
        self._starting[name] = self._clock.monotonic()
        return True

    def _free(self) -> int:
        now = self._clock.monotonic()
        self._starting = {
            name: since for name, since in self._starting.items() if now - since < START_SLOT_S
        }
        return max(0, self._max_starting - len(self._starting))


def _words(action: Action) -> str:
    match action:
        case WriteLaunch():
            return "write launch file"
        case Apply():
            return "apply program"
        case Autoscale(max=most, min=least):
            return f"autoscale {most},{least}"
        case Consume(entries=entries):
            return f"consume_from {', '.join(str(entry['name']) for entry in entries)}"
        case Cancel(queues=queues):
            return f"cancel {', '.join(queues)}"
        case _:
            return type(action).__name__.lower()
