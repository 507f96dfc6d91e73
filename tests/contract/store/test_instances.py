"""Instances, and what they are with all they inherit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.domain.status import Status
from cyme_supd.errors import Conflict, Invalid, NotFound
from tests.contract.store.values import (
    AT,
    DEFAULT,
    app,
    branch,
    fill,
    instance,
    observe,
    queue,
)


class TestInstances:
    def test_comes_back_as_it_was_added(self, store: Store) -> None:
        whole = instance(
            is_enabled=False,
            is_deleting=True,
            is_forced=True,
            broker="redis://h:6379/3",
            max_concurrency=1000,
            min_concurrency=0,
            pool="gevent",
            arguments=("-O", "fair"),
            extra_config={"worker_prefetch_multiplier": 1},
            stop_timeout_s=5,
            queues=("b", "a"),
            generation=7,
            restarts=3,
        )
        fill(store, app(), queue("a"), queue("b"), whole, instance("w2"))
        with store.reading() as view:
            assert view.instance("w1") == whole
            assert view.instances("foo") == [whole, instance("w2")]
            assert view.instances() == view.instances(branch="b1") == [whole, instance("w2")]
            assert view.instances(branch="b2") == view.instances("bar") == []

    def test_when_those_of_a_branch_were_created(self, store: Store) -> None:
        later = AT + timedelta(microseconds=1)
        leaving = instance("w2", created_at=later, is_deleting=True)
        fill(store, app(), instance(), leaving, instance("w3", branch="b2"))
        with store.reading() as view:
            assert view.born("b1") == {"w1": AT, "w2": later}
            assert view.born("b3") == {}

    def test_a_name_is_taken_once_whatever_the_app(self, store: Store) -> None:
        fill(store, app(), app("bar"), instance())
        for other in (instance(), instance(app="bar")):
            with pytest.raises(Conflict, match="'w1' already, of app 'foo'"):
                fill(store, other)

    def test_of_no_app(self, store: Store) -> None:
        with pytest.raises(NotFound, match="app 'foo'"):
            fill(store, instance())

    def test_of_an_undeclared_queue(self, store: Store) -> None:
        fill(store, app(), app("bar"), queue(app="bar"))
        with pytest.raises(NotFound, match="app 'foo' has no queue 'tasks'"):
            fill(store, instance(queues=("tasks",)))
        fill(store, instance())
        with store.writing() as transaction:
            edited = replace(transaction.instance("w1"), queues=("tasks",))
            with pytest.raises(NotFound, match="app 'foo' has no queue 'tasks'"):
                transaction.save_instance(edited)

    def test_of_a_queue_twice(self, store: Store) -> None:
        fill(store, app(), queue())
        with pytest.raises(Conflict):
            fill(store, instance(queues=("tasks", "tasks")))

    def test_one_that_is_not_there(self, store: Store) -> None:
        fill(store, app())
        with store.writing() as transaction:
            for ask in (transaction.instance, transaction.worker, transaction.remove_instance):
                with pytest.raises(NotFound, match="instance 'w1'"):
                    ask("w1")
            with pytest.raises(NotFound, match="instance 'w1'"):
                transaction.save_instance(instance())

    @pytest.mark.parametrize(
        "bounds", [(0, 0), (1, 2), (1, -1), (1001, 1)], ids=lambda given: f"{given}"
    )
    def test_limits_are_kept(self, store: Store, bounds: tuple[int, int]) -> None:
        most, least = bounds
        fill(store, app(), instance("w0"))
        with pytest.raises(Invalid):
            fill(store, instance(max_concurrency=most, min_concurrency=least))
        with store.reading() as view:
            assert view.instance_names("foo") == ["w0"]

    @pytest.mark.parametrize("name", ["", "n" * 129])
    def test_names_are_of_some_length(self, store: Store, name: str) -> None:
        fill(store, app())
        for bad in (app(name), instance(name), instance(branch=name)):
            with pytest.raises(Invalid):
                fill(store, bad)
        with pytest.raises(Invalid), store.writing() as transaction:
            transaction.save_branch(branch(name))

    def test_names_leave_out_those_being_deleted(self, store: Store) -> None:
        fill(store, app(), app("bar"), instance("x", "bar"))
        fill(store, *(instance(name) for name in "cabd"), instance("aa", is_deleting=True))
        with store.reading() as view:
            assert view.instance_names("foo") == ["a", "b", "c", "d"]
            assert view.instance_names("foo", after="a", limit=2) == ["b", "c"]
            assert view.instance_names("nope") == []
            assert view.instance("aa").is_deleting
            assert [each.name for each in view.instances("foo")] == ["a", "aa", "b", "c", "d"]

    def test_an_edit_gets_the_next_generation(self, store: Store) -> None:
        fill(store, app(), queue("a"), queue("b"), instance(queues=("a",)), instance("w2"))
        with store.writing() as transaction:
            edited = replace(
                transaction.instance("w1"),
                branch="b2",
                broker="amqp://b:5672//",
                is_enabled=False,
                queues=("b", "a"),
                restarts=1,
                created_at=AT + timedelta(1),
            )
            saved = transaction.save_instance(edited)
            assert saved == replace(edited, generation=2, created_at=AT)
            assert transaction.save_instance(saved).generation == 3
        with store.reading() as view:
            assert view.instance("w1") == replace(saved, generation=3)
            assert view.instance("w2") == instance("w2")

    def test_an_edit_of_what_was_edited_meanwhile(self, store: Store) -> None:
        fill(store, app(), app("bar"), instance())
        with store.writing() as transaction:
            transaction.save_instance(instance(pool="solo"))
        for stale in (instance(pool="gevent"), instance(app="bar", generation=2)):
            with store.writing() as transaction, pytest.raises(Conflict):
                transaction.save_instance(stale)
        with store.reading() as view:
            assert view.instance("w1") == instance(pool="solo", generation=2)

    def test_an_app_that_changed_touches_all_its_instances(self, store: Store) -> None:
        fill(store, app(), app("bar"), instance("w3", "bar"))
        fill(store, instance("w2", generation=4), instance("w1", is_deleting=True))
        with store.writing() as transaction:
            touched = transaction.touch_instances("foo")
            assert [(each.name, each.generation) for each in touched] == [("w1", 2), ("w2", 5)]
            assert transaction.touch_instances("nope") == []
        with store.reading() as view:
            assert view.instances("foo") == touched
            assert view.instance("w3").generation == 1

    def test_is_removed_with_its_status(self, store: Store) -> None:
        fill(store, app(), queue(), instance(queues=("tasks",)))
        observe(store, Status("w1", 1, pid=5))
        with store.writing() as transaction:
            transaction.remove_instance("w1")
        fill(store, instance())
        with store.reading() as view:
            assert view.status("w1") is None
            assert view.instance("w1") == instance()


class TestWorkers:
    def test_has_what_it_inherits(self, store: Store) -> None:
        fill(store, app(pool="solo"), queue("a"), queue("b"), instance(queues=("b", "a")))
        with store.reading() as view:
            worker = view.worker("w1")
            assert worker.instance == instance(queues=("b", "a"))
            assert worker.app == app(pool="solo")
            assert worker.queues == (queue("b"), queue("a"))

    @pytest.mark.parametrize(
        ("of_instance", "of_app", "is_used"),
        [
            ("amqp://i:5672//", "amqp://a:5672//", "amqp://i:5672//"),
            (None, "amqp://a:5672//", "amqp://a:5672//"),
            (None, None, DEFAULT),
        ],
    )
    def test_ends_up_with_a_broker(
        self, store: Store, of_instance: str | None, of_app: str | None, is_used: str
    ) -> None:
        fill(store, app(broker=of_app), instance(broker=of_instance))
        with store.reading() as view:
            assert view.worker("w1").broker == is_used
            assert view.worker("w1").instance.broker == of_instance

    def test_brokers_are_not_mixed_up(self, store: Store) -> None:
        fill(store, app(broker="amqp://a:5672//"), app("bar", broker="amqp://a:5672//"))
        fill(store, instance("w1", broker="amqp://a:5672//"), instance("w2", "bar"))
        with store.writing() as transaction:
            transaction.save_app(app(broker="amqp://b:5672//"))
        with store.reading() as view:
            assert view.app("foo").broker == "amqp://b:5672//"
            assert view.worker("w1").broker == view.worker("w2").broker == "amqp://a:5672//"

    def test_all_of_a_branch(self, store: Store) -> None:
        fill(store, app(), app("bar", pool="solo"), queue("q"), queue("q", "bar", exchange="e"))
        fill(
            store,
            instance("w3", "bar", queues=("q",)),
            instance("w1", queues=("q",)),
            instance("w2", is_deleting=True),
            instance("w4", branch="b2"),
        )
        with store.reading() as view:
            workers = view.workers("b1")
            assert [each.name for each in workers] == ["w1", "w2", "w3"]
            assert workers == [view.worker(each.name) for each in workers]
            assert [each.queues for each in workers[::2]] == [
                (queue("q"),),
                (queue("q", "bar", exchange="e"),),
            ]
            assert view.workers("nope") == []

    def test_those_that_are_named(self, store: Store) -> None:
        fill(store, app(), queue("q"), instance("w2", queues=("q",)), instance("w1"))
        fill(store, instance("w3", branch="b2"), instance("w4"))
        with store.reading() as view:
            workers = view.workers_named({"w2", "w1", "w3", "w9"})
            assert workers == [view.worker(name) for name in ("w1", "w2", "w3")]
            assert view.workers_named(()) == []

    def test_more_names_than_a_query_takes(self, store: Store) -> None:
        names = [f"w{number:04}" for number in range(1203)]
        fill(store, app(), *(instance(name) for name in names))
        with store.reading() as view:
            assert [each.name for each in view.workers_named(set(names))] == names

    def test_how_many_a_branch_has(self, store: Store) -> None:
        fill(store, app(), instance("w1"), instance("w2"), instance("w3", branch="b2"))
        fill(store, instance("w4", is_deleting=True))
        with store.reading() as view:
            assert view.instance_count("b1") == 2
            assert view.instance_count("nope") == 0
