"""With a broker that hangs, workers cannot end warmly; they end all the same."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import BranchHost
from tests.acceptance.outages import Broker, Embedded, Rabbit
from tests.support import eventually, still_running

pytestmark = pytest.mark.timeout(180)
STOP_TIMEOUT_S = 2
#: Longer than the stop timeout by what a busy machine may take.
STOPPED_WITHIN_S = STOP_TIMEOUT_S + 10.0
#: The embedded broker that hangs is given 30 s to write what it has.
ENDED_WITHIN_S = STOPPED_WITHIN_S + 45.0


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.faults), "rabbitmq"],
)
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "embedded":
        return Embedded()
    return Rabbit(request.getfixturevalue("own_rabbitmq"))


def is_gone(host: BranchHost, name: str) -> bool:
    return host.client.get(f"/foo/instances/{name}/").status_code == 404


def test_stops_still_end(broker: Broker) -> None:
    with BranchHost(broker=broker.url) as host:
        host.start()
        host.post("/foo/", 201, stop_timeout_s=STOP_TIMEOUT_S)
        for name in ("w1", "w2", "w3"):
            host.make("foo", name)
        broker.freeze(host)
        try:
            eventually(lambda: host.client.get("/health/").status_code == 503, 10)
            assert host.post("/foo/instances/w1/disable/", 202)["converged"] is False
            assert host.delete("/foo/instances/w2/", 202)["converged"] is False
            eventually(
                lambda: host.get("/foo/instances/w1/")["state"] == "STOPPED", STOPPED_WITHIN_S
            )
            eventually(lambda: is_gone(host, "w2"), STOPPED_WITHIN_S)
            assert (host.mains("w1"), host.mains("w2")) == ([], [])
            assert host.mains("w3") == [host.pid("w3")]
            host.interrupt()
            assert host.wait(ENDED_WITHIN_S) == 0
            assert still_running(host.family) == []
        finally:
            # The embedded one has ended with its branch.
            if broker.url:
                broker.thaw(host)
