"""How often one client may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from cyme_supd.web import limiting
from cyme_supd.web.app import create_app
from cyme_supd.web.limiting import SAVED_S, Allowance
from cyme_supd.web.settings import Settings
from tests.unit.service_support import World
from tests.unit.url_support import ask, error, with_a_queue

#: So that shares of it are exact.
RATE = 8
AT_ONCE = int(RATE * SAVED_S)
URL = "/foo/queue/tasks/http://example.com/"


class Time:
    """Stands still, but for who moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def house() -> World:
    return with_a_queue()


def client_of(house: World, api_rate: int, processes: int = 1) -> FlaskClient:
    origins = ("https://ui.example",)
    settings = Settings("b1", cors_origins=origins, processes=processes, api_rate=api_rate)
    return create_app(settings, house.service).test_client()


@pytest.fixture
def client(house: World, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    def allowance(rate: float) -> Allowance:
        return Allowance(rate, time)

    monkeypatch.setattr(limiting, "Allowance", allowance)
    with client_of(house, RATE) as client:
        yield client


def answered(count: int, request: Callable[[], int]) -> int:
    """How many of *count* requests were not one too many."""
    return sum(request() != 429 for _ in range(count))


# The bucket


def test_what_is_saved_up_may_be_taken_at_once(time: Time) -> None:
    allowance = Allowance(RATE, time)
    assert [allowance.take("a") for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert allowance.take("a") == pytest.approx(1 / RATE)


def test_one_too_many_does_not_count(time: Time) -> None:
    allowance = Allowance(RATE, time)
    waits = [allowance.take("a") for _ in range(AT_ONCE + 50)]
    assert waits[-1] == pytest.approx(1 / RATE)
    time.now += 1 / RATE + 0.001
    assert allowance.take("a") == 0
    assert allowance.take("a") > 0


def test_no_more_is_saved_than_that(time: Time) -> None:
    allowance = Allowance(RATE, time)
    time.now += 3600
    assert sum(allowance.take("a") == 0 for _ in range(10 * AT_ONCE)) == AT_ONCE


def test_one_client_does_not_use_up_what_is_anothers(time: Time) -> None:
    allowance = Allowance(RATE, time)
    while not allowance.take("a"):
        pass
    assert allowance.take("b") == 0


def test_clients_that_have_all_they_may_are_forgotten(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "MAX_CLIENTS", 3)
    allowance = Allowance(RATE, time)
    for name in ("a", "b"):
        allowance.take(name)
    time.now += SAVED_S
    while not allowance.take("c"):
        pass
    for name in ("d", "e"):
        allowance.take(name)
    assert allowance.take("c") > 0
    # Where all of them are busy there are too many to keep them apart.
    for name in ("f", "g", "h"):
        assert allowance.take(name) == 0


# The interface


def test_who_asks_too_often_is_told_when_to_ask_again(client: FlaskClient) -> None:
    assert answered(AT_ONCE + 5, lambda: client.get("/foo/").status_code) == AT_ONCE
    refused = client.get("/foo/", headers={"Origin": "https://ui.example"})
    assert refused.status == "429 TOO MANY REQUESTS"
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Access-Control-Allow-Origin"] == "https://ui.example"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    told = error(refused)
    assert told["code"] == "rate_limited"
    assert "--api-rate" in told["hint"]
    assert client.head("/foo/").get_data() == b""


def test_it_is_answered_again(client: FlaskClient, time: Time) -> None:
    answered(AT_ONCE + 1, lambda: client.get("/foo/").status_code)
    time.now += 1.0
    assert answered(2 * RATE, lambda: client.get("/foo/").status_code) == RATE


def test_nothing_is_done_for_one_too_many(client: FlaskClient, house: World) -> None:
    answered(AT_ONCE, lambda: client.get("/foo/").status_code)
    assert client.put("/bar/").status_code == 429
    assert ask(client, URL, "POST").status_code == 429
    assert house.service.apps.names() == ["foo"]
    assert house.publisher.sent() == []


def test_urls_are_cheaper(client: FlaskClient, house: World) -> None:
    most = round(AT_ONCE / limiting.URL_COST)
    assert answered(most + 10, lambda: ask(client, URL, "POST").status_code) == most
    assert len(house.publisher.sent()) == most


@pytest.mark.parametrize("path", ["/ping/", "/ping", "/health/", "/health"])
def test_who_watches_it_is_always_answered(client: FlaskClient, path: str) -> None:
    while client.get("/foo/").status_code != 429:
        pass
    assert answered(AT_ONCE, lambda: client.get(path).status_code) == AT_ONCE


def test_addresses_are_told_apart(client: FlaskClient) -> None:
    def other() -> int:
        return client.get("/foo/", environ_base={"REMOTE_ADDR": "127.0.0.2"}).status_code

    while client.get("/foo/").status_code != 429:
        pass
    assert other() == 200


def test_each_process_gives_its_share(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(limiting, "Allowance", rates.append)
    client_of(house, 1000, processes=4)
    assert rates == [250]


def test_any_number_where_that_is_wanted(house: World) -> None:
    with client_of(house, 0) as client:
        assert answered(500, lambda: client.get("/foo/").status_code) == 500
