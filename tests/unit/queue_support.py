"""Queues and consumers, asked of the service in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyme_supd.domain.health import QUARANTINED
from cyme_supd.domain.status import Condition
from cyme_supd.service import Outcome
from tests.unit.service_support import KEY, START, World, world

DOWN = {"brokers": {KEY: {"ok": False, "reason": "refused", "url": "redis://h"}}}


def with_an_app() -> World:
    made = world()
    made.service.apps.put("foo", {})
    return made


def declare(house: World, name: str = "tasks", **given: Any) -> Any:
    return house.service.queues.put("foo", name, given)


def start(house: World, name: str = "w1", **given: Any) -> None:
    house.service.instances.put("foo", name, given, 5)


def add(house: World, queue: str = "tasks", timeout_s: float | None = 5) -> tuple[Outcome, bool]:
    return house.service.consumers.add("foo", "w1", queue, timeout_s)


def drop(house: World, queue: str = "tasks", timeout_s: float | None = 5) -> Outcome:
    return house.service.consumers.delete("foo", "w1", queue, timeout_s)


def wished(house: World, name: str = "w1") -> tuple[str, ...]:
    return house.service.instances.get("foo", name).instance.queues


def generation(house: World, name: str = "w1") -> int:
    return house.service.instances.get("foo", name).instance.generation


def later(house: World, change: Callable[[], object], at_s: float) -> None:
    """Call *change* once, when the clock has reached *at_s*."""

    def check() -> None:
        if house.clock.elapsed >= at_s:
            house.clock.listeners.remove(check)
            change()

    house.clock.listeners.append(check)


def quarantined(message: str) -> tuple[Condition, ...]:
    return (Condition(QUARANTINED, True, "QueueRefused", message, START),)
