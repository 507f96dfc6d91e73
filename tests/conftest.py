"""Services for every ring of tests: started by the first that asks for one."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from cyme_supd.store.engine import open_engine
from cyme_supd.store.migrations import MIGRATION_TIMEOUT_S, migrate
from tests import databases, services

# How long one example takes says nothing where others use the machine, too.
settings.register_profile("cyme", deadline=None)
settings.load_profile("cyme")

# What runs in a shell's background ignores ^C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.Server]:
    with databases.server(databases.POSTGRESQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[databases.Server]:
    with databases.server(databases.MARIADB) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_url(postgresql: databases.Server) -> Iterator[str]:
    """A database of this run's own with today's schema; tests leave no rows in it."""
    yield from _migrated(postgresql)


@pytest.fixture(scope="session")
def mariadb_url(mariadb: databases.Server) -> Iterator[str]:
    yield from _migrated(mariadb)


def _migrated(server: databases.Server) -> Iterator[str]:
    with server.database() as url:
        engine = open_engine(url, MIGRATION_TIMEOUT_S)
        migrate(engine)
        engine.dispose()
        yield url
