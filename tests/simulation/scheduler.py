"""Time and order of a simulated world: one seed decides both."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from greenlet import greenlet

#: How many of the last things that happened are told when something went wrong.
TOLD = 30
_START = datetime(2011, 8, 15, 22, 6, 43, tzinfo=UTC)


class Scheduler:
    """Everything that happens, in order; nothing happens at the same time.

    ``random`` decides what is left open. ``now`` is monotonic; the wall clock
    may jump. It is also the clock of whoever is in the world.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_s = 1000.0
        self.steps = 0
        self._jumped_s = 0.0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._told: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=TOLD)

    # The clock

    def now(self) -> datetime:
        return _START + timedelta(seconds=self.now_s + self._jumped_s)

    @property
    def wall_s(self) -> float:
        return self.now_s + self._jumped_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError("only fibers can")

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._jumped_s += seconds

    # What happens

    def after(self, delay_s: float, what: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now_s + delay_s, self._count, what, args))

    def between(self, least_s: float, most_s: float) -> float:
        return least_s + (most_s - least_s) * self.random.random()

    def chance(self, share: float) -> bool:
        return share > 0.0 and self.random.random() < share

    def step(self) -> None:
        """Let the next thing happen."""
        at, _, what, args = heapq.heappop(self._due)
        self.now_s = max(self.now_s, at)
        self.steps += 1
        what(*args)

    def run_until(self, at_s: float) -> None:
        """Let everything happen that is due by then."""
        while self._due and self._due[0][0] <= at_s:
            self.step()
        self.now_s = max(self.now_s, at_s)

    def tell(self, text: str, *args: Any) -> None:
        """Note what happened; put together only when somebody reads it."""
        self._told.append((self.now_s, text, args))

    def story(self) -> list[str]:
        """The last things that happened."""
        return [f"{at:10.3f}  {text % args}" for at, text, args in self._told]


class Fiber:
    """A thread that runs when its scheduler says so, until it waits for something."""

    def __init__(self, scheduler: Scheduler, body: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._greenlet = greenlet(body)
        # A wake-up that comes when it has gone on already is for nobody.
        self._waits = 0
        self._is_over = False

    def start(self) -> None:
        self._scheduler.after(0.0, self._resume, self._waits)

    def sleep(self, seconds: float) -> None:
        """Called by its own body: others go on meanwhile."""
        self._scheduler.after(seconds, self._resume, self._waits)
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    def wake(self) -> None:
        """Let it go on at once, if it sleeps."""
        self._scheduler.after(0.0, self._resume, self._waits)

    def kill(self, error: BaseException) -> None:
        """End it where it sleeps."""
        self._is_over = True
        if self._greenlet:  # begun, and not at its end
            self._greenlet.throw(error)

    def _resume(self, waits: int) -> None:
        if waits == self._waits and not (self._is_over or self._greenlet.dead):
            self._waits += 1
            self._greenlet.switch()


class Wakeup:
    """A condition variable whose waiters are one fiber."""

    def __init__(self, fiber: Fiber) -> None:
        self._fiber = fiber

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def notify(self) -> None:
        self._fiber.wake()

    def wait(self, timeout: float) -> None:
        self._fiber.sleep(timeout)


class Never:
    """The event that says a thread is to end: it is never set."""

    def __init__(self, fiber: Fiber) -> None:
        self._fiber = fiber

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> None:
        self._fiber.sleep(seconds)
