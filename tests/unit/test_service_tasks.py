"""Use-cases of queued URLs, over fakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cyme_supd.domain.target import Policy
from cyme_supd.domain.task import MAX_BATCH, Task, TaskState, UrlRequest, given_at
from cyme_supd.errors import Conflict, Invalid, NotFound, Timeout, Unavailable, Unimplemented
from cyme_supd.testing.store import MemoryView
from tests.unit.queue_support import DOWN, declare, later, start
from tests.unit.service_support import BROKER, HERE, START, World, world

TASK_KEY = b"k" * 32
OTHER = "amqp://guest:guest@mq:5672//"
GET = UrlRequest("GET", "http://example.com/")


@pytest.fixture
def house() -> World:
    made = world(replace(HERE, task_key=TASK_KEY))
    made.service.apps.put("foo", {})
    declare(made)
    return made


def queue(house: World, name: str = "tasks", url: str = GET.url, app: str = "foo") -> str:
    return house.service.tasks.queue(app, name, UrlRequest("GET", url))


def end(house: World, id: str, app: str = "foo", **given: Any) -> None:
    task = Task(id, app, TaskState.SUCCESS, {"status_code": 200}, None, house.clock.now())
    with house.store.writing() as tx:
        tx.save_tasks([replace(task, **given)])


def state(house: World, id: str, app: str = "foo") -> str:
    return house.service.tasks.get(app, id).state


# Queueing


def test_it_is_queued_at_the_broker_with_an_id_that_proves_itself(house: World) -> None:
    id = queue(house)
    assert house.publisher.queued == {(BROKER, "tasks"): [(id, GET)]}
    assert house.publisher.replies == {"cyme.results.b1"}
    assert given_at(TASK_KEY, "foo", id) == START
    assert state(house, id) == "PENDING"


def test_ids_differ_and_stay_in_order(house: World) -> None:
    requests = [UrlRequest("GET", f"http://example.com/{n}") for n in range(100)]
    ids = house.service.tasks.queue_all("foo", "tasks", requests)
    assert len(set(ids)) == 100
    assert house.publisher.queued[BROKER, "tasks"] == list(zip(ids, requests, strict=True))


@pytest.mark.parametrize(
    ("app", "name", "error"),
    [
        ("nope", "tasks", NotFound),
        ("foo", "nope", NotFound),
        ("foo", "dq.nope", NotFound),
        ("foo", "dq.", NotFound),
        ("a b", "tasks", Invalid),
        ("foo", "", Invalid),
        ("foo", "a\nb", Invalid),
        ("foo", "a" * 129, Invalid),
    ],
)
def test_where_nothing_can_be_queued(
    app: str, name: str, error: type[Exception], house: World
) -> None:
    for _ in range(2):
        with pytest.raises(error):
            queue(house, name, app=app)
    assert house.publisher.sent() == []


def test_targets_are_checked_and_all_are_queued_or_none(house: World) -> None:
    with pytest.raises(Invalid, match=r"^url: 169\.254\.169\.254 may not"):
        queue(house, url="http://169.254.169.254/")
    for size in (1, 3):
        requests = [GET] * (size - 1) + [UrlRequest("GET", "ftp://h/")]
        with pytest.raises(Invalid, match=rf"^\[{size - 1}\] url: scheme 'ftp'"):
            house.service.tasks.queue_all("foo", "tasks", requests)
    assert house.publisher.sent() == []


def test_the_policy_is_the_branchs() -> None:
    house = world(replace(HERE, targets=Policy(deny=("*.example.com",), is_loopback_allowed=True)))
    house.service.apps.put("foo", {})
    declare(house)
    queue(house, url="http://127.0.0.1:1234/")
    with pytest.raises(Invalid, match="--url-deny"):
        queue(house, url="http://a.example.com/")


def test_a_batch_has_its_limit_and_may_be_empty(house: World) -> None:
    assert house.service.tasks.queue_all("foo", "tasks", []) == []
    assert house.publisher.replies == set()
    assert len(house.service.tasks.queue_all("foo", "tasks", [GET] * MAX_BATCH)) == MAX_BATCH
    with pytest.raises(Invalid, match="more than 10000"):
        house.service.tasks.queue_all("foo", "tasks", [GET] * (MAX_BATCH + 1))
    assert len(house.publisher.sent()) == MAX_BATCH


def test_an_app_that_runs_other_code_takes_no_urls(house: World) -> None:
    house.service.apps.put("own", {"celery_app": "proj:app"})
    house.service.queues.put("own", "tasks", {})
    with pytest.raises(Unimplemented, match="proj:app"):
        queue(house, app="own")


def test_what_is_being_deleted_takes_no_more(house: World) -> None:
    start(house)
    queue(house, "dq.w1")
    house.branch.is_dead = True
    house.service.instances.delete("foo", "w1", False, None)
    with pytest.raises(Conflict, match="w1 is being deleted"):
        queue(house, "dq.w1")
    with house.store.writing() as tx:
        tx.save_app(replace(tx.app("foo"), is_deleting=True))
    with pytest.raises(Conflict, match="foo is being deleted"):
        queue(house)


# A broker that does not take it


def test_a_broker_that_is_known_to_be_down_is_not_asked(house: World) -> None:
    queue(house)
    house.branch.health = DOWN
    house.branch.run()
    for _ in range(2):
        with pytest.raises(
            Unavailable, match="nothing is queued: broker redis://h is down: refused"
        ):
            queue(house)
    with pytest.raises(Invalid):
        queue(house, url="ftp://h/")
    assert len(house.publisher.sent()) == 1
    house.branch.health = {}
    house.branch.run()
    queue(house)


def test_what_a_branch_said_long_ago_is_not_believed(house: World) -> None:
    house.branch.health = DOWN
    house.branch.run()
    with pytest.raises(Unavailable):
        queue(house)
    house.branch.is_dead = True
    house.clock.elapsed += 60
    queue(house)


def test_another_broker_being_down_is_no_matter(house: World) -> None:
    house.branch.health = {"brokers": {"other": {"ok": False}}}
    house.branch.run()
    queue(house)


@pytest.mark.parametrize("reason", ["refused", "its socket lies beside the broker's"])
def test_nor_is_what_only_the_workers_need(reason: str, house: World) -> None:
    house.branch.health = {"supervisord": {"ok": False, "reason": reason}}
    house.branch.run()
    queue(house)
    house.branch.is_dead = True
    house.clock.elapsed += 3600
    queue(house)


def test_supervisord_down_does_not_hide_a_broker_that_is(house: World) -> None:
    house.branch.health = {**DOWN, "supervisord": {"ok": False}}
    house.branch.run()
    with pytest.raises(Unavailable, match="nothing is queued: broker"):
        queue(house)


def test_what_the_broker_says_comes_through(house: World) -> None:
    house.publisher.is_down = True
    with pytest.raises(Unavailable):
        queue(house)
    house.publisher.is_down = False
    house.publisher.refuses.add("tasks")
    with pytest.raises(Conflict):
        queue(house)


# Where a queue is


def test_routes_are_read_once_until_something_changes(house: World) -> None:
    queue(house)
    reads = []
    reading = house.store.reading

    @contextmanager
    def counted() -> Iterator[MemoryView]:
        reads.append(1)
        with reading() as view:
            yield view

    house.store.reading = counted
    for _ in range(10):
        queue(house)
    assert reads == []
    house.service.apps.put("foo", {"broker": OTHER})
    id = queue(house)
    assert house.publisher.queued[OTHER, "tasks"] == [(id, GET)]
    house.service.queues.delete("foo", "tasks", 5)
    with pytest.raises(NotFound, match="no queue 'tasks'"):
        queue(house)


def test_one_read_while_the_store_changes_is_read_again(house: World) -> None:
    reading = house.store.reading

    @contextmanager
    def changed_meanwhile() -> Iterator[MemoryView]:
        with reading() as view:
            yield view
        house.store.reading = reading
        house.service.apps.put("foo", {"broker": OTHER})

    house.store.reading = changed_meanwhile
    queue(house)
    queue(house)
    assert [broker for broker, _ in house.publisher.queued] == [BROKER, OTHER]


def test_the_broker_is_that_of_who_consumes(house: World) -> None:
    start(house, "w1", broker=OTHER, queues=["tasks"])
    queue(house)
    assert list(house.publisher.queued) == [(OTHER, "tasks")]
    start(house, "w2", queues=["tasks"])
    queue(house)
    assert list(house.publisher.queued) == [(OTHER, "tasks"), (BROKER, "tasks")]
    house.service.instances.put("foo", "w2", {"queues": []}, 5)
    house.service.instances.disable("foo", "w1", 5)
    house.publisher.queued.clear()
    queue(house)
    assert list(house.publisher.queued) == [(BROKER, "tasks")]


def test_an_instances_own_queue_is_there_with_it(house: World) -> None:
    house.service.apps.put("bar", {})
    start(house, "w1", broker=OTHER)
    queue(house, "dq.w1")
    assert list(house.publisher.queued) == [(OTHER, "dq.w1")]
    with pytest.raises(NotFound, match="app 'bar' has no instance 'w1'"):
        queue(house, "dq.w1", app="bar")
    assert "dq.w1" not in house.service.queues.names("foo")


# Asking


def test_how_it_ended(house: World) -> None:
    id, failed = queue(house), queue(house)
    end(house, id)
    end(house, failed, state=TaskState.FAILURE, result=None, error="no answer within 60 s")
    seen = house.service.tasks.get("foo", id)
    assert (seen.state, seen.result, seen.error) == ("SUCCESS", {"status_code": 200}, None)
    seen = house.service.tasks.get("foo", failed)
    assert (seen.state, seen.result, seen.error) == ("FAILURE", None, "no answer within 60 s")


def test_ids_nobody_gave(house: World) -> None:
    id = queue(house)
    end(house, id)
    house.service.apps.put("bar", {})
    for app, other in (
        ("bar", id),
        ("foo", id[:-1] + ("0" if id[-1] != "0" else "1")),
        ("foo", "x"),
        ("foo", id.upper()),
        ("foo", "00000000-0000-0000-0000-000000000000"),
        ("nope", id),
    ):
        for ask in (house.service.tasks.get, lambda app, id: house.service.tasks.wait(app, id, 5)):
            with pytest.raises(NotFound):
                ask(app, other)
    with pytest.raises(Invalid):
        house.service.tasks.get("a b", id)


def test_a_result_is_not_known_for_ever(house: World) -> None:
    id = queue(house)
    house.clock.elapsed = HERE.results_expire_s
    assert state(house, id) == "PENDING"
    house.clock.elapsed += 1
    with pytest.raises(NotFound, match="not known any more"):
        state(house, id)
    # One that waited that long in its queue, and has ended now.
    end(house, id)
    assert state(house, id) == "SUCCESS"
    with house.store.writing() as tx:
        assert tx.remove_tasks(house.clock.now() + timedelta(seconds=1)) == 1
    with pytest.raises(NotFound, match="not known any more"):
        state(house, id)


def test_waiting_for_the_end(house: World) -> None:
    id = queue(house)
    later(house, lambda: end(house, id), 2.0)
    assert house.service.tasks.wait("foo", id, 10).state == "SUCCESS"
    assert 2.0 <= house.clock.elapsed < 2.1
    assert house.service.tasks.wait("foo", id, 0).state == "SUCCESS"


def test_waiting_in_vain(house: World) -> None:
    id = queue(house)
    with pytest.raises(Timeout, match="has not ended after 3 s"):
        house.service.tasks.wait("foo", id, 3)
    assert 3.0 <= house.clock.elapsed < 3.1
    with pytest.raises(Timeout):
        house.service.tasks.wait("foo", id, 0)


def test_a_wait_ends_with_its_process(house: World) -> None:
    id = queue(house)
    later(house, house.service.stop, 1.0)
    with pytest.raises(Unavailable, match="stopping"):
        house.service.tasks.wait("foo", id, 30)
    assert house.clock.elapsed < 1.1


def test_only_so_many_wait() -> None:
    house = world(replace(HERE, task_key=TASK_KEY), max_waits=1)
    house.service.apps.put("foo", {})
    declare(house)
    id = queue(house)
    refused: list[Unavailable] = []

    def one_more() -> None:
        with pytest.raises(Unavailable, match="too many") as caught:
            house.service.tasks.wait("foo", id, 5)
        refused.append(caught.value)
        end(house, id)

    later(house, one_more, 1.0)
    assert house.service.tasks.wait("foo", id, 5).state == "SUCCESS"
    assert len(refused) == 1


# Apps of one's own


def test_results_of_an_own_app_are_its_backends(house: World) -> None:
    house.service.apps.put("own", {"celery_app": "proj:app"})
    for ask in (house.service.tasks.get, lambda app, id: house.service.tasks.wait(app, id, 5)):
        with pytest.raises(Unimplemented, match="results is not known"):
            ask("own", "any-id")
    house.service.apps.put("own", {"result_backend": "redis://:s3cret@h/1"})
    house.backends.known["redis://:s3cret@h/1", "any-id"] = ("REVOKED", None, "revoked")
    seen = house.service.tasks.get("own", "any-id")
    assert (seen.state, seen.error, seen.has_ended) == ("REVOKED", "revoked", True)
    assert house.service.tasks.get("own", "other").state == "PENDING"


def test_a_backend_that_changes_without_a_word_is_asked_again(house: World) -> None:
    house.service.apps.put("own", {"celery_app": "proj:app", "result_backend": "redis://h/1"})
    house.branch.is_dead = True

    def finish() -> None:
        house.backends.known["redis://h/1", "x"] = ("SUCCESS", 42, None)

    later(house, finish, house.clock.elapsed + 1)
    begun = house.clock.elapsed
    assert house.service.tasks.wait("own", "x", 10).result == 42
    assert house.clock.elapsed - begun < 1.3
