"""The simulated supervisord in real time: held to what the real one does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from cyme_supd.errors import Unavailable
from cyme_supd.supervisord.programs import SupervisordPrograms
from tests.simulation.branch import Client, first_error_of
from tests.simulation.disk import Sections
from tests.simulation.world import World
from tests.unit.values import a_worker, the_launch

_TURN_S = 0.01


class LiveWorld:
    """Simulated time passes as real time does; threads take turns."""

    def __init__(self) -> None:
        self._simulated = World(seed=1)
        self._simulated.branch.die()
        self._begun_s = time.monotonic() - self._simulated.scheduler.now_s
        self._lock = threading.RLock()
        self._stubborn: set[str] = set()
        client = LiveClient(self._simulated, self.turn)
        self.programs = SupervisordPrograms(
            cast(Any, client), cast(Any, Sections(self._simulated.disk))
        )

    def turn(self, what: Callable[[], Any]) -> Any:
        """Do *what*, after everything that was due."""
        with self._lock:
            self._simulated.scheduler.run_until(time.monotonic() - self._begun_s)
            for process in self._simulated.processes:
                if process.worker is not None and process.name in self._stubborn:
                    process.worker.tasks = [float("inf")]
            return what()

    def prepare(self, name: str, is_stubborn: bool = False) -> None:
        self._simulated.disk.write(name, the_launch(a_worker(name=name)))
        if is_stubborn:
            self._stubborn.add(name)

    def is_ready(self, name: str) -> bool:
        process = self.turn(lambda: self._simulated.process_of(name))
        return process is not None and process.worker is not None

    def lose_process(self, name: str) -> None:
        process = self._simulated.process_of(name)
        assert process is not None
        self.turn(lambda: process.exit(-9))

    def begin_stop(self) -> None:
        self.turn(self._simulated.supervisord.shut_down)

    def end(self) -> None:
        self.turn(self._simulated.supervisord.die)

    def begin_again(self) -> None:
        self.turn(self._simulated.supervisord.begin)


class LiveClient(Client):
    """Waits for news, and is told when nobody is there."""

    def __init__(self, world: World, turn: Callable[[Callable[[], Any]], Any]) -> None:
        self._world = world
        self._turn = turn
        self._nothing = threading.Event()

    def changes(self, position: str, *_: object) -> dict[str, Any] | None:
        self._nothing.wait(_TURN_S)
        return cast("dict[str, Any] | None", self._turn(lambda: self._changes(position)))

    def _changes(self, position: str) -> dict[str, Any] | None:
        self._check()
        return self._world.supervisord.changes(position)

    def _each(self, verb: str, names: Sequence[str], act: Callable[[str], None]) -> None:
        self._turn(lambda: self._all(names, act))

    def _all(self, names: Sequence[str], act: Callable[[str], None]) -> None:
        self._check()
        first_error_of(names, act)

    def _check(self) -> None:
        if not self._world.supervisord.is_alive:
            raise Unavailable("supervisord cannot be reached")
