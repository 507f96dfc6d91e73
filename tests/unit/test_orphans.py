"""What nobody takes care of: what is found, and what is only not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.orphans import (
    Inventory,
    LeftQueue,
    LostTask,
    Orphans,
    Seen,
    StrayConsumer,
    Unknown,
    Waiting,
    named_tasks,
    orphans,
)
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.spec import Queue, Worker
from cyme_supd.domain.status import Depth
from tests.unit.values import AT, a_worker, an_app

PAUSE = Pause("deploy", AT)


def consumer(name: str = "w1", *queues: str, **changes: Any) -> Worker:
    declared = tuple(Queue("foo", each, each, "direct", each, {}, AT) for each in queues)
    return replace(a_worker(name=name, **changes), queues=declared)


def told(*queues: str, tasks: tuple[str, ...] = ("house.add",)) -> Inventory:
    return Inventory(frozenset(queues), frozenset(tasks))


def waiting(messages: int, consumers: int | None = None, **tasks: int) -> Waiting:
    return Waiting(Depth(messages, consumers), tasks, messages)


def found(*workers: Worker, **more: Any) -> Orphans:
    usual: dict[str, Any] = {
        "declared": frozenset({"tasks"}),
        "told": {},
        "silent": frozenset(),
        "waiting": {},
    }
    return orphans(Seen(workers=workers, **{**usual, **more}))


NOTHING = Orphans((), (), (), (), ())


# Queues


def test_where_somebody_consumes_nothing_is_left() -> None:
    worker = consumer("w1", "tasks")
    assert found(worker, told={"w1": told("dq.w1", "tasks")}, waiting={"tasks": waiting(3)}) == (
        NOTHING
    )
    assert found(waiting={"tasks": waiting(3, consumers=1)}) == NOTHING
    assert found(waiting={"tasks": waiting(0)}) == NOTHING


@pytest.mark.parametrize(("consumers", "who"), [(0, "nobody"), (None, "no instance")])
def test_a_queue_that_nobody_consumes(consumers: int | None, who: str) -> None:
    left = found(consumer("w1"), waiting={"tasks": waiting(3, consumers)}).queues
    assert left == (LeftQueue("tasks", 3, f"{who} consumes it"),)


def test_those_that_should_consume_are_named() -> None:
    workers = [
        consumer("w1", "tasks"),
        consumer("w2", "tasks", is_enabled=False),
        consumer("w3", "tasks", is_deleting=True),
        consumer("w4", "tasks"),
    ]
    (left,) = found(*workers, waiting={"tasks": waiting(1)}).queues
    assert left.reason == "no instance consumes it; w1, w4 should"


def test_a_queue_that_is_paused() -> None:
    held = replace(consumer("w1", "tasks"), paused={"tasks": PAUSE, "dq.w1": PAUSE})
    (left,) = found(held, waiting={"tasks": waiting(1)}).queues
    assert (left.reason, left.is_paused) == ("no instance consumes it; it is paused: deploy", True)
    (left,) = found(held, consumer("w2", "tasks"), waiting={"tasks": waiting(1)}).queues
    assert (left.reason, left.is_paused) == ("no instance consumes it; w2 should", False)


def test_the_own_queue_of_one_that_is_disabled() -> None:
    (left,) = found(consumer("w1", is_enabled=False), waiting={"dq.w1": waiting(2)}).queues
    assert (left.name, left.depth) == ("dq.w1", 2)


def test_one_that_is_silent_may_consume() -> None:
    worker = consumer("w1", "tasks")
    seen = found(worker, silent=frozenset({"w1"}), waiting={"tasks": waiting(3)})
    assert seen.queues == ()
    assert seen.unknown == (Unknown("queue tasks", "w1 should consume it"),)
    # RabbitMQ knows, whoever is silent.
    seen = found(worker, silent=frozenset({"w1"}), waiting={"tasks": waiting(3, consumers=0)})
    assert [left.name for left in seen.queues] == ["tasks"]


# Consumers


def test_a_queue_that_is_not_declared_is_consumed() -> None:
    workers = {"w1": told("dq.w1", "tasks", "other"), "w2": told("dq.w2", "dq.w1")}
    assert found(told=workers).consumers == (
        StrayConsumer("w1", "other"),
        StrayConsumer("w2", "dq.w1"),
    )


# Tasks


def test_a_task_that_waits_and_nobody_registers() -> None:
    worker = consumer("w1", "tasks")
    seen = found(
        worker,
        told={"w1": told("dq.w1", "tasks")},
        waiting={"tasks": Waiting(Depth(3, None), {"house.add": 1, "house.old": 2}, 3)},
    )
    assert seen.tasks == (LostTask("house.old", "tasks", 2),)


def test_a_task_that_the_settings_name() -> None:
    routes = {"house.add": {"queue": "tasks"}, "house.gone": {"queue": "tasks"}, "house.*": {}}
    worker = a_worker(an_app(extra_config={"task_routes": routes}))
    assert found(worker, told={"w1": told("dq.w1")}).tasks == (LostTask("house.gone", "tasks", 0),)


def test_one_that_is_silent_may_register_it() -> None:
    seen = found(
        told={"w1": told("dq.w1")},
        silent=frozenset({"w2"}),
        waiting={
            "tasks": Waiting(Depth(1, 1), {"house.old": 1}, 1),
            "others": Waiting(Depth(1, 1), {"house.old": 1}, 1),
        },
    )
    assert seen.tasks == ()
    assert seen.unknown == (Unknown("task house.old", "w2 may register it"),)


def test_what_was_not_looked_at_is_told() -> None:
    seen = found(
        waiting={
            "empty": Waiting(Depth(0, 0)),
            "rabbit": Waiting(Depth(2, 1)),
            "long": Waiting(Depth(500, 1), {}, 100),
        }
    )
    assert [each.what for each in seen.unknown] == ["tasks in queue long", "tasks in queue rabbit"]
    assert "100 of its 500" in seen.unknown[0].reason


def test_many_names_are_cut_short() -> None:
    silent = frozenset(f"w{number}" for number in range(8))
    seen = found(silent=silent, waiting={"q": Waiting(Depth(1, 1), {"house.old": 1}, 1)})
    assert seen.unknown[0].reason == "w0, w1, w2, w3, w4 and 3 more may register it"


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, {}),
        ({"task_routes": {"a.b": {"queue": "q"}}}, {"a.b": "q"}),
        ({"task_routes": {"a.b": "some.exchange"}}, {"a.b": None}),
        ({"task_routes": {"a.*": {}, "a.[bc]": {}, "?": {}}}, {}),
        ({"task_routes": ["house.Router"], "beat_schedule": 3}, {}),
        ({"task_annotations": {"*": {}, "a.b": {"rate_limit": "1/s"}}}, {"a.b": None}),
        (
            {
                "beat_schedule": {
                    "x": {"task": "a.b", "options": {"queue": "q"}},
                    "y": {"task": 1},
                    "z": 3,
                }
            },
            {"a.b": "q"},
        ),
    ],
)
def test_tasks_that_settings_name(config: dict[str, Any], names: dict[str, str | None]) -> None:
    assert named_tasks(config) == names
