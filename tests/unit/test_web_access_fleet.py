"""What a branch passes on to another is asked as whoever has asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from cyme_supd import __version__
from cyme_supd.domain.access import Role, local_token
from cyme_supd.domain.presence import Heartbeat
from cyme_supd.service.claims import CLAIM
from cyme_supd.service.fleet import API, FIND, PATIENT_API
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.web.app import create_app
from cyme_supd.web.forwarding import answerer
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, START, PlayedClock, world

KEY = b"k" * 32


def branch(id: str, fleet: MemoryFleet, clock: PlayedClock) -> FlaskClient:
    house = world(replace(HERE, id=id, task_key=KEY), fleet=fleet, clock=clock)
    app, service = create_app(Settings(branch=id), house.service), house.service
    handlers = {
        API: answerer(app),
        PATIENT_API: answerer(app),
        FIND: service.fleet.answer,
        CLAIM: service.claims.answer,
        **service.catalogue.handlers(),
    }
    fleet.join(Heartbeat(id, "http://h", 8000, __version__, START, 5.0, 2, "INFO"), handlers)
    return app.test_client()


@pytest.fixture
def client() -> FlaskClient:
    """At b1, which has users; b2 has an instance of foo."""
    clock = PlayedClock()
    fleet = MemoryFleet(clock)
    here, there = (branch(id, fleet, clock) for id in ("b1", "b2"))
    here.put("/foo/", json={"broker": "redis://:s3cret@h/0"})
    assert here.put("/foo/instances/w2/", json={"branch": "b2"}).status_code == 201
    assert there.get("/foo/instances/w2/?secrets=1").status_code == 200
    return here


@pytest.mark.parametrize("role", Role)
def test_the_role_goes_along(role: Role, client: FlaskClient) -> None:
    local = {"Authorization": f"Bearer {local_token(KEY)}"}
    made = client.post("/api/tokens/", json={"role": role}, headers=local).get_json()
    asks = {"Authorization": f"Bearer {made['token']}"}
    assert client.get("/foo/instances/w2/").status_code == 401
    assert client.get("/foo/instances/w2/", headers=asks).status_code == 200
    stopped = client.post("/foo/instances/w2/disable/", headers=asks)
    assert stopped.status_code == (403 if role is Role.VIEWER else 200)
    for path in ("/foo/instances/w2/?secrets=1", "/foo/instances/w2/stats/?secrets=1"):
        shown = client.get(path, headers=asks)
        assert (shown.status_code == 403) == (role is not Role.ADMIN), path
        assert role is Role.ADMIN or "s3cret" not in shown.get_data(as_text=True)
