"""Values, looks, writes, and the version."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.errors import Conflict, Invalid, NotFound
from tests.contract.store.values import (
    AT,
    app,
    branch,
    fill,
    instance,
    queue,
)


class TestValues:
    def test_times_come_back_in_utc(self, store: Store) -> None:
        fill(store, app(created_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30)))))
        with store.reading() as view:
            created_at = view.app("foo").created_at
        assert created_at == AT
        assert created_at.tzinfo is UTC

    def test_a_time_without_an_offset(self, store: Store) -> None:
        with pytest.raises(Invalid, match="offset"):
            fill(store, app(created_at=AT.replace(tzinfo=None)))

    def test_what_json_does_not_know(self, store: Store) -> None:
        with pytest.raises(Invalid):
            fill(store, app(extra_config={"x": float("nan")}))

    def test_nothing_is_shared_with_who_wrote_it(self, store: Store) -> None:
        config: dict[str, Any] = {"list": [1]}
        fill(store, app(extra_config=config))
        config["list"].append(2)
        with store.reading() as view:
            assert view.app("foo").extra_config == {"list": [1]}


class TestTransactions:
    def test_all_of_it_or_none(self, store: Store) -> None:
        fill(store, app(), instance())
        before = store.version()

        def fail() -> None:
            with store.writing() as transaction:
                transaction.add_app(app("bar"))
                transaction.save_instance(instance(pool="solo"))
                transaction.save_branch(branch())
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        with store.reading() as view:
            assert view.app_names() == ["foo"]
            assert view.instance("w1") == instance()
            assert view.branch_ids() == []
        assert store.version() == before

    def test_what_failed_in_it_does_not_end_it(self, store: Store) -> None:
        fill(store, app())
        with store.writing() as transaction:
            with pytest.raises(Conflict):
                transaction.add_app(app())
            with pytest.raises(NotFound):
                transaction.instance("w1")
            transaction.add_app(app("bar"))
        with store.reading() as view:
            assert view.app_names() == ["bar", "foo"]

    def test_sees_what_it_wrote(self, store: Store) -> None:
        with store.writing() as transaction:
            transaction.add_app(app())
            transaction.add_queue(queue())
            transaction.add_instance(instance(queues=("tasks",)))
            assert transaction.worker("w1").queues == (queue(),)
            assert transaction.pending("b1") == ["w1"]

    def test_a_view_is_of_one_moment(self, store: Store) -> None:
        fill(store, app(), instance())
        with store.reading() as view:
            with store.writing() as transaction:
                transaction.add_app(app("bar"))
                transaction.save_instance(instance(pool="solo"))
            assert view.app_names() == ["foo"]
            assert view.workers("b1")[0].instance == instance()
            with store.reading() as later:
                assert later.app_names() == ["bar", "foo"]
                assert later.instance("w1").pool == "solo"

    def test_nobody_sees_a_write_before_its_end(self, store: Store) -> None:
        with store.writing() as transaction:
            transaction.add_app(app())
            with store.reading() as view:
                assert view.app_names() == []

    def test_the_version_grows_with_every_commit(self, store: Store) -> None:
        seen = [store.version()]
        for name in ("a", "b", "c"):
            fill(store, app(name))
            seen.append(store.version())
            assert store.version() == seen[-1]
        assert seen == sorted(set(seen))

    def test_the_version_stays_when_nothing_was_written(self, store: Store) -> None:
        fill(store, app())
        before = store.version()
        with store.reading() as view:
            view.app("foo")
        assert store.version() == before

    def test_what_is_recorded_is_all_of_it_or_none_and_seen(self, store: Store) -> None:
        seen = store.version()
        with store.recording() as transaction:
            transaction.save_branch(branch())
        after = store.version()
        assert after > seen

        def fail() -> None:
            with store.recording() as transaction:
                transaction.save_branch(branch("b2"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert store.version() == after
        with store.reading() as view:
            assert view.branch_ids() == ["b1"]

    def test_threads_lose_no_write(self, store: Store) -> None:
        fill(store, app(), instance())
        failures: list[BaseException] = []

        def edit() -> None:
            try:
                for _ in range(20):
                    with store.writing() as transaction:
                        known = transaction.instance("w1")
                        transaction.save_instance(replace(known, restarts=known.restarts + 1))
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=edit) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with store.reading() as view:
            assert view.instance("w1") == instance(restarts=100, generation=101)
