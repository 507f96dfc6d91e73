"""Rolling restarts: whose turn it is, and where one stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.plan import Stop, plan
from cyme_supd.domain.rollout import (
    FAILING_S,
    RETURN_S,
    Member,
    Rollout,
    RolloutState,
    RolloutStatus,
    base,
    judge,
    number_of,
    turns,
)
from cyme_supd.domain.status import ProcessState
from tests.unit.played_host import Host
from tests.unit.values import AT, a_worker, an_app, converged, the_launch

ONE = Rollout(1, 1, AT)
OLD, NEW = (True, True), (False, True)
AWAY = (False, False)


def members(*seen: tuple[bool, bool], **changes: Any) -> list[Member]:
    found = [Member(f"w{i}", *each) for i, each in enumerate(seen, 1)]
    return [replace(found[0], **changes), *found[1:]]


def judged(
    found: list[Member], rollout: Rollout = ONE, before: RolloutStatus | None = None
) -> tuple[RolloutStatus, tuple[str, ...]]:
    status = judge("foo", "b1", rollout, found, before)
    return status, turns(rollout, status, found)


@pytest.mark.parametrize(
    ("found", "most", "due"),
    [
        (members(OLD, OLD, OLD), 1, ("w1",)),
        (members(OLD, OLD, OLD), 2, ("w1", "w2")),
        (members(NEW, OLD, OLD), 1, ("w2",)),
        (members(AWAY, OLD, OLD), 1, ()),
        (members(AWAY, OLD, OLD), 2, ("w2",)),
        # One that is of no use goes first, and takes the place of the others.
        (members(OLD, OLD, (True, False)), 1, ("w3",)),
        (members(OLD, OLD, is_known=False), 1, ()),
    ],
)
def test_whose_turn_it_is(found: list[Member], most: int, due: tuple[str, ...]) -> None:
    status, turn = judged(found, replace(ONE, max_unavailable=most))
    assert (status.state, turn) == (RolloutState.RUNNING, due)


def test_it_is_done_for_good() -> None:
    status, turn = judged(members(NEW, NEW))
    assert (status.state, status.restarted, turn) == (RolloutState.DONE, ("w1", "w2"), ())
    assert judged(members(NEW, AWAY), before=status)[0] is status


@pytest.mark.parametrize(
    "changes",
    [{"failure": "it ends", "away_s": FAILING_S}, {"away_s": RETURN_S + 1}],
)
def test_it_stops_at_one_that_does_not_come_back(changes: dict[str, Any]) -> None:
    status, turn = judged(members(AWAY, OLD, **changes))
    assert (status.state, status.stopped_at, turn) == (RolloutState.STOPPED, "w1", ())
    # Even if it comes back later; until somebody says so.
    later, turn = judged(members(NEW, OLD), before=status)
    assert (later.state, later.stopped_at, turn) == (RolloutState.STOPPED, "w1", ())
    again, turn = judged(members(NEW, OLD), replace(ONE, attempt=2), status)
    assert (again.state, again.stopped_at, turn) == (RolloutState.RUNNING, None, ("w2",))


@pytest.mark.parametrize(
    "changes", [{"failure": "it ends"}, {"away_s": RETURN_S}, {"away_s": 99.0, "is_known": False}]
)
def test_it_waits_for_one_that_may_come_back(changes: dict[str, Any]) -> None:
    status, turn = judged(members(AWAY, OLD, **changes))
    assert (status.state, turn) == (RolloutState.RUNNING, ())


def test_aborted() -> None:
    status, turn = judged(members(NEW, OLD), replace(ONE, is_aborted=True))
    assert (status.state, status.left, turn) == (RolloutState.ABORTED, ("w2",), ())


def test_the_number_alone_replaces_nobody() -> None:
    worker = a_worker(an_app(rollout=ONE))
    before, wanted = the_launch(a_worker()), the_launch(worker)
    assert (base(wanted.identity), number_of(wanted.identity)) == (before.identity, 1)
    seen = converged(a_worker(), written=wanted.digest)
    assert plan(worker, wanted, seen) == ()
    assert plan(worker, wanted, seen, is_due=True) == (
        Stop("w1", "its turn in the rolling restart"),
    )
    assert plan(worker, wanted, converged(worker), is_due=True) == ()


NAMES = ("w1", "w2", "w3")


@pytest.fixture
def host() -> Host:
    """Three workers that are ready, and a rolling restart that was asked for."""
    host = Host()
    for name in NAMES:
        host.create(name)
    host.hint()
    for name in NAMES:
        host.comes_up(name)
    wish(host, ONE)
    return host


def wish(host: Host, rollout: Rollout) -> None:
    with host.store.writing() as tx:
        tx.save_app(replace(tx.app("foo"), rollout=rollout))
        tx.touch_instances("foo")
    host.reconciler.full_pass()
    settle(host)


def settle(host: Host) -> None:
    """Look at those the reconciler has put on its own list."""
    while names := host.queue.take(0).names:
        for name in names:
            host.look(name)


def status(host: Host) -> RolloutStatus:
    with host.store.reading() as view:
        (found,) = view.rollouts("b1", "foo")
    return found


def stopping(host: Host) -> list[str]:
    return [name for name in NAMES if host.state(name) is ProcessState.STOPPING]


def finish(host: Host, name: str) -> None:
    host.programs.end(name)
    host.look(name)
    host.comes_up(name)
    settle(host)


def test_one_after_another(host: Host) -> None:
    for name in NAMES:
        assert stopping(host) == [name]
        host.reconciler.full_pass()
        settle(host)
        assert stopping(host) == [name]
        finish(host, name)
    assert (status(host).state, status(host).restarted) == (RolloutState.DONE, NAMES)
    assert stopping(host) == []


def test_a_branch_that_begins_in_the_middle(host: Host) -> None:
    finish(host, "w1")
    assert stopping(host) == ["w2"]
    host.begin_again()
    host.reconciler.full_pass()
    settle(host)
    assert stopping(host) == ["w2"]
    finish(host, "w2")
    assert stopping(host) == ["w3"]


def test_one_that_fails_and_then_goes_on(host: Host) -> None:
    host.programs.end("w1")
    host.look("w1")
    host.programs.fail("w1", ProcessState.BACKOFF)
    host.look("w1")
    assert status(host).state is RolloutState.RUNNING
    host.clock.sleep(FAILING_S)
    host.look("w1")
    settle(host)
    assert (status(host).state, status(host).stopped_at) == (RolloutState.STOPPED, "w1")
    host.begin_again()
    host.reconciler.full_pass()
    settle(host)
    assert (status(host).state, stopping(host)) == (RolloutState.STOPPED, [])
    host.programs.respawn("w1")
    host.comes_up("w1")
    settle(host)
    assert stopping(host) == []
    wish(host, replace(ONE, attempt=2))
    assert stopping(host) == ["w2"]


def test_one_that_died_by_itself_has_caught_up(host: Host) -> None:
    finish(host, "w1")
    host.programs.respawn("w3")
    host.comes_up("w3")
    finish(host, "w2")
    assert (status(host).state, status(host).restarted) == (RolloutState.DONE, NAMES)
