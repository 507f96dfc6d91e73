"""The reconciler between fakes: whole lives of workers, without a process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from cyme_supd.branch.workqueue import Work
from cyme_supd.domain.audit import Query
from cyme_supd.domain.status import ProcessState
from cyme_supd.errors import ShuttingDown, Unavailable
from cyme_supd.service.acting import ITSELF
from tests.unit.played_host import Host, with_one_ready
from tests.unit.values import BROKER, INTERVAL_S, the_launch

S = ProcessState


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def up() -> Host:
    """With one worker that is ready."""
    return with_one_ready()


def test_a_new_instance_becomes_ready(host: Host) -> None:
    host.create()
    host.hint()
    assert (host.state(), host.status().ready) == (S.STARTING, False)

    host.comes_up()

    status = host.status()
    assert (status.generation, status.ready, status.consuming) == (1, True, True)
    assert (status.pid, status.autoscale) == (host.programs.pid("w1"), (1, 1))


def test_a_second_pass_does_nothing(up: Host) -> None:
    calls = list(up.programs.calls)
    before = up.store.version()

    up.look()

    assert up.programs.calls == calls
    assert up.store.version() == before


def test_how_a_worker_changed_is_written_down_once(up: Host) -> None:
    def told() -> list[tuple[ProcessState | None, bool | None]]:
        with up.store.reading() as view:
            return [(each.state, each.ready) for each in view.transitions("w1", 9)]

    assert told()[0] == (up.status().state, True)
    before = told()
    up.begin_again()
    up.reconciler.full_pass()
    assert told() == before
    up.programs.kill(["w1"])
    up.look()
    assert told()[1:] == before
    assert told()[0][1] is False


def test_what_is_done_to_a_worker_is_written_down_with_the_reason(up: Host) -> None:
    with up.store.reading() as view:
        (started,) = view.audit(Query(kind="instance"))
    assert (started.verb, started.app, started.name, started.branch) == ("act", "foo", "w1", "b1")
    assert started.after is not None
    assert started.after["action"] == "start"
    assert started.after["reason"]
    assert started.actor == ITSELF

    up.edit(is_enabled=False)
    up.look()
    up.look()
    with up.store.reading() as view:
        actions = [each.after and each.after["action"] for each in view.audit(Query())]
    assert actions == ["stop", "start"]


def test_nobody_is_seen_without_a_pass_or_a_hint(host: Host) -> None:
    host.create()

    host.reconciler.partial_pass(Work())

    assert host.state() is None


def test_a_lost_hint_is_made_up_for_by_the_full_pass(host: Host) -> None:
    host.create()

    host.reconciler.full_pass()

    assert host.state() is S.STARTING
    with host.store.reading() as view:
        assert view.branch("b1").observed_at == host.clock.now()


def test_other_branches_instances_are_left_alone(host: Host) -> None:
    host.create(branch="b2")

    host.hint()
    host.look()
    host.reconciler.full_pass()

    assert host.programs.calls == []


def test_disabled_it_stops_and_enabled_it_starts(up: Host) -> None:
    up.edit(is_enabled=False)
    up.hint()
    assert up.state() is S.STOPPING
    up.programs.end("w1")
    up.look()
    assert (up.status().state, up.status().ready) == (S.STOPPED, False)

    up.edit(is_enabled=True)
    up.hint()
    up.comes_up()

    assert (up.status().ready, up.status().generation) == (True, 3)


def test_a_restart_replaces_the_process_warmly(up: Host) -> None:
    first = up.programs.pid("w1")
    up.edit(restarts=1)
    up.hint()
    assert (up.state(), up.status().ready) == (S.STOPPING, False)

    up.programs.end("w1")
    up.look()
    up.comes_up()

    assert up.status().ready is True
    assert up.programs.pid("w1") != first


def test_other_limits_are_told_and_ready_when_seen(up: Host) -> None:
    up.edit(max_concurrency=4, min_concurrency=2)
    up.hint()
    assert up.remote.commands == [("w1@b1", 4, 2)]
    assert up.status().autoscale == (1, 1)

    up.look()
    assert len(up.remote.commands) == 1

    up.clock.advance(0.1)
    up.remote.says(up.worker(), up.programs.pid("w1"))
    up.look()

    assert up.status().autoscale == (4, 2)
    assert ("stop", "w1") not in up.programs.calls


def test_one_that_died_and_came_back_boots_with_todays_limits(up: Host) -> None:
    up.edit(max_concurrency=4)
    up.hint()

    up.programs.respawn("w1")
    up.look()
    assert up.status().ready is False
    up.comes_up()

    assert (up.status().ready, up.status().autoscale) == (True, (4, 1))


def test_one_that_was_stopped_by_hand_is_started_again(up: Host) -> None:
    up.programs.stop(["w1"])
    up.programs.end("w1")

    up.reconciler.full_pass()

    assert up.state() is S.STARTING


def test_a_process_that_came_while_others_were_waited_for_is_not_stopped_for_the_one_before(
    up: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.create("w2")
    up.hint()
    up.comes_up("w2")
    stop = up.programs.stop

    def stop_slowly(names: Sequence[str]) -> None:
        stop(names)
        if names == ["w1"]:
            up.clock.advance(5.0)
            up.programs.respawn("w2")

    monkeypatch.setattr(up.programs, "stop", stop_slowly)
    for name in ("w1", "w2"):
        up.edit(name, restarts=1)
    up.launches.write("w2", the_launch(up.worker("w2")))

    up.hint()

    assert (up.state("w1"), up.state("w2")) == (S.STOPPING, S.STARTING)


def test_deleting_ends_with_nothing(up: Host) -> None:
    up.edit(is_deleting=True)
    up.hint()
    assert up.state() is S.STOPPING

    up.programs.end("w1")
    up.look()

    assert up.state() is None
    assert up.launches.written("w1") is None
    with up.store.reading() as view:
        assert view.instance_names("foo") == []
        assert view.status("w1") is None


def test_deleting_goes_on_after_an_interruption(up: Host) -> None:
    up.edit(is_deleting=True)
    up.programs.stop(["w1"])
    up.programs.end("w1")
    up.programs.remove("w1")

    up.hint()

    with up.store.reading() as view:
        assert view.instances("foo") == []


def test_a_name_is_free_when_the_last_process_of_it_has_ended(up: Host) -> None:
    up.launches.locked.add("w1")
    up.edit(is_deleting=True)
    up.hint()
    up.programs.end("w1")
    up.look()
    with up.store.reading() as view:
        assert view.instance("w1").is_deleting

    up.launches.locked.clear()
    up.look()

    with up.store.reading() as view:
        assert view.instances("foo") == []


class TestNotKnownIsNotDead:
    def test_silence_restarts_nobody(self, up: Host) -> None:
        calls = list(up.programs.calls)
        up.clock.advance(10 * INTERVAL_S)
        up.reconciler.full_pass()

        assert up.programs.calls == calls
        assert up.status().ready is None

    def test_a_broker_that_is_down_restarts_nobody(self, up: Host) -> None:
        calls = list(up.programs.calls)
        up.remote.breaks(BROKER)
        up.clock.advance(10 * INTERVAL_S)
        up.reconciler.full_pass()
        assert up.status().conditions[0].reason == "BrokerDown"

        up.remote.mends(BROKER)
        up.remote.says(up.worker(), up.programs.pid("w1"))
        up.reconciler.full_pass()

        assert up.status().ready is True
        assert up.programs.calls == calls

    @pytest.mark.parametrize("breaks", ["store", "supervisord", "shutdown"])
    def test_what_cannot_be_read_changes_nothing(self, up: Host, breaks: str) -> None:
        calls = list(up.programs.calls)
        if breaks == "store":
            up.store.failure = Unavailable("the database is locked")
        else:
            up.programs.lose(ShuttingDown("stopping") if breaks == "shutdown" else None)

        with pytest.raises(Unavailable):
            up.reconciler.full_pass()

        up.store.failure = None
        up.programs.find()
        up.reconciler.full_pass()
        assert up.programs.calls == calls
        assert up.status().ready is True


def test_one_that_cannot_be_helped_does_not_keep_others_waiting(host: Host) -> None:
    host.programs.add_foreign("w1")
    host.create("w1", is_enabled=False)
    host.create("w2")

    host.reconciler.full_pass()

    assert host.state("w2") is S.STARTING


def test_one_whose_name_is_taken_says_so_once_and_can_be_deleted(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.programs.add_foreign("w1")
    host.create("w1")
    host.hint()
    assert host.status().conditions[0].reason == "NameTaken"
    before = host.store.version()
    host.look()
    assert host.store.version() == before
    assert [one.levelname for one in caplog.records if "not a program" in one.message] == [
        "WARNING"
    ]

    host.edit(is_deleting=True)
    host.hint()

    with host.store.reading() as view:
        assert view.instances("foo") == []


def test_one_that_is_made_again_is_launched_as_it_is_now(up: Host) -> None:
    up.edit(is_deleting=True)
    up.programs.stop(["w1"])
    up.programs.end("w1")
    up.hint()
    assert up.remote.dropped == ["dq.w1"]

    up.create(pool="solo")
    up.hint()

    assert up.launches.written("w1") == the_launch(up.worker()).digest


def test_one_that_never_says_it_is_ready_is_asked(host: Host) -> None:
    host.create()
    host.hint()
    host.look()
    assert host.remote.asked == []

    host.clock.advance(2.5)
    host.look()

    assert host.remote.asked == ["w1@b1"]
    assert host.queue.take(1.1).names == {"w1"}


def test_only_brokers_in_use_are_listened_to(up: Host) -> None:
    other = "redis://127.0.0.1:1/0"
    up.create("w2", broker=other)
    up.hint()
    assert up.remote.brokers == {BROKER, other}

    with up.store.writing() as tx:
        tx.save_instance(replace(tx.instance("w2"), broker=None))
    up.reconciler.full_pass()

    assert up.remote.brokers == {BROKER}


@pytest.mark.parametrize("act", [Host.hint, Host.look, lambda host: host.reconciler.full_pass()])
def test_every_way_of_looking_leads_there(host: Host, act: Callable[[Host], None]) -> None:
    host.create()
    act(host)
    if host.state() is None:
        host.hint()

    host.comes_up()

    assert host.status().ready is True
