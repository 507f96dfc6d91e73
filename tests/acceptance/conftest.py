"""Branches to drive, on each of the brokers that a branch can be on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.celeryside import write_project
from tests.acceptance.harness import BranchHost
from tests.services import OwnRabbitMQ, rabbitmq_to_kill

EMBEDDED, RABBITMQ = "embedded", "rabbitmq"


@pytest.fixture(scope="module", params=[EMBEDDED, RABBITMQ])
def broker(request: pytest.FixtureRequest) -> str | None:
    """A broker's URL to start a branch with; None for the one that comes along."""
    return broker_of(request)


def broker_of(request: pytest.FixtureRequest) -> str | None:
    """The URL for a fixture whose parameters are of the two names above."""
    if request.param == EMBEDDED:
        return None
    url: str = request.getfixturevalue("rabbitmq_url")
    return url


def either(quick: str, other: str) -> list[Any]:
    """For tests that are long on both brokers: one of them in ``make test``."""
    return [quick, pytest.param(other, marks=pytest.mark.faults)]


@pytest.fixture(scope="session")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRabbitMQ]:
    """A RabbitMQ that tests may kill and stop; they leave it running."""
    with rabbitmq_to_kill(None, tmp_path_factory.mktemp("broker")) as own:
        yield own


@pytest.fixture(scope="module")
def host(broker: str | None) -> Iterator[BranchHost]:
    """A branch that the tests of a module share."""
    with BranchHost(broker=broker) as host:
        yield host.start()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Celery project of the tests' own."""
    return write_project(tmp_path_factory.mktemp("project") / "house")
