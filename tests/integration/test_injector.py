"""Fire times become orders at real brokers, whoever is killed or away meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Connection

from cyme_supd.clock import SystemClock
from cyme_supd.domain.job import Job, Run, RunStatus, run_id
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.orders import Order, answers_queue
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import Unavailable
from cyme_supd.runner.letters import order_in
from cyme_supd.scheduler import injector as injecting
from cyme_supd.scheduler import ordering
from cyme_supd.scheduler.injector import Injector
from cyme_supd.schedules.parsing import parse_schedule
from cyme_supd.seal import Seal
from cyme_supd.testing.store import MemoryStore
from tests.acceptance.harness import unique
from tests.relay import relayed
from tests.services import free_port
from tests.support import eventually

KEY = b"k" * 32
AWAY = f"amqp://guest:guest@127.0.0.1:{free_port()}//"


@pytest.fixture(params=["rabbitmq_url", "valkey_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def queue(url: str) -> Iterator[str]:
    name = unique("orders")
    yield name
    with Connection(url) as connection:
        for each in (name, answers_queue(KEY)):
            connection.default_channel.queue_delete(each)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("memory://")


@contextmanager
def injecting_at(store: MemoryStore, url: str) -> Iterator[Injector]:
    made = Injector(store, parse_schedule, KEY, SystemClock(), "b1", url)
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop, lambda: None), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        made.hint()
        thread.join(30)
        assert not thread.is_alive()


def add(store: MemoryStore, queue: str, count: int = 1, **given: Any) -> list[Job]:
    """Jobs that are due once, now."""
    at = datetime.now(UTC)
    schedule = f"R1/{at.isoformat().replace('+00:00', 'Z')}/P1D"
    made = Job("c", "", schedule, at, command="true", routing_key=queue)
    due = replace(made, next_fire_at=at, due_at=at, **given)
    prefix = unique("j")
    jobs = [replace(due, name=f"{prefix}-{number}") for number in range(count)]
    with store.writing() as tx:
        tx.add_category("c")
        tx.add_jobs(jobs)
    return jobs


def add_run(store: MemoryStore, job: Job, late_s: float = 0, **given: Any) -> Run:
    """One that is to be ordered."""
    at = datetime.now(UTC) - timedelta(seconds=late_s)
    made = Run(run_id(job.id, at), job.id, "c", job.name, at, RunStatus.QUEUED, at, order_at=at)
    with store.writing() as tx:
        tx.add_runs([replace(made, **given)])
    return made


def idle_job(store: MemoryStore, queue: str, **given: Any) -> Job:
    job = Job("c", unique("idle"), "@daily", datetime.now(UTC), command="true", routing_key=queue)
    made = replace(job, **given)
    with store.writing() as tx:
        tx.add_category("c")
        tx.add_jobs([made])
    return made


def stored(store: MemoryStore) -> dict[str, Run]:
    with store.reading() as view:
        return {run.id: run for run in view.runs(RunQuery(limit=2000))}


def all_are(store: MemoryStore, is_so: Callable[[Run], bool], count: int) -> bool:
    found = stored(store).values()
    return len(found) == count and all(map(is_so, found))


def ordered(url: str, queue: str) -> list[Order]:
    """All that wait in the queue, which is empty then."""
    found = []
    with Connection(url) as connection:
        channel = connection.default_channel
        while message := channel.basic_get(queue):
            sealed = order_in(channel.message_to_python(message))
            found.append(Seal(KEY).open(sealed, (Order,)))
            channel.basic_ack(message.delivery_tag)
    return found


def test_each_fire_time_is_ordered_and_marked(store: MemoryStore, url: str, queue: str) -> None:
    jobs = add(store, queue, 510)
    with injecting_at(store, url):
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 510))
    orders = ordered(url, queue)
    assert {each.run for each in orders} == stored(store).keys()
    assert {each.job for each in orders} == {job.id for job in jobs}
    assert {each.reply for each in orders} == {answers_queue(KEY)}
    assert len(orders) == 510
    for run in stored(store).values():
        assert (run.branch, run.status) == ("b1", RunStatus.QUEUED)
        # Nobody claims it: it is ordered once more, in a minute.
        assert run.order_at is not None
        assert 50 < (run.order_at - run.queued_at).total_seconds() < 75


def test_what_was_committed_and_not_ordered(store: MemoryStore, url: str, queue: str) -> None:
    """Who was killed in between has left runs behind whose time is over."""
    job = idle_job(store, queue)
    left = [add_run(store, job, late_s) for late_s in (11, 12)]
    held = add_run(store, job, 13, order_at=None)
    later = add_run(store, job, order_at=datetime.now(UTC) + timedelta(minutes=1))
    with injecting_at(store, url):
        eventually(lambda: all(stored(store)[run.id].orders == 1 for run in left))
    assert {each.run for each in ordered(url, queue)} == {run.id for run in left}
    assert stored(store)[held.id].orders == stored(store)[later.id].orders == 0


def test_what_waits_in_a_long_queue_makes_it_no_longer(
    store: MemoryStore, url: str, queue: str
) -> None:
    job = idle_job(store, queue)
    first = add_run(store, job)
    with injecting_at(store, url):
        eventually(lambda: stored(store)[first.id].orders == 1)
        # Ordered once more, as nobody has claimed it; the other's order is gone.
        again, old = add_run(store, job, orders=1), add_run(store, job, 3700, orders=1)
        eventually(lambda: (stored(store)[again.id].reason or "").startswith("its order waits"))
        eventually(lambda: stored(store)[old.id].orders == 2)
        assert {each.run for each in ordered(url, queue)} == {first.id, old.id}
        gone = add_run(store, job, orders=1)
        eventually(lambda: stored(store)[gone.id].orders == 2)
    assert [each.run for each in ordered(url, queue)] == [gone.id]
    assert stored(store)[again.id].orders == 1


def test_a_queue_as_its_app_has_declared_it(store: MemoryStore, rabbitmq_url: str) -> None:
    name, exchange = unique("declared"), unique("exchange")
    at = datetime.now(UTC)
    with store.writing() as tx:
        tx.add_app(App("foo", at, broker=rabbitmq_url))
        options = {"queue_arguments": {"x-max-length": 5}}
        tx.add_queue(Queue("foo", name, exchange, "topic", "a.#", options, at))
    add(store, name, app="foo")
    with injecting_at(store, AWAY), Connection(rabbitmq_url) as connection:
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 1))
        channel = connection.default_channel
        arguments = {"x-max-length": 5}
        # With other arguments this would be refused.
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        assert len(ordered(rabbitmq_url, name)) == 1
        # What is gone is declared again.
        channel.queue_delete(name)
        add_run(store, idle_job(store, name, app="foo"))
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 2))
        assert len(ordered(rabbitmq_url, name)) == 1
        channel.queue_delete(name)
        channel.exchange_delete(exchange)


def test_a_broker_that_is_away_hinders_no_other(
    store: MemoryStore, url: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyme_supd.domain.firing.ORDERED_WITHIN_S", 0.5)
    with store.writing() as tx:
        tx.add_app(App("away", datetime.now(UTC), broker=AWAY))
    add(store, queue, 5, app="away")
    add(store, queue, 5)
    with injecting_at(store, url):
        eventually(lambda: [run.orders for run in stored(store).values()].count(1) == 5)
        waiting = [run for run in stored(store).values() if run.app == "away"]
        assert [run.orders for run in waiting] == [0] * 5
        with store.writing() as tx:
            tx.save_app(replace(tx.app("away"), broker=url))
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 10))
    assert {each.run for each in ordered(url, queue)} == stored(store).keys()


@pytest.mark.parametrize("fault", ["cut", "hold"])
def test_a_broker_that_goes_away_and_comes_back(
    store: MemoryStore, url: str, queue: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are made meanwhile, and ordered when it is back, the line cut or silent."""
    monkeypatch.setattr("cyme_supd.domain.firing.ORDERED_WITHIN_S", 0.5)
    monkeypatch.setattr(ordering, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(ordering, "PAUSE_S", 0.1)
    with relayed(url) as (relay, near), injecting_at(store, near) as injector:
        add(store, queue)
        injector.hint()
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 1))
        getattr(relay, fault)()
        add(store, queue, 3)
        injector.hint()
        eventually(lambda: injector._orders.is_away(near))
        assert [run.orders for run in stored(store).values()].count(0) == 3
        relay.mend() if fault == "cut" else relay.resume()
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 4), 20)
    # What was on its way when the line went silent has come, too.
    assert {each.run for each in ordered(url, queue)} == stored(store).keys()


def test_a_broker_that_is_away_for_long(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that have waited for minutes one at a time is tried."""
    monkeypatch.setattr("cyme_supd.domain.firing.ORDERED_WITHIN_S", 0.3)
    job = idle_job(store, "q")
    young = add_run(store, job, 5)
    at = datetime.now(UTC) - timedelta(minutes=5)
    times = [at + timedelta(seconds=number) for number in range(5)]
    runs = [replace(young, id=run_id(job.id, at), fire_at=at, queued_at=at) for at in times]
    with injecting_at(store, AWAY) as injector:
        eventually(lambda: injector._orders.is_away(AWAY))
        with store.writing() as tx:
            tx.add_runs(runs)
        waiting = eventually(lambda: put_off(store, 4))
    assert all(run.order_at - datetime.now(UTC) > timedelta(seconds=20) for run in waiting)
    assert young.id not in {run.id for run in waiting}
    assert {run.orders for run in stored(store).values()} == {0}


def put_off(store: MemoryStore, count: int) -> list[Any]:
    found = [run for run in stored(store).values() if run.reason == "its broker is away"]
    return found if len(found) == count else []


def test_what_a_broker_refuses_says_so(store: MemoryStore, valkey_url: str) -> None:
    name, at = unique("refused"), datetime.now(UTC)
    with store.writing() as tx:
        tx.add_app(App("foo", at, broker=valkey_url))
        tx.add_queue(Queue("foo", name, name, "fanout", name, {}, at))
    add(store, name, app="foo")
    with injecting_at(store, AWAY):
        eventually(lambda: all_are(store, lambda run: "fanout" in str(run.reason), 1))
        (run,) = stored(store).values()
        assert (run.status, run.orders) == (RunStatus.QUEUED, 0)
        assert run.order_at is not None
        assert run.order_at > datetime.now(UTC) + timedelta(seconds=30)


def test_a_queue_that_is_full_hinders_no_other(store: MemoryStore, rabbitmq_url: str) -> None:
    full, other = unique("full"), unique("other")
    with Connection(rabbitmq_url) as connection:
        channel = connection.default_channel
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(full, durable=True, auto_delete=False, arguments=limits)
        channel.basic_publish(channel.prepare_message(b"{}"), routing_key=full)
        add(store, full, 3)
        add_run(store, idle_job(store, other))
        with injecting_at(store, rabbitmq_url) as injector:
            eventually(lambda: all_are(store, lambda run: bool(run.reason or run.orders), 4))
            assert not injector._orders.is_away(rabbitmq_url)
        channel.queue_delete(full)
        channel.queue_delete(other)
    assert sorted(run.orders for run in stored(store).values()) == [0, 0, 0, 1]


def test_what_is_not_ordered_any_more(store: MemoryStore) -> None:
    gone = Job("c", "gone", "@daily", datetime.now(UTC), command="true")
    removed = add_run(store, gone)
    late = add_run(store, idle_job(store, "q", deadline_s=5), 20)
    unwanted = add_run(store, idle_job(store, "q"), wants_cancel=True)
    without = add_run(store, idle_job(store, "q", app="none"))
    with injecting_at(store, AWAY):
        eventually(lambda: all_are(store, lambda run: run.status != RunStatus.QUEUED, 4))
    found = stored(store)
    assert {id: (str(found[id].status), found[id].reason) for id in found} == {
        removed.id: ("cancelled", "the job was removed"),
        late.id: ("skipped", "no runner took it within its deadline of 5 s"),
        unwanted.id: ("cancelled", "it was cancelled"),
        without.id: ("failed", "there is no app 'none'"),
    }
    assert all(run.finished_at and run.order_at is None for run in found.values())
    with store.reading() as view:
        assert [each.message for each in view.run_events(removed.id)] == ["the job was removed"]


def test_a_schedule_that_cannot_be_read_ends_that_job_alone(
    store: MemoryStore, url: str, queue: str
) -> None:
    bad, good = add(store, queue, 2)
    with store.writing() as tx:
        tx.save_jobs([replace(bad, schedule="0 0 * * *", timezone="No/Where")])
    with injecting_at(store, url):
        eventually(lambda: [run.orders for run in stored(store).values()].count(1) == 1)
    assert len(ordered(url, queue)) == 1
    assert {run.name: str(run.status) for run in stored(store).values()} == {
        bad.name: "failed",
        good.name: "queued",
    }
    with store.reading() as view:
        assert view.next_due_at() is None


def test_a_fault_of_one_job_is_not_that_of_others(store: MemoryStore) -> None:
    bad, good = add(store, "q", 2)
    with store.writing() as tx:
        tx.save_jobs([replace(bad, timezone="bad")])

    def parse(text: str, timezone: str | None) -> Any:
        if timezone == "bad":
            raise ZeroDivisionError("no such thing")
        return parse_schedule(text, timezone)

    made = Injector(store, parse, KEY, SystemClock(), "b1", AWAY)
    made.look()
    made.close()
    found = {run.name: (str(run.status), run.reason) for run in stored(store).values()}
    assert found == {bad.name: ("failed", "no such thing"), good.name: ("queued", None)}


def test_a_database_that_was_away(
    store: MemoryStore,
    url: str,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was due meanwhile is on time, and the injector goes on by itself."""
    monkeypatch.setattr(injecting, "TROUBLE_S", 0.05)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)
    every_second = replace(add_later(queue, at), schedule=f"R60/{at:%Y-%m-%dT%H:%M:%S}/PT1S")
    with store.writing() as tx:
        tx.add_category("c")
        tx.add_jobs([every_second])
    store.failure = Unavailable("the database is away")
    with injecting_at(store, url):
        eventually(lambda: "the database is away" in caplog.text)
        store.failure = None
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 60))
    assert caplog.text.count("the database is away") == 1
    assert len(ordered(url, queue)) == 60


def test_two_at_once_order_each_run_once(store: MemoryStore, url: str, queue: str) -> None:
    add(store, queue, 600)
    with injecting_at(store, url), injecting_at(store, url):
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 600))
    assert len(ordered(url, queue)) == 600


def test_one_that_is_edited_is_taken_at_once(
    store: MemoryStore, url: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "LOOK_EVERY_S", 3600.0)
    with injecting_at(store, url) as injector:
        add(store, queue)
        injector.hint()
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 1))
        # And it wakes by itself when the next one is due.
        at = datetime.now(UTC) + timedelta(seconds=0.2)
        with store.writing() as tx:
            tx.add_jobs([replace(add_later(queue, at), name="later")])
        injector.hint()
        eventually(lambda: all_are(store, lambda run: run.orders == 1, 2))
        run = next(run for run in stored(store).values() if run.name == "later")
        assert run.queued_at >= at


def add_later(queue: str, at: datetime) -> Job:
    schedule = f"R1/{at.isoformat().replace('+00:00', 'Z')}/P1D"
    job = Job("c", "later", schedule, at, command="true", routing_key=queue)
    return replace(job, next_fire_at=at, due_at=at)
