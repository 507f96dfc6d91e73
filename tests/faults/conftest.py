"""Fleets to do harm to, one for all rows that leave its branch where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import BranchHost
from tests.faults.fleet import Fleet
from tests.faults.yard import write_yard
from tests.services import OwnRabbitMQ, rabbitmq_to_kill

INTERVAL_S = "1"
EMBEDDED, RABBITMQ = "Valkey", "RabbitMQ"


@contextmanager
def a_fleet(yard: Path, *arguments: str, broker: str | None = None) -> Iterator[Fleet]:
    """A branch of three workers, one of which has a queue beside its own."""
    with BranchHost("--sup-interval", INTERVAL_S, *arguments, broker=broker) as host:
        host.start()
        fleet = Fleet(host, yard)
        fleet.add("w1", (2, 1), "tasks")
        fleet.add("w2", (2, 2))
        fleet.add("w3")
        yield fleet


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_yard(tmp_path_factory.mktemp("yard") / "yard")


@pytest.fixture(
    scope="session", params=[EMBEDDED, pytest.param(RABBITMQ, marks=pytest.mark.faults)]
)
def broker_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest, broker_name: str) -> str | None:
    """None is the embedded one."""
    if broker_name == EMBEDDED:
        return None
    url: str = request.getfixturevalue("rabbitmq_url")
    return url


@pytest.fixture(scope="session")
def fleet(broker_url: str | None, yard: Path) -> Iterator[Fleet]:
    """On the embedded broker; in the longer suite on RabbitMQ, too.

    What ends once supervisord counts it as running has not ended soon: thirty
    faults in a row are not to be taken for a crash loop.
    """
    with a_fleet(yard, "--restart-max-rate", "6/m", broker=broker_url) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRabbitMQ]:
    """A RabbitMQ that tests may kill and stop; they leave it running."""
    with rabbitmq_to_kill(None, tmp_path_factory.mktemp("broker")) as own:
        yield own
