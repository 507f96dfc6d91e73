"""Branches, as those that were heard and those in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.errors import Invalid, NotFound
from cyme_supd.testing.mailbox import MemoryBranch
from tests.unit.service_support import START, World, world
from tests.unit.values import a_heartbeat


@pytest.fixture
def house() -> World:
    return world()


def join(house: World, id: str) -> MemoryBranch:
    memory = {"total": 7, "available": 5}
    says = {"instances": 3, "load_average": (1.0, 2.0, 3.0), "memory": memory, "disk_use": 1.5}
    return house.fleet.join(a_heartbeat(id, url=f"http://{id}:8000", **says), {})


def test_those_that_were_heard_are_there(house: World) -> None:
    join(house, "b0")
    join(house, "b2")

    assert house.service.branches.names() == ["b0", "b1", "b2"]
    assert house.service.branches.names(after="b0", limit=1) == ["b1"]
    found = house.service.branches.get("b2")
    assert (found.branch.id, found.branch.url) == ("b2", "http://b2:8000")
    assert (found.is_live, found.instances) == (True, 3)
    assert found.branch.observed_at == START
    assert found.host == {
        "load_average": (1.0, 2.0, 3.0),
        "memory": {"total": 7, "available": 5},
        "disk_use": 1.5,
    }


def test_one_that_has_lapsed_is_shown_as_it_was(house: World) -> None:
    branch = join(house, "b2")
    house.service.branches.names()
    branch.kill()
    house.clock.elapsed += 7

    assert house.service.branches.names() == ["b1"]
    found = house.service.branches.get("b2")
    assert (found.is_live, found.branch.observed_at) == (False, START)


def test_of_itself_it_knows_by_its_store_and_without_a_broker(house: World) -> None:
    join(house, "b1")
    assert house.service.branches.get("b1").branch.url == "http://127.0.0.1:8000"
    assert house.service.branches.get("b1").instances == 0
    house.fleet.is_down = True
    house.clock.elapsed += 7
    house.branch.run()

    assert house.service.branches.names() == ["b1"]
    assert house.service.branches.get("b1").is_live


def test_one_in_a_shared_store_lives_if_it_was_heard_or_has_written(house: World) -> None:
    with house.store.writing() as tx:
        for id in ("b2", "b3"):
            tx.save_branch(replace(house.branch.row(), id=id))
    join(house, "b2").stop()

    assert house.service.branches.names() == ["b1", "b3"]
    assert not house.service.branches.get("b2").is_live
    assert house.service.branches.get("b3").is_live


def test_one_that_nobody_knows(house: World) -> None:
    with pytest.raises(NotFound):
        house.service.branches.get("b9")
    with pytest.raises(Invalid):
        house.service.branches.get("b/9")
