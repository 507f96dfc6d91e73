"""Processes that the launcher makes workers of: alive, stopped, killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.workers import Worker

if TYPE_CHECKING:
    from tests.simulation.world import World

#: As the launcher has it.
LOCK_WAIT_S = 8.0
_LOCK_RETRY_S = 0.25
EX_NOINPUT, EX_TEMPFAIL = 66, 75


class Process:
    """One process of an instance: the launcher first, then the worker.

    ``worker`` is there once it has the lock and has read the launch file;
    ``on_exit`` is its parent's, until the parent is gone.
    """

    def __init__(
        self, world: World, name: str, pid: int, on_exit: Callable[[Process, int], None] | None
    ) -> None:
        self.world = world
        self.name = name
        self.pid = pid
        self.on_exit = on_exit
        self.is_alive = True
        self.is_asked_to_end = False
        self.begun_s = world.scheduler.now_s
        self.worker: Worker | None = None
        self._lock_until = world.scheduler.now_s + LOCK_WAIT_S
        world.scheduler.after(world.scheduler.between(0.005, 0.05), self._launch)

    def _launch(self) -> None:
        """The launcher: the lock before the file, so that it reads today's."""
        if not self.is_alive:
            return
        disk, scheduler = self.world.disk, self.world.scheduler
        if self.world.has_locks and self.name in disk.locked:
            if scheduler.now_s >= self._lock_until:
                self.exit(EX_TEMPFAIL)
            else:
                scheduler.after(_LOCK_RETRY_S, self._launch)
            return
        launch = disk.launch(self.name)
        if launch is None:
            self.exit(EX_NOINPUT)
            return
        disk.lock(self.name, self)
        disk.launched(self.name, self.pid)
        self.worker = Worker(self.world, self, launch)
        self.world.on_worker(self)
        if self.on_exit is None:
            # Its supervisord died in between; the launcher looks for that.
            self.exit(69)

    def term(self) -> None:
        self.is_asked_to_end = True
        self.world.scheduler.tell("%s: %s is asked to end", self.name, self.pid)
        if self.worker is None:
            self.exit(-15)
        else:
            self.worker.end_warmly()

    def kill(self) -> None:
        self.is_asked_to_end = True
        self.world.scheduler.tell("%s: %s is killed", self.name, self.pid)
        self.exit(-9)

    def orphan(self) -> None:
        """Its supervisord is gone: the kernel asks it to end."""
        self.on_exit = None
        if self.is_alive and self.worker is not None:
            self.term()

    def exit(self, status: int) -> None:
        if not self.is_alive:
            return
        self.is_alive = False
        self.world.scheduler.tell("%s: %s ends (%s)", self.name, self.pid, status)
        self.world.disk.unlock(self.name, self)
        if self.worker is not None:
            self.worker.disconnect()
        self.world.on_exit(self)
        if self.on_exit is not None:
            delay_s = self.world.scheduler.between(0.001, 0.02)
            self.world.scheduler.after(delay_s, self._reap, status)

    def _reap(self, status: int) -> None:
        if self.on_exit is not None:
            self.on_exit(self, status)
