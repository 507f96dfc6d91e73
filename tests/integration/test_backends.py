"""Results that apps of one's own keep, read through Celery's backends."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery

from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.workers.backends import CeleryBackends
from tests.integration.test_remote_outages import frozen


@pytest.fixture
def backends() -> CeleryBackends:
    return CeleryBackends()


def store(
    url: str, result: Any, state: str = "SUCCESS", serializer: str = "json", id: str = ""
) -> str:
    """As a worker does it; the id comes back."""
    app = Celery(backend=url, set_as_current=False)
    app.conf.update(result_serializer=serializer, result_expires=None)
    id = id or str(uuid4())
    app.backend.store_result(id, result, state)
    return id


@pytest.fixture(params=["valkey", "sqlite", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "valkey":
        found: str = request.getfixturevalue("valkey_url")
        return found
    (tmp_path / "results").mkdir()
    return {
        "sqlite": f"db+sqlite:///{tmp_path}/results.db",
        "file": f"file://{tmp_path}/results",
    }[request.param]


@pytest.mark.parametrize(
    "result", [None, 0, "gr\u00f6\u00dfe", [1, {"a": None}], {"url": "http://h/"}]
)
def test_what_a_task_has_returned(result: Any, url: str, backends: CeleryBackends) -> None:
    assert backends.look(url, store(url, result)) == ("SUCCESS", result, None)


def test_why_one_has_failed(url: str, backends: CeleryBackends) -> None:
    id = store(url, ValueError("no such thing"), "FAILURE")
    assert backends.look(url, id) == ("FAILURE", None, "ValueError: no such thing")
    state, result, error = backends.look(url, store(url, KeyError("k"), "RETRY"))
    assert (state, result) == ("RETRY", None)
    assert error is not None
    assert error.startswith("KeyError: ")


def test_one_that_nobody_knows_or_that_goes_on(url: str, backends: CeleryBackends) -> None:
    assert backends.look(url, str(uuid4())) == ("PENDING", None, None)
    assert backends.look(url, "\u20ac \n*?[") == ("PENDING", None, None)
    assert backends.look(url, store(url, {"pid": 7}, "STARTED")) == ("STARTED", None, None)
    assert backends.look(url, store(url, {"done": 3}, "PROGRESS")) == ("PROGRESS", None, None)


def test_what_celery_makes_of_json_can_be_shown(valkey_url: str, backends: CeleryBackends) -> None:
    at, id = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UUID(int=7)
    given = {"at": at, "id": id, "price": Decimal("1.50"), "bytes": b"\xff"}
    state, result, error = backends.look(valkey_url, store(valkey_url, [given]))
    json.dumps(result, allow_nan=False)
    assert (state, error) == ("SUCCESS", None)
    assert result[0]["at"].startswith("2026-01-02")
    assert result[0]["id"] == str(id)
    assert result[0]["price"] == "1.50"


def test_it_changes_as_the_task_goes_on(url: str, backends: CeleryBackends) -> None:
    id = str(uuid4())
    for state in ("STARTED", "SUCCESS"):
        store(url, 42, state, id=id)
        assert backends.look(url, id)[0] == state


class Dangerous:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_nothing_that_runs_code_is_read(url: str, backends: CeleryBackends, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    id = store(url, Dangerous(str(trap)), serializer="pickle")
    with pytest.raises((Invalid, Unavailable)):
        backends.look(url, id)
    assert not trap.exists()


@pytest.mark.parametrize(
    "stored",
    [
        b"nonsense", b"[]", b"7", b"null", b"{}", b'{"status": "SUCCESS"}', b"\xff", b"[" * 100_000,
        b'{"status": "FAILURE", "result": null}', b'{"status": "FAILURE", "result": "x"}',
        b'{"status": "FAILURE", "result": {"exc_type": "system", "exc_message": ["mkdir trap"], '
        b'"exc_module": "os"}}',
        b'{"status": "FAILURE", "result": {"exc_type": "SystemExit", "exc_message": [1], '
        b'"exc_module": "builtins"}}',
        b'{"status": ["a"], "result": 1}', b'{"status": "SUCCESS", "result": NaN}',
        pickle.dumps({"status": "SUCCESS", "result": Dangerous("trap")}),
    ],
)  # fmt: skip
def test_whatever_is_stored(
    stored: bytes,
    valkey_url: str,
    backends: CeleryBackends,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id = str(uuid4())
    with redis.Redis.from_url(valkey_url) as client:
        client.set(f"celery-task-meta-{id}", stored)
    monkeypatch.chdir(tmp_path)
    with suppress(Invalid, Unavailable):
        state, result, error = backends.look(valkey_url, id)
        assert isinstance(state, str)
        assert error is None or isinstance(error, str)
        json.dumps(result, allow_nan=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://:hunter2@h/",
        "mongodb://u:hunter2@h/",
        "nonsense",
        "x.y:Z",
        "couchdb://u:hunter2@h/x",
    ],
)
def test_one_that_cannot_be_opened_here(url: str, backends: CeleryBackends) -> None:
    for _ in range(2):
        with pytest.raises(Invalid, match="cannot be opened here") as caught:
            backends.look(url, "x")
        assert "hunter2" not in str(caught.value)


def test_one_that_is_not_there(backends: CeleryBackends) -> None:
    with pytest.raises(Unavailable, match="does not answer") as caught:
        backends.look("redis://:hunter2@127.0.0.1:1/0", "x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.timeout(60)
def test_one_that_hangs_and_goes_on(valkey_url: str, backends: CeleryBackends) -> None:
    id = store(valkey_url, 42)
    assert backends.look(valkey_url, id)[1] == 42
    with frozen(valkey_url), pytest.raises(Unavailable):
        backends.look(valkey_url, id)
    assert backends.look(valkey_url, id)[1] == 42


def test_many_threads_and_many_backends(valkey_url: str, backends: CeleryBackends) -> None:
    server = valkey_url.rpartition("/")[0]
    urls = [f"{server}/{number % 16}?client_name=c{number}" for number in range(40)]
    ids = {url: store(url, index) for index, url in enumerate(urls)}

    def look(number: int) -> int:
        url = urls[number % 40]
        return int(backends.look(url, ids[url])[1])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(160))) == [number % 40 for number in range(160)]
