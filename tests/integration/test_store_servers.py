"""One database for many: used by several at once, in health and not."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cyme_supd.domain.spec import App, Instance
from cyme_supd.domain.task import Task, TaskState
from cyme_supd.errors import Conflict, CymeError, Unavailable
from cyme_supd.store.engine import connected
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.servers import CONNECT_TIMEOUT_S, FRESH_S
from tests.contract.store.values import branch
from tests.databases import MARIADB, POSTGRESQL, Server, empty
from tests.relay import Relay, relayed
from tests.support import eventually, let_pass

AT = datetime(2011, 8, 15, tzinfo=UTC)
DEFAULT = "redis://127.0.0.1/0"
KINDS = (POSTGRESQL, MARIADB)
HASTY_S = 0.5
#: An answer that is waited for, and the grace that the server has before that.
GIVEN_UP_S = HASTY_S + 0.5
#: For a machine that does other things, too.
SLACK_S = 3.0


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a database with the schema, an app and an instance in it."""
    url: str = request.getfixturevalue(f"{server.kind}_url")
    with opened(url) as store:
        with store.writing() as transaction:
            transaction.add_app(App("foo", AT))
            transaction.add_instance(Instance("w1", "foo", "b1", AT))
        yield url
        empty(store.engine)


@contextmanager
def opened(url: str, busy_timeout_s: float = 5.0) -> Iterator[SqlStore]:
    store = SqlStore(url, DEFAULT, busy_timeout_s)
    try:
        yield store
    finally:
        store.close()


def restarts(store: SqlStore) -> int:
    with store.reading() as view:
        return view.instance("w1").restarts


def count_up(store: SqlStore, times: int = 1) -> None:
    for _ in range(times):
        with store.writing() as transaction:
            known = transaction.instance("w1")
            transaction.save_instance(replace(known, restarts=known.restarts + 1))


class TestTogether:
    def test_many_lose_no_write(self, url: str) -> None:
        with ExitStack() as stack:
            stores = [stack.enter_context(opened(url)) for _ in range(4)]
            threads = [threading.Thread(target=count_up, args=(each, 15)) for each in stores]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert restarts(stores[0]) == 4 * 15

    def test_a_name_is_taken_once_whoever_looks_at_the_same_time(self, url: str) -> None:
        made: list[str] = []

        def make(store: SqlStore, mark: str) -> None:
            for number in range(10):
                try:
                    with store.writing() as transaction:
                        transaction.add_app(App(f"app{number}", AT, user=mark))
                        made.append(f"app{number}")
                except Conflict:
                    pass

        with ExitStack() as stack:
            stores = {mark: stack.enter_context(opened(url)) for mark in "abc"}
            threads = [threading.Thread(target=make, args=(s, m)) for m, s in stores.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(made) == sorted(f"app{number}" for number in range(10))

    def test_the_version_tells_of_another(self, url: str) -> None:
        with opened(url) as store, opened(url) as other:
            seen = store.version()
            assert store.version() == seen
            count_up(other)
            eventually(lambda: store.version() > seen, 1.0)

    def test_reads_wait_for_nobody_who_writes(self, url: str) -> None:
        with opened(url, HASTY_S) as store, opened(url) as other, other.writing() as transaction:
            transaction.save_instance(replace(transaction.instance("w1"), restarts=5))
            assert restarts(store) == 0
            store.version()

    def test_who_records_waits_for_nobody_who_writes(self, url: str) -> None:
        with opened(url, HASTY_S) as store, opened(url) as other:
            with other.writing() as transaction:
                transaction.save_app(App("foo", AT, user="x"))
                seen = store.version()
                with store.recording() as recorded:
                    recorded.save_branch(branch())
                    recorded.save_tasks([Task("t", "foo", TaskState.SUCCESS, None, None, AT)])
                assert store.version() > seen
            with store.reading() as view:
                assert view.branch("b1") == branch()

    def test_a_lease_is_one_s_whoever_looks_at_the_same_time(self, url: str) -> None:
        told: list[str] = []
        with ExitStack() as stack:
            stores = {name: stack.enter_context(opened(url)) for name in "abcd"}
            with stores["a"].writing() as transaction:
                for number in range(8):
                    transaction.save_branch(branch(f"b{number}"))

            def take(store: SqlStore, holder: str, lane: int) -> None:
                # Not one after the other for being in the same lane.
                store._lanes = itertools.repeat(lane)
                for number in range(8):
                    with store.recording() as recorded:
                        got = recorded.take_lease(f"b{number}", holder, AT, 60.0)
                    if got == holder:
                        told.append(f"b{number}")

            threads = [
                threading.Thread(target=take, args=(store, name, lane))
                for lane, (name, store) in enumerate(stores.items())
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(told) == [f"b{number}" for number in range(8)]

    def test_who_waits_too_long_for_its_turn_gives_up(self, url: str) -> None:
        with opened(url, 1.0) as store, opened(url) as other:
            with other.writing(), pytest.raises(Unavailable) as raised:
                count_up(store)
            assert raised.value.message.startswith(
                ("the database is locked", "the database takes too long")
            )
            count_up(store)

    def test_who_vanishes_in_the_middle_does_not_keep_others(self, url: str) -> None:
        with opened(url, 1.0) as gone, opened(url) as store:

            def vanish() -> None:
                with gone.writing() as transaction:
                    transaction.save_instance(replace(transaction.instance("w1"), restarts=9))
                    count_up(store)

            # Neither what it wrote nor its turn outlives it.
            with pytest.raises(Unavailable):
                vanish()
            assert restarts(store) == 1


class TestOutages:
    @pytest.fixture
    def line(self, url: str) -> Iterator[tuple[Relay, str]]:
        with relayed(url) as line:
            yield line

    def test_cut(self, line: tuple[Relay, str]) -> None:
        relay, url = line
        with opened(url) as store:
            count_up(store)
            before = store.version()
            relay.cut()
            let_pass(FRESH_S)
            for use in (restarts, count_up, SqlStore.version):
                with pytest.raises(Unavailable):
                    use(store)
            relay.mend()
            count_up(store)
            assert restarts(store) == 2
            assert store.version() > before

    def test_frozen(self, line: tuple[Relay, str]) -> None:
        relay, url = line
        took: list[float] = []

        def find_out(use: Callable[[SqlStore], object]) -> None:
            begun_at = time.monotonic()
            with pytest.raises(Unavailable):
                use(store)
            took.append(time.monotonic() - begun_at)

        with opened(url, HASTY_S) as store:
            count_up(store)
            store.version()
            relay.hold()
            let_pass(FRESH_S)
            uses = (restarts, count_up, SqlStore.version)
            threads = [threading.Thread(target=find_out, args=(use,)) for use in uses]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Its connection, and then a new one, gets no answer.
            assert len(took) == 3
            assert max(took) < GIVEN_UP_S + CONNECT_TIMEOUT_S + SLACK_S
            relay.resume()
            count_up(store)
            assert restarts(store) == 2

    def test_in_the_middle_of_a_change(self, line: tuple[Relay, str]) -> None:
        relay, url = line

        def change(store: SqlStore, number: int) -> None:
            with store.writing() as transaction:
                transaction.save_instance(replace(transaction.instance("w1"), restarts=7))
                relay.cut() if number == 0 else relay.hold()
                transaction.instance("w1")

        with opened(url, HASTY_S) as store:
            for number in range(2):
                with pytest.raises(Unavailable):
                    change(store, number)
                relay.mend()
                relay.resume()
                assert restarts(store) == 0


def test_a_connection_that_crossed_a_fork_is_left_alone(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(url) as store:
        with connected(store.engine) as connection:
            before = connection.connection.driver_connection
        with monkeypatch.context() as child:
            pid = os.getpid()
            child.setattr(os, "getpid", lambda: pid + 1)
            with connected(store.engine) as connection:
                assert connection.connection.driver_connection is not before
        assert before is not None
        before.close()


def test_who_is_not_let_in(server: Server) -> None:
    for name in ("nobody:s3cret", f"{server.user}:s3cret"):
        url = f"{server.kind}://{name}@127.0.0.1:{server.port}/cyme_test_none"
        with opened(url) as store, pytest.raises(Unavailable) as raised:
            restarts(store)
        assert "s3cret" not in str(raised.value)


def test_nobody_there(server: Server) -> None:
    url = f"{server.kind}://{server.user}:s3cret@127.0.0.1:1/x"
    with opened(url) as store, pytest.raises(Unavailable) as raised:
        restarts(store)
    assert "s3cret" not in str(raised.value)


def test_a_read_only_server(postgresql: Server) -> None:
    with postgresql.database() as url, opened(url) as store:
        migrate(store.engine)
        name = url.rpartition("/")[2]
        postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        store.engine.dispose()
        with pytest.raises(Unavailable, match="read-only"), store.writing():
            raise AssertionError("not reached")
        with store.reading() as view:
            assert view.app_names() == []


def test_a_server_soon_misses_who_is_cut_off(server: Server, url: str) -> None:
    shown = {
        POSTGRESQL: ("SHOW tcp_keepalives_idle", "SHOW tcp_user_timeout"),
        MARIADB: ("SELECT @@wait_timeout",),
    }
    with opened(url) as store, connected(store.engine) as connection:
        found = [connection.exec_driver_sql(each).scalar_one() for each in shown[server.kind]]
    assert found == {POSTGRESQL: ["5", "15000"], MARIADB: [60]}[server.kind]


def test_an_idle_pool_connects_anew(mariadb: Server, mariadb_url: str) -> None:
    with opened(mariadb_url) as store:
        with connected(store.engine) as connection:
            connection.exec_driver_sql("SET SESSION wait_timeout = 1").close()
            session = connection.exec_driver_sql("SELECT connection_id()").scalar_one()
        alive = f"SELECT 1 FROM information_schema.processlist WHERE id = {session}"
        with opened(mariadb_url) as other, connected(other.engine) as connection:
            eventually(lambda: connection.exec_driver_sql(alive).first() is None)
        with store.reading() as view:
            assert view.app_names() == []


def test_who_cannot_have_a_connection_gives_up(url: str) -> None:
    with opened(url, HASTY_S) as store, ExitStack() as taken:

        def take_all() -> None:
            while True:
                taken.enter_context(connected(store.engine))

        with pytest.raises(CymeError, match="got free"):
            take_all()
