"""The reconciler between fakes: workers that somebody stops by supervisorctl."""

from __future__ import annotations

import pytest

from cyme_supd.domain.restarts import BY_HAND_S, STOPPED_BY_HAND
from cyme_supd.domain.status import Condition, ProcessState
from tests.unit.played_host import Host, with_one_ready

S = ProcessState
WAY = "supervisorctl cyme disable w1 keeps it stopped"


@pytest.fixture
def up(caplog: pytest.LogCaptureFixture) -> Host:
    caplog.set_level("INFO")
    return with_one_ready()


def condition(host: Host) -> Condition | None:
    found = [each for each in host.status().conditions if each.type == STOPPED_BY_HAND]
    return found[0] if found else None


def supervisorctl_stops(host: Host, is_seen_stopping: bool = True) -> None:
    host.programs.stop(["w1"])
    if is_seen_stopping:
        host.look()
    host.programs.end("w1")
    host.look()


def starts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith("w1: start ")]


@pytest.mark.parametrize("is_seen_stopping", [True, False])
def test_it_is_started_again_and_the_way_is_told(
    up: Host, is_seen_stopping: bool, caplog: pytest.LogCaptureFixture
) -> None:
    supervisorctl_stops(up, is_seen_stopping)
    assert starts(caplog) == [f"w1: start (somebody stopped it by supervisorctl; {WAY})"]
    up.comes_up()
    assert up.status().ready is True
    told = condition(up)
    assert told is not None
    assert (told.status, told.reason) == (True, "Supervisorctl")
    assert WAY in told.message
    assert "supervisorctl cyme pause w1 keeps it from taking work" in told.message


def test_it_is_told_for_a_while(up: Host) -> None:
    supervisorctl_stops(up)
    up.comes_up()
    up.clock.advance(BY_HAND_S - 1)
    up.comes_up()
    assert condition(up) is not None
    up.clock.advance(2)
    up.comes_up()
    assert condition(up) is None


def test_while_it_is_being_stopped_it_is_told(up: Host) -> None:
    up.programs.stop(["w1"])
    up.look()
    assert condition(up) is not None


def test_what_the_branch_stops_is_nobody_s_doing(
    up: Host, caplog: pytest.LogCaptureFixture
) -> None:
    up.edit(restarts=1)
    up.hint()
    assert up.state() is S.STOPPING
    up.programs.end("w1")
    up.look()
    up.comes_up()
    assert condition(up) is None
    assert starts(caplog) == ["w1: start (it should run)"]


def test_a_restart_soon_after_is_not_blamed_on_anybody(
    up: Host, caplog: pytest.LogCaptureFixture
) -> None:
    supervisorctl_stops(up)
    up.comes_up()
    up.edit(restarts=1)
    up.hint()
    up.programs.end("w1")
    up.look()
    assert starts(caplog)[-1] == "w1: start (it should run)"
    assert condition(up) is None


def test_one_that_dies_or_is_disabled_was_not_stopped_by_hand(up: Host) -> None:
    up.programs.end("w1", 1)
    up.look()
    up.comes_up()
    assert condition(up) is None
    up.edit(is_enabled=False)
    up.hint()
    up.programs.end("w1")
    up.look()
    assert condition(up) is None


def test_a_branch_that_has_just_started_blames_nobody(
    up: Host, caplog: pytest.LogCaptureFixture
) -> None:
    up.edit(restarts=1)
    up.hint()
    up.begin_again()
    up.look()
    up.programs.end("w1")
    up.look()
    assert starts(caplog)[-1] == "w1: start (it should run)"
    up.comes_up()
    assert condition(up) is None
