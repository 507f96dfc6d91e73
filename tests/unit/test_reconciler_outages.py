"""The reconciler while a broker is away, and when it is back, between fakes."""

from __future__ import annotations

import threading

import pytest

from cyme_supd.domain.status import ProcessState as S
from cyme_supd.errors import Unavailable
from tests.unit.played_host import Host, with_one_ready
from tests.unit.values import BROKER, INTERVAL_S, RECONNECT_S


@pytest.fixture
def up() -> Host:
    return with_one_ready()


def reason(host: Host) -> str:
    return host.status().conditions[0].reason


def outage(host: Host, seconds: float) -> None:
    host.remote.breaks(BROKER)
    host.clock.advance(seconds)
    host.reconciler.full_pass()
    host.remote.mends(BROKER)


def test_nothing_is_sent_while_it_is_away_and_all_of_it_when_it_is_back(up: Host) -> None:
    up.remote.breaks(BROKER)
    up.edit(max_concurrency=4)
    up.hint()
    up.reconciler.full_pass()
    assert up.remote.commands == []

    up.remote.mends(BROKER)
    up.reconciler.full_pass()

    assert up.remote.commands == [("w1@b1", 4, 1)]


def test_a_command_that_was_lost_is_sent_again(up: Host) -> None:
    before = up.worker()
    outage(up, 60)
    up.edit(max_concurrency=4)
    up.hint()
    up.reconciler.full_pass()
    assert len(up.remote.commands) == 1

    # It reconnects only now, and has not heard of it.
    up.clock.advance(2)
    up.remote.says(before, up.programs.pid("w1"))
    up.reconciler.full_pass()

    assert up.remote.commands == [("w1@b1", 4, 1)] * 2


def test_one_that_starts_without_a_broker_is_not_asked(up: Host) -> None:
    up.remote.breaks(BROKER)
    up.create("w2")
    up.hint()
    for _ in range(3):
        up.clock.advance(3)
        up.look("w2")
    assert up.remote.asked == []
    assert up.state("w2") is S.STARTING

    up.remote.mends(BROKER)
    up.clock.advance(3)
    up.look("w2")

    assert up.remote.asked == ["w2@b1"]


def test_silence_is_excused_until_the_time_to_reconnect_is_over(up: Host) -> None:
    calls = list(up.programs.calls)
    outage(up, 60)
    assert reason(up) == "BrokerDown"

    up.reconciler.full_pass()
    assert (up.status().ready, reason(up)) == (None, "Reconnecting")

    up.clock.advance(RECONNECT_S)
    up.reconciler.full_pass()
    assert reason(up) == "Silent"
    assert up.programs.calls == calls


class Stopped(threading.Event):
    """Ends the reconciler's loop when it has beaten so often, on the fake clock."""

    def __init__(self, host: Host, beats: int) -> None:
        super().__init__()
        self.host = host
        self.left = beats
        self.asked_at: list[float] = []

    def beat(self) -> None:
        self.left -= 1
        self.host.clock.advance(0.5)
        self.host.queue.hint()
        while len(self.asked_at) < len(self.host.remote.asked):
            self.asked_at.append(self.host.clock.monotonic())
        if not self.left:
            self.set()


def pauses(host: Host, beats: int) -> set[float]:
    """Seconds between the full passes of so many turns of half a second."""
    host.remote.asked.clear()
    stopped = Stopped(host, beats)
    host.reconciler.run(stopped, stopped.beat)
    return {
        later - sooner
        for sooner, later in zip(stopped.asked_at, stopped.asked_at[1:], strict=False)
    }


def test_those_that_are_missing_are_asked_more_often(up: Host) -> None:
    assert pauses(up, 24) == {INTERVAL_S}

    outage(up, 60)
    assert pauses(up, 24) == {2.0}

    up.remote.says(up.worker(), up.programs.pid("w1"))
    up.reconciler.full_pass()
    assert pauses(up, 24) == {INTERVAL_S}


def test_what_keeps_it_from_a_new_one_is_said_of_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    host = with_one_ready()
    broken = Unavailable("CANT_REREAD: theirs.conf", "supervisorctl reread says it, too")
    right = host.programs.apply

    def apply(name: str, stop_timeout_s: int) -> None:
        if name == "w2":
            raise broken
        right(name, stop_timeout_s)

    monkeypatch.setattr(host.programs, "apply", apply)
    host.create("w2")
    host.hint()
    (condition,) = host.status("w2").conditions
    assert (condition.type, condition.status, condition.reason) == ("Ready", False, "Hindered")
    assert "theirs.conf" in condition.message
    # Of one that is known the branch says no less than before.
    before = host.status("w1")
    monkeypatch.setattr(host.programs, "apply", lambda *_: (_ for _ in ()).throw(broken))
    host.edit("w1", stop_timeout_s=7)
    host.look("w1")
    assert host.status("w1") == before

    monkeypatch.undo()
    host.look("w2")
    assert host.state("w2") is S.STARTING
