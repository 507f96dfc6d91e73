"""What nobody takes care of, over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.orphans import Inventory, Stray
from cyme_supd.domain.pause import requested
from cyme_supd.errors import NotFound
from cyme_supd.web.app import create_app
from cyme_supd.web.orphans import counted
from cyme_supd.web.settings import Settings
from tests.unit.queue_support import declare, start, with_an_app
from tests.unit.service_support import BROKER, HERE, START, World

STRAY = Stray(7, "w1", "psql postgres://ada:s3cret@db/x", START, has_worker=True)


@pytest.fixture
def house() -> World:
    made = with_an_app()
    declare(made)
    declare(made, "others")
    start(made, queues=["tasks"])
    made.questions.known[f"w1@{HERE.id}"] = Inventory(frozenset({"dq.w1", "x"}), frozenset())
    made.broker_queues.holds(BROKER, "others", 2, 0, {"house.old": 2})
    made.broker_queues.holds(BROKER, "tasks", 1, 1)
    made.strays.left = [STRAY, replace(STRAY, pid=8, command="sleep 60", has_worker=False)]
    return made


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_answer(house: World, slash: str) -> None:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        answer = client.get(f"/foo/orphans{slash}")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "queues": [
            {"name": "others", "depth": 2, "reason": "nobody consumes it", "is_paused": False}
        ],
        "consumers": [{"instance": "w1", "queue": "x"}],
        "tasks": [{"name": "house.old", "queue": "others", "count": 2}],
        "processes": [
            {
                "pid": 7,
                "instance": "w1",
                "command": "psql postgres://ada:********@db/x",
                "since": "2026-01-02T03:04:05.000000Z",
                "has_worker": True,
            },
            {
                "pid": 8,
                "instance": "w1",
                "command": "sleep 60",
                "since": "2026-01-02T03:04:05.000000Z",
                "has_worker": False,
            },
        ],
        "unknown": [
            {
                "what": "tasks in queue tasks",
                "reason": "its broker shows no message to who does not take it",
            }
        ],
    }


def test_what_is_refused(house: World) -> None:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        assert client.get("/bar/orphans/").status_code == 404
        assert client.get("/foo/orphans/?depth=1").status_code == 400
        assert client.post("/foo/orphans/").status_code == 405


def test_how_many_there_are_of_each_kind(house: World) -> None:
    counts = {"queues": 1, "consumers": 1, "tasks": 1, "processes": 2}
    assert counted(house.service, "foo") == counts
    with pytest.raises(NotFound):
        counted(house.service, "bar")


def test_what_somebody_has_paused_is_wanted_so(house: World) -> None:
    def queues() -> int:
        found = counted(house.service, "foo")
        assert found is not None
        return found["queues"]

    house.broker_queues.holds(BROKER, "tasks", 1, 0)
    assert queues() == 2
    with house.store.writing() as tx:
        pause = requested("lunch", None, house.clock.now())
        tx.save_app(replace(tx.app("foo"), pause=pause))
    assert queues() == 1


def test_nobody_knows_where_somebody_might_care(house: World) -> None:
    house.broker_queues.holds(BROKER, "others", 0)
    house.strays.left = []
    house.questions.known.clear()
    assert counted(house.service, "foo") is None
