"""The versions that apps and queues have, and what comes from other branches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cyme_supd.domain.catalogue import Entry, Version, app_key, key_of, queue_key
from cyme_supd.domain.contents import digest_of
from cyme_supd.domain.merging import Merged
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.ports import Store
from cyme_supd.domain.rollout import Rollout
from cyme_supd.domain.spec import App, Queue
from cyme_supd.errors import NotFound
from tests.contract.store.values import AT, app, fill, instance, queue

FOO = app_key("foo")
TASKS = queue_key("foo", "tasks")
NOW = datetime.now(UTC)


def stamps(store: Store) -> dict[str, tuple[int, str]]:
    with store.reading() as view:
        return {key: version.stamp for key, version in view.catalogue_index().items()}


def digest(store: Store) -> str:
    with store.reading() as view:
        return view.catalogue_digest()


def entries(store: Store, *keys: str) -> list[Entry]:
    with store.reading() as view:
        return view.entries(keys)


def merge(store: Store, *found: Entry) -> Merged:
    with store.writing() as tx:
        return tx.merge(found)


def entry(thing: App | Queue, number: int, origin: str = "b2") -> Entry:
    return Entry(key_of(thing), Version(number, origin, digest_of(thing)), thing)


def tombstone(key: str, number: int, at: datetime = NOW, origin: str = "b2") -> Entry:
    return Entry(key, Version(number, origin), None, at)


def generations(store: Store, names: Collection[str]) -> dict[str, int]:
    with store.reading() as view:
        return {name: view.instance(name).generation for name in names}


class TestVersions:
    def test_there_is_nothing_at_first(self, store: Store) -> None:
        assert stamps(store) == {}
        assert entries(store, FOO, TASKS) == []
        with store.reading() as view:
            assert view.next_version() == Version(1, "b1")

    def test_every_change_gets_the_next(self, store: Store) -> None:
        fill(store, app())
        fill(store, queue(), queue("mail"))
        assert stamps(store) == {
            FOO: (1, "b1"),
            TASKS: (2, "b1"),
            queue_key("foo", "mail"): (2, "b1"),
        }
        with store.writing() as tx:
            assert tx.next_version() == Version(3, "b1")
            tx.save_app(app(pool="solo"))
            tx.save_app(app(pool="threads"))
        with store.writing() as tx:
            tx.save_queue(queue(exchange="other"))
        assert stamps(store)[FOO] == (3, "b1")
        assert stamps(store)[TASKS] == (4, "b1")

    def test_an_edit_that_changes_nothing_keeps_it(self, store: Store) -> None:
        fill(store, app(), queue())
        before = stamps(store)
        later = AT + timedelta(days=1)
        with store.writing() as tx:
            tx.save_app(app(created_at=later))
            tx.save_app(app(is_deleting=True))
            tx.save_queue(queue(created_at=later))
        assert stamps(store) == before

    def test_a_deletion_leaves_a_tombstone(self, store: Store) -> None:
        fill(store, app(), queue())
        with store.writing() as tx:
            tx.remove_queue("foo", "tasks")
        (found,) = entries(store, TASKS)
        assert (found.version, found.content) == (Version(2, "b1"), None)
        assert found.deleted_at is not None
        assert abs(found.deleted_at - datetime.now(UTC)) < timedelta(minutes=1)

    def test_an_app_takes_its_queues_along(self, store: Store) -> None:
        fill(store, app(), queue())
        with store.writing() as tx:
            tx.remove_app("foo")
        assert stamps(store) == {FOO: (2, "b1"), TASKS: (2, "b1")}
        assert [each.content for each in entries(store, FOO, TASKS)] == [None, None]

    def test_an_app_that_goes_with_its_last_instance(self, store: Store) -> None:
        fill(store, app(is_deleting=True), queue(), instance())
        with store.writing() as tx:
            tx.remove_instance("w1")
        assert [each.content for each in entries(store, FOO, TASKS)] == [None, None]

    def test_one_that_is_made_again_is_above_its_tombstone(self, store: Store) -> None:
        fill(store, app())
        with store.writing() as tx:
            tx.remove_app("foo")
            tx.add_app(app(pool="solo"))
        fill(store, queue())
        with store.writing() as tx:
            tx.remove_app("foo")
        fill(store, app())
        assert stamps(store) == {FOO: (5, "b1"), TASKS: (4, "b1")}
        (found,) = entries(store, FOO)
        assert found == Entry(FOO, Version(5, "b1", digest_of(app())), app())

    def test_the_highest_number_outlives_what_had_it(self, store: Store) -> None:
        fill(store, app())
        with store.writing() as tx:
            tx.remove_app("foo")
        with store.writing() as tx:
            assert tx.forget_tombstones(datetime.now(UTC) + timedelta(seconds=1)) == 1
        assert stamps(store) == {}
        fill(store, app())
        assert stamps(store) == {FOO: (3, "b1")}

    def test_a_change_that_failed_has_none(self, store: Store) -> None:
        fill(store, app())
        before = digest(store)

        def fail() -> None:
            with store.writing() as tx:
                tx.save_app(app(pool="solo"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert digest(store) == before
        fill(store, app("bar"))
        assert stamps(store) == {FOO: (1, "b1"), app_key("bar"): (2, "b1")}

    def test_entries_have_all_there_is(self, store: Store) -> None:
        pause = Pause("deploy", AT, AT + timedelta(days=1))
        whole = app(
            broker="amqp://guest:p%40ss@rabbit:5672//",
            arguments=("-O", "fair"),
            extra_config={"task_acks_late": True},
            environment={"KEY": "value"},
            stop_timeout_s=0,
            pause=pause,
            rollout=Rollout(2, 1, AT),
        )
        theirs = queue("a/b ü", options={"max_length": 7}, pause=pause)
        fill(store, whole, theirs, app("bar"))
        with store.writing() as tx:
            tx.save_app(replace(whole, is_deleting=True))
        keys = [queue_key("foo", "a/b ü"), FOO, queue_key("foo", "nope"), app_key("nope")]
        assert [each.content for each in entries(store, *keys)] == [whole, theirs]


class TestStamps:
    def test_stand_in_for_the_next(self, store: Store) -> None:
        with store.writing(Version(7, "b2")) as tx:
            tx.add_app(app())
            tx.add_queue(queue())
        assert stamps(store) == {FOO: (7, "b2"), TASKS: (7, "b2")}
        fill(store, app("bar"))
        assert stamps(store)[app_key("bar")] == (8, "b1")

    def test_for_deletions_too(self, store: Store) -> None:
        fill(store, app(), queue())
        with store.writing(Version(7, "b2")) as tx:
            tx.remove_app("foo")
        assert stamps(store) == {FOO: (7, "b2"), TASKS: (7, "b2")}

    def test_the_same_for_all_that_the_change_does(self, store: Store) -> None:
        with store.writing(Version(7, "b2")) as tx:
            tx.add_app(app())
            tx.save_app(app(pool="solo"))
        assert entries(store, FOO)[0].version == Version(7, "b2", digest_of(app(pool="solo")))

    def test_not_for_a_change_of_what_is_newer(self, store: Store) -> None:
        merge(store, entry(app(), 9))
        with store.writing(Version(7, "b2")) as tx:
            tx.save_app(app(pool="solo"))
        assert stamps(store) == {FOO: (10, "b1")}


class TestDigests:
    def test_are_those_of_the_index(self, store: Store) -> None:
        seen = [digest(store)]
        for change in (app(), queue(), app("bar")):
            fill(store, change)
            seen.append(digest(store))
        merge(store, entry(queue("mail"), 1))
        seen.append(digest(store))
        with store.writing() as tx:
            tx.remove_app("bar")
            seen.append(tx.catalogue_digest())
        assert digest(store) == seen[-1]
        assert len(set(seen)) == len(seen)

    def test_change_with_nothing_else(self, store: Store) -> None:
        fill(store, app(), instance())
        before = digest(store)
        fill(store, instance("w2"))
        with store.writing() as tx:
            tx.touch_instances("foo")
        assert digest(store) == before

    def test_are_of_one_moment(self, store: Store) -> None:
        with store.reading() as view:
            before = view.catalogue_digest()
            fill(store, app())
            assert digest(store) != before
            assert view.catalogue_digest() == before
        assert digest(store) != before


class TestMerging:
    def test_what_is_new(self, store: Store) -> None:
        found = [entry(queue(), 4), entry(app(pool="solo"), 3)]
        assert merge(store, *found) == Merged(apps=("foo",), queues=(("foo", "tasks"),))
        assert entries(store, FOO, TASKS) == found[::-1]
        with store.reading() as view:
            assert view.app("foo") == app(pool="solo")
            assert view.queue("foo", "tasks") == queue()
            assert view.next_version() == Version(5, "b1")
        assert merge(store, *found) == Merged()

    def test_what_is_newer_as_it_is(self, store: Store) -> None:
        fill(store, app(broker="redis://:secret@127.0.0.1:6379/7"), queue())
        later = AT + timedelta(days=1)
        newer = app(created_at=later, broker="amqp://a:5672//", arguments=("-O", "fair"))
        merge(store, entry(newer, 2), entry(queue(exchange="x", created_at=later), 2))
        with store.reading() as view:
            assert view.app("foo") == newer
            assert view.queue("foo", "tasks") == queue(exchange="x", created_at=later)

    def test_nothing_that_is_older(self, store: Store) -> None:
        fill(store, app(pool="solo"))
        with store.writing() as tx:
            tx.save_app(app(pool="threads"))
        before = digest(store)
        found = [entry(app(), 1), entry(app(), 2, "b0"), tombstone(FOO, 1)]
        assert merge(store, *found) == Merged()
        assert digest(store) == before

    def test_of_one_stamp_the_greater_digest(self, store: Store) -> None:
        one, other = sorted((app(pool="solo"), app(pool="threads")), key=digest_of)
        with store.writing(Version(7, "b2")) as tx:
            tx.add_app(one)
        assert merge(store, entry(other, 7)) == Merged(apps=("foo",))
        assert merge(store, entry(one, 7)) == Merged()
        with store.reading() as view:
            assert view.app("foo") == other

    def test_touches_whose_worker_differs(self, store: Store) -> None:
        fill(store, app(), app("bar"), queue(), instance("w1", queues=("tasks",)))
        fill(store, instance("w2"), instance("w3", app="bar"))
        names = ("w1", "w2", "w3")
        later = AT + timedelta(days=1)
        merged = merge(store, entry(app(created_at=later), 8), entry(queue(created_at=later), 8))
        assert merged == Merged()
        assert generations(store, names) == {"w1": 1, "w2": 1, "w3": 1}
        merged = merge(store, entry(queue(exchange="x"), 9))
        assert merged == Merged(queues=(("foo", "tasks"),), instances=("w1",))
        assert generations(store, names) == {"w1": 2, "w2": 1, "w3": 1}
        merged = merge(store, entry(app(pool="solo"), 9))
        assert merged == Merged(apps=("foo",), instances=("w1", "w2"))
        assert generations(store, names) == {"w1": 3, "w2": 2, "w3": 1}
        with store.reading() as view:
            assert view.pending("b1") == ["w1", "w2", "w3"]

    def test_a_queue_waits_for_its_app(self, store: Store) -> None:
        assert merge(store, entry(queue(), 4)) == Merged(skipped=(TASKS,))
        assert stamps(store) == {}
        fill(store, app())
        with store.writing() as tx:
            tx.remove_app("foo")
        assert merge(store, entry(queue(), 4)) == Merged(skipped=(TASKS,))
        assert merge(store, entry(queue(), 4), entry(app(), 9)).skipped == ()


class TestTombstones:
    def test_of_a_queue(self, store: Store) -> None:
        fill(store, app(), queue(), instance(queues=("tasks",)))
        merged = merge(store, tombstone(TASKS, 5))
        assert merged == Merged(queues=(("foo", "tasks"),), instances=("w1",))
        with store.reading() as view:
            assert view.instance("w1").queues == ()
            assert view.instance("w1").generation == 2
        assert entries(store, TASKS) == [tombstone(TASKS, 5)]

    def test_of_an_app(self, store: Store) -> None:
        fill(store, app(), queue(), queue("mail"))
        merge(store, entry(queue("mail", exchange="x"), 9))
        merged = merge(store, tombstone(FOO, 5), tombstone(TASKS, 5))
        assert merged == Merged(apps=("foo",))
        # The one is as it is where the app was removed; of the other nobody has heard there.
        mail = queue_key("foo", "mail")
        assert stamps(store) == {FOO: (5, "b2"), TASKS: (5, "b2"), mail: (10, "b1")}
        with store.reading() as view, pytest.raises(NotFound):
            view.app("foo")

    def test_of_what_was_never_here(self, store: Store) -> None:
        assert merge(store, tombstone(FOO, 5), tombstone(TASKS, 5)) == Merged()
        assert merge(store, entry(app(), 4), entry(queue(), 4)) == Merged(skipped=())
        assert stamps(store) == {FOO: (5, "b2"), TASKS: (5, "b2")}

    def test_not_of_an_app_with_instances(self, store: Store) -> None:
        fill(store, app(), queue(), instance(queues=("tasks",)))
        merged = merge(store, tombstone(FOO, 5), tombstone(TASKS, 5))
        assert merged == Merged(kept=("foo",))
        assert stamps(store) == {FOO: (6, "b1"), TASKS: (6, "b1")}
        assert [each.content for each in entries(store, FOO, TASKS)] == [app(), queue()]
        with store.reading() as view:
            assert view.instance("w1") == instance(queues=("tasks",))

    def test_of_an_app_whose_instances_are_going(self, store: Store) -> None:
        fill(store, app(), instance(is_deleting=True))
        assert merge(store, tombstone(FOO, 5)) == Merged()
        with store.reading() as view:
            assert view.app("foo").is_deleting
        with store.writing() as tx:
            tx.remove_instance("w1")
        assert stamps(store) == {FOO: (6, "b1")}
        assert entries(store, FOO)[0].content is None

    def test_an_app_that_is_made_again_elsewhere_lives_on(self, store: Store) -> None:
        fill(store, app(is_deleting=True), instance(is_deleting=True))
        assert merge(store, entry(app(), 5)).apps == ("foo",)
        with store.writing() as tx:
            tx.remove_instance("w1")
        with store.reading() as view:
            assert view.app_names() == ["foo"]

    def test_are_forgotten_after_a_week(self, store: Store) -> None:
        old = NOW - timedelta(days=7, minutes=1)
        merge(store, tombstone(FOO, 5), tombstone(TASKS, 5, NOW - timedelta(days=6)))
        assert merge(store, tombstone(app_key("bar"), 5, old)) == Merged()
        assert set(stamps(store)) == {FOO, TASKS}
        before = digest(store)
        with store.writing() as tx:
            assert tx.forget_tombstones(NOW - timedelta(days=5)) == 1
        assert set(stamps(store)) == {FOO}
        assert digest(store) != before

    def test_whose_clock_is_wrong(self, store: Store) -> None:
        fill(store, app())
        merge(store, tombstone(FOO, 5, NOW - timedelta(days=30)))
        merge(store, tombstone(TASKS, 5, NOW + timedelta(days=30)))
        for each in entries(store, FOO, TASKS):
            assert each.deleted_at is not None
            assert abs(each.deleted_at - datetime.now(UTC)) < timedelta(minutes=1)
