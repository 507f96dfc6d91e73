"""The tests' own services: nobody else's while they last, and gone afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import amqp
import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests import services
from tests.support import eventually, still_running


@pytest.fixture
def server() -> str:
    found = [path for path in map(shutil.which, services.RABBITMQ_SERVERS) if path]
    return found[0] if found else services.install("rabbitmq-server", services.RABBITMQ_SERVERS)


def test_a_private_rabbitmq_comes_and_goes(server: str, tmp_path: Path) -> None:
    before = _children()
    with services.private_rabbitmq(server, tmp_path) as broker:
        with broker.vhost() as url:
            assert url.startswith(f"amqp://guest:guest@127.0.0.1:{broker.port}/cyme-test-")
            name = url.rpartition("/")[2]
            assert _opens(broker.port, name)
        assert not _opens(broker.port, name)
        started = _children() - before
    assert started
    assert not services.lets_guest_in(broker.port)
    eventually(lambda: not still_running(started))


def test_the_run_has_a_virtual_host(rabbitmq_url: str) -> None:
    assert rabbitmq_url.startswith("amqp://guest:guest@127.0.0.1:")


def test_a_valkey_comes_asks_for_its_password_and_goes(tmp_path: Path) -> None:
    before = _children()
    with services.valkey(tmp_path) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        once = Retry(NoBackoff(), 0)
        refused = pytest.raises(redis.AuthenticationError)
        with redis.Redis(port=port, retry=once) as stranger, refused:
            stranger.ping()
        with redis.Redis.from_url(url) as guest:
            assert guest.ping()
        started = _children() - before
    assert started
    assert not services._listens(port)
    eventually(lambda: not still_running(started))


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(services.ServiceMissing, match="install rabbitmq-server"):
        services.install("rabbitmq-server", ("no-such-server",))


def _opens(port: int, vhost: str) -> bool:
    try:
        with amqp.Connection(f"127.0.0.1:{port}", "guest", "guest", virtual_host=vhost):
            return True
    except amqp.exceptions.AMQPError:
        return False


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))
