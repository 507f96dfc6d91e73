"""Branches with a store each, in memory, that are asked over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask.testing import FlaskClient

from cyme_supd import __version__
from cyme_supd.domain.presence import Heartbeat
from cyme_supd.service.claims import CLAIM
from cyme_supd.service.fleet import API, FIND, PATIENT_API
from cyme_supd.testing.mailbox import MemoryBranch, MemoryFleet
from cyme_supd.web.app import create_app
from cyme_supd.web.forwarding import answerer
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, START, PlayedClock, World, world


@dataclass
class Place:
    """One branch: the house it is, whoever asks it, and how the others see it."""

    house: World
    client: FlaskClient
    peer: MemoryBranch


Places = dict[str, Place]


def heartbeat(id: str) -> Heartbeat:
    return Heartbeat(id, "http://h", 8000, __version__, START, 5.0, 2, "INFO")


def three_places(is_shared: bool = False) -> Places:
    """With a store each, or one for all."""
    clock = PlayedClock()
    fleet = MemoryFleet(clock)
    made: Places = {}
    for id in ("b1", "b2", "b3"):
        first = next(iter(made.values())).house if made and is_shared else None
        made[id] = _place(id, fleet, clock, is_shared, first)
    return made


def _place(
    id: str, fleet: MemoryFleet, clock: PlayedClock, is_shared: bool, first: World | None
) -> Place:
    here = replace(HERE, id=id, task_key=id.encode(), is_shared=is_shared)
    house = world(here, fleet=fleet, clock=clock)
    if first is not None:
        house.store = first.store
        house.service = house.over(first.store, here)
    app = create_app(Settings(branch=id), house.service)
    service = house.service
    handlers = {
        API: answerer(app),
        PATIENT_API: answerer(app),
        FIND: service.fleet.answer,
        CLAIM: service.claims.answer,
        **service.catalogue.handlers(),
    }
    peer = fleet.join(heartbeat(id), handlers)
    return Place(house, app.test_client(), peer)


def ok(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.get_data(as_text=True)
    return response.get_json()
