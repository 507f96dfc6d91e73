"""Services for every ring of tests: started by the first that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import services

# How long one example takes says nothing where others use the machine, too.
settings.register_profile("cyme", deadline=None)
settings.load_profile("cyme")


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A virtual host of this run's own, where the broker lets us make one."""
    with (
        services.rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker,
        broker.vhost() as url,
    ):
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey of this run's own, with a password."""
    with services.valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url
