"""What ``cyme doctor`` makes of real services that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from cyme_supd.brokers.servers import look
from cyme_supd.cli import probing
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config
from cyme_supd.domain.findings import Finding, Level
from cyme_supd.store.engine import connected, kind_of, open_engine
from tests.tree import PASSWORD, StockTree, SupervisedTree

WITHIN_S = 5.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(str(tmp_path), "b1", "redis://127.0.0.1:1/0", False, PASSWORD)


def wrong(found: Iterable[Finding]) -> list[Finding]:
    return [each for each in found if each.level is not Level.OK]


# supervisord


@contextmanager
def running(tree: SupervisedTree) -> Iterator[SupervisedTree]:
    try:
        yield tree.start()
    finally:
        tree.end()


def supervised(
    tree: SupervisedTree, config: Config, monkeypatch: pytest.MonkeyPatch
) -> list[Finding]:
    """What is wrong with it, as if it had the lock that ``cyme-branch`` hands on."""
    monkeypatch.setattr(probing, "holder", lambda paths: tree.pid)
    return wrong(probing.supervisord(config))


def test_a_supervisord_without_the_extension(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(StockTree(tmp_path)) as tree:
        (found,) = supervised(tree, config, monkeypatch)
    assert found.level is Level.ERROR
    assert "without Cyme's extension" in found.hint


def test_the_extension_of_another_version(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(SupervisedTree(tmp_path)) as tree:
        assert supervised(tree, config, monkeypatch) == []
        monkeypatch.setattr(probing, "__version__", "99.0")
        (found,) = supervised(tree, config, monkeypatch)
    assert (found.level, "not 99.0" in found.message) == (Level.WARNING, True)


def test_a_password_that_is_not_its_own(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(SupervisedTree(tmp_path)) as tree:
        other = replace(config, supervisor_password="other")
        (found,) = supervised(tree, other, monkeypatch)
    assert "401" in found.message
    assert "branch.log" in found.hint


# Brokers


def test_a_redis_tells_its_clock_and_what_it_does_when_full(valkey_url: str) -> None:
    server = look(valkey_url, WITHIN_S)
    assert server.product == "Valkey"
    assert server.now is not None
    assert abs(server.now - datetime.now(UTC).timestamp()) < 60
    assert wrong(probing.app_broker(valkey_url)) == []


def test_a_redis_that_drops_tasks(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        before = client.config_get("maxmemory*")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            (found,) = wrong(probing.app_broker(valkey_url))
        finally:
            client.config_set("maxmemory", before["maxmemory"])
            client.config_set("maxmemory-policy", before["maxmemory-policy"])
    assert "allkeys-lru" in found.message


def test_a_rabbitmq(rabbitmq_url: str) -> None:
    server = look(rabbitmq_url, WITHIN_S)
    assert (server.product, server.now) == ("RabbitMQ", None)
    assert server.version
    assert wrong(probing.app_broker(rabbitmq_url)) == []


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_password_that_a_broker_refuses(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue("valkey_url" if kind == "redis" else "rabbitmq_url")
    scheme, _, rest = url.partition("://")
    (found,) = wrong(probing.app_broker(f"{scheme}://nobody:wr0ng@{rest.rpartition('@')[2]}"))
    assert found.level is Level.ERROR
    assert "cannot be used" in found.message
    assert "wr0ng" not in found.message


# A database's clock


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_clock_of_a_database(
    kind: str, config: Config, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    shared = replace(config, database=url)
    assert wrong(probing.store(shared)) == []

    behind = datetime.now(UTC) - timedelta(minutes=10)
    monkeypatch.setattr(SystemClock, "now", lambda self: behind)
    (found,) = wrong(probing.store(shared))
    assert (found.what, found.level) == ("clock", Level.ERROR)
    assert "behind that of the database" in found.message

    engine = open_engine(url)
    with connected(engine) as connection:
        assert kind_of(engine).now(connection, behind) != behind
    engine.dispose()
