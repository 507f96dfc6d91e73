"""Apps and their queues."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.errors import Conflict, NotFound
from tests.contract.store.values import (
    AT,
    app,
    fill,
    instance,
    queue,
)


class TestApps:
    def test_comes_back_as_it_was_added(self, store: Store) -> None:
        whole = app(
            broker="amqp://guest:p%40ss@rabbit:5672//",
            arguments=("--max-tasks-per-child", "10"),
            extra_config={"task_acks_late": True, "nested": {"a": [1, 2.5, None, "ü"]}},
            celery_app="proj.celery:app",
            directory="/srv/proj",
            environment={"KEY": "va'l\"ue; %"},
            user="nobody",
            command="/srv/venv/bin/celery",
            result_backend="redis://:secret@127.0.0.1/1",
            pool="threads",
            stop_timeout_s=0,
        )
        fill(store, whole)
        with store.reading() as view:
            assert view.app("foo") == whole

    def test_has_defaults(self, store: Store) -> None:
        fill(store, app())
        with store.reading() as view:
            assert view.app("foo") == app()

    def test_a_name_is_taken_once(self, store: Store) -> None:
        fill(store, app(pool="solo"))
        with pytest.raises(Conflict, match="'foo'"):
            fill(store, app())
        with store.reading() as view:
            assert view.app("foo").pool == "solo"

    def test_is_edited_whole_but_for_when_it_was_made(self, store: Store) -> None:
        fill(store, app(broker="amqp://a:5672//", pool="solo"), app("bar"))
        later = AT + timedelta(days=1)
        with store.writing() as transaction:
            transaction.save_app(app(created_at=later, arguments=("-O", "fair")))
        with store.reading() as view:
            assert view.app("foo") == app(arguments=("-O", "fair"))
            assert view.app("bar") == app("bar")

    def test_one_that_is_being_deleted_goes_with_its_last_instance(self, store: Store) -> None:
        fill(store, app(), queue(), instance("w1"), instance("w2"))
        with store.writing() as transaction:
            transaction.save_app(app(is_deleting=True))
            transaction.remove_instance("w1")
        with store.reading() as view:
            assert view.app_names() == []
            assert view.apps() == []
            assert view.queues() == []
            assert view.app("foo").is_deleting
        with store.writing() as transaction:
            transaction.remove_instance("w2")
        with store.reading() as view, pytest.raises(NotFound):
            view.app("foo")

    def test_one_that_is_not_there(self, store: Store) -> None:
        with store.writing() as transaction:
            for ask in (transaction.app, transaction.remove_app):
                with pytest.raises(NotFound, match="app 'nope'"):
                    ask("nope")
            with pytest.raises(NotFound, match="app 'nope'"):
                transaction.save_app(app("nope"))

    def test_names_are_sorted_by_code_point_and_paged(self, store: Store) -> None:
        fill(store, *(app(name) for name in ("b", "a", "B", "_x", "a.1", "10", "9")))
        names = sorted(["b", "a", "B", "_x", "a.1", "10", "9"])
        with store.reading() as view:
            assert view.app_names() == names
            assert view.app_names(limit=3) == names[:3]
            assert view.app_names(after=names[2], limit=2) == names[3:5]
            assert view.app_names(after="b") == []
            assert view.app_names(after="a.0") == ["a.1", "b"]
            assert view.app_names(limit=0) == []
            assert [each.name for each in view.apps()] == names

    def test_names_differ_by_case(self, store: Store) -> None:
        fill(store, app("Foo"), app("foo", pool="solo"))
        with store.reading() as view:
            assert (view.app("Foo").pool, view.app("foo").pool) == (None, "solo")

    def test_is_removed_with_its_queues(self, store: Store) -> None:
        fill(store, app(), queue(), app("bar"), queue(app="bar"))
        with store.writing() as transaction:
            transaction.remove_app("foo")
        with store.reading() as view:
            assert view.app_names() == ["bar"]
            assert view.queue_names("bar") == ["tasks"]
            assert view.queues() == [queue(app="bar")]
        fill(store, app())
        with store.reading() as view:
            assert view.queue_names("foo") == []

    def test_is_not_removed_while_it_has_instances(self, store: Store) -> None:
        fill(store, app(), queue(), instance("w1"), instance("w2", is_deleting=True))
        with store.writing() as transaction, pytest.raises(Conflict, match=r"w1, w2"):
            transaction.remove_app("foo")
        with store.writing() as transaction:
            transaction.remove_instance("w1")
            transaction.remove_instance("w2")
            transaction.remove_app("foo")
        with store.reading() as view:
            assert view.app_names() == []


class TestQueues:
    def test_comes_back_as_it_was_added(self, store: Store) -> None:
        whole = queue(
            "größe/1 %",
            exchange="ex",
            exchange_type="topic",
            routing_key="a.#",
            options={"durable": False, "queue_arguments": {"x-max-priority": 10}},
        )
        fill(store, app(), whole)
        with store.reading() as view:
            assert view.queue("foo", "größe/1 %") == whole

    def test_a_name_is_taken_once_in_an_app(self, store: Store) -> None:
        fill(store, app(), app("bar"), queue(), queue(app="bar"))
        with pytest.raises(Conflict, match="'tasks'"):
            fill(store, queue(exchange="other"))

    def test_names_differ_by_case_accents_and_spaces_at_their_end(self, store: Store) -> None:
        names = sorted(["a", "A", "a ", " a", "\u00e4", "a\u0308", "\uff5e", "\U0001f40d", "z"])
        fill(store, app(), *(queue(name) for name in names))
        with store.reading() as view:
            assert view.queue_names("foo") == names
            assert view.queue_names("foo", after="z") == names[-3:]
            assert [view.queue("foo", name).name for name in names] == names

    def test_of_no_app(self, store: Store) -> None:
        with pytest.raises(NotFound, match="app 'foo'"):
            fill(store, queue())

    def test_one_that_is_not_there(self, store: Store) -> None:
        fill(store, app(), app("bar"), queue(app="bar"))
        with store.writing() as transaction:
            for ask in (transaction.queue, transaction.remove_queue):
                with pytest.raises(NotFound, match="app 'foo' has no queue 'tasks'"):
                    ask("foo", "tasks")
            with pytest.raises(NotFound, match="app 'foo' has no queue 'tasks'"):
                transaction.save_queue(queue())

    def test_names_are_sorted_and_paged(self, store: Store) -> None:
        fill(store, app(), app("bar"), *(queue(name) for name in "cab"), queue("d", "bar"))
        with store.reading() as view:
            assert view.queue_names("foo") == ["a", "b", "c"]
            assert view.queue_names("foo", after="a", limit=1) == ["b"]
            assert view.queue_names("nope") == []

    def test_an_edit_is_seen_by_who_consumes(self, store: Store) -> None:
        fill(store, app(), queue(), queue("other"))
        fill(store, instance("w1", queues=("tasks",)), instance("w2", queues=("other",)))
        with store.writing() as transaction:
            transaction.save_queue(queue(exchange="ex", created_at=AT + timedelta(1)))
        with store.reading() as view:
            assert view.worker("w1").queues == (queue(exchange="ex"),)
            assert view.instance("w1").generation == 2
            assert view.instance("w2").generation == 1

    def test_a_removal_is_seen_by_who_consumed(self, store: Store) -> None:
        fill(store, app(), *(queue(name) for name in ("a", "b", "c")))
        fill(store, instance("w1", queues=("c", "a", "b")), instance("w2", queues=("b",)))
        fill(store, app("bar"), queue("a", "bar"), instance("w3", "bar", queues=("a",)))
        with store.writing() as transaction:
            transaction.remove_queue("foo", "a")
        with store.reading() as view:
            assert view.instance("w1").queues == ("c", "b")
            assert view.instance("w1").generation == 2
            assert view.instance("w2") == instance("w2", queues=("b",))
            assert view.instance("w3") == instance("w3", "bar", queues=("a",))
