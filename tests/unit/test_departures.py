"""The last that a branch does about a worker whose instance goes to another branch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cyme_supd.domain.handover import as_json, instance_from
from cyme_supd.domain.moving import MOST_FAILED, Move, Moving, Step
from cyme_supd.domain.plan import Action, Release, Remove, Stop, plan
from cyme_supd.domain.status import ProcessState, Status
from cyme_supd.errors import Invalid
from tests.unit.moving_support import WHOLE
from tests.unit.played_host import Host, with_one_ready
from tests.unit.values import a_worker, seen, the_launch

MOVE = Move("b2", "00ff")
S = ProcessState


def kinds(state: ProcessState | None, step: Step, **changes: Any) -> list[type[Action]]:
    worker = a_worker(move=replace(MOVE, step=step), **changes)
    return [type(action) for action in plan(worker, the_launch(worker), seen(worker, state))]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_it_ends_and_is_taken_away_and_only_then_released(is_enabled: bool) -> None:
    for state in (S.STARTING, S.RUNNING, S.BACKOFF):
        assert kinds(state, Step.STOPPING, is_enabled=is_enabled) == [Stop]
    assert kinds(S.STOPPING, Step.STOPPING, is_enabled=is_enabled) == []
    for down in (None, S.STOPPED, S.EXITED, S.FATAL):
        assert kinds(down, Step.STOPPING, is_enabled=is_enabled) == [Remove, Release]


@pytest.mark.parametrize("step", [Step.RELEASED, Step.HANDING])
@pytest.mark.parametrize("state", [None, *S])
def test_once_it_is_released_nothing_is_done_here(step: Step, state: ProcessState | None) -> None:
    assert kinds(state, step) == []


def leaving() -> Host:
    """Its worker has been told to end."""
    host = with_one_ready()
    host.edit(move=MOVE)
    host.hint()
    assert host.state() is S.STOPPING
    return host


def step(host: Host) -> Step | None:
    move = host.worker().instance.move
    return None if move is None else move.step


def reason(host: Host) -> str:
    (found,) = [each for each in host.status().conditions if each.type == "Ready"]
    return found.reason


def test_nothing_is_left_of_it() -> None:
    host = leaving()
    host.begin_again()
    host.reconciler.full_pass()
    assert (step(host), reason(host)) == (Step.STOPPING, "Stopping")
    host.programs.end("w1")
    host.look()
    assert step(host) is Step.RELEASED
    assert host.programs.processes() == {}
    assert host.launches.written("w1") is None
    assert host.remote.dropped == ["dq.w1"]
    calls = list(host.programs.calls)
    for _ in range(2):
        host.begin_again()
        host.reconciler.full_pass()
    assert (host.programs.calls, reason(host)) == (calls, "Moving")


def test_what_another_branch_has_stored_of_it_stays() -> None:
    """A pass may end after it has gone there, with one store for all."""
    host = leaving()
    host.programs.end("w1")
    host.look()
    host.edit(move=None, branch="b2")
    said = Status("w1", host.worker().instance.generation, ProcessState.RUNNING, ready=True)
    with host.store.writing() as tx:
        before = host.worker()
        tx.save_statuses([said])
    moved = replace(before.instance, branch="b1", move=replace(MOVE, step=Step.RELEASED))
    host.reconciler._reconcile([replace(before, instance=moved)])
    assert host.status() == said


def test_one_that_stays_after_all_is_started_again() -> None:
    host = leaving()
    host.programs.end("w1")
    host.look()
    host.edit(move=None)
    host.hint()
    host.comes_up()
    assert host.status().ready is True


def test_a_process_from_before_keeps_it() -> None:
    """supervisord was killed, and knows nothing of a worker that still finishes its task."""
    host = leaving()
    host.programs.forget_all()
    host.launches.locked.add("w1")
    host.look()
    assert step(host) is Step.STOPPING
    host.launches.locked.clear()
    host.look()
    assert step(host) is Step.RELEASED


@pytest.mark.parametrize("otherwise", [None, Move("b3", "0100")])
def test_what_was_decided_otherwise_meanwhile_stands(
    otherwise: Move | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = leaving()
    host.programs.end("w1")
    remove = host.launches.remove

    def removed(name: str) -> None:
        remove(name)
        host.edit(move=otherwise)

    monkeypatch.setattr(host.launches, "remove", removed)
    host.look()
    assert host.worker().instance.move == otherwise


# What is told of them


def test_all_of_an_instance_goes_with_it() -> None:
    there = instance_from(as_json(replace(WHOLE, move=MOVE)), "b2")
    assert there == replace(WHOLE, branch="b2")
    plain = replace(
        WHOLE, created_at=datetime(2026, 1, 2, tzinfo=UTC), pause=None, is_enabled=False
    )
    assert instance_from(as_json(plain), "b2") == replace(plain, branch="b2")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "all"},
        {"app": ""},
        {"created_at": "yesterday"},
        {"generation": 0},
        {"restarts": True},
        {"pause": 7},
        {"settings": []},
        {"settings": {"max_concurrency": 0}},
        {"settings": {"queues": ["dq.w2"]}},
    ],
    ids=str,
)
def test_what_no_instance_can_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        instance_from({**as_json(WHOLE), **changes}, "b2")


def test_what_failed_is_told_of_some() -> None:
    moving = Moving()
    for number in range(MOST_FAILED + 5):
        moving = moving.with_failed(f"w{number}", "x" * 1000)
    assert list(moving.failed)[-1] == f"w{MOST_FAILED + 4}"
    assert len(moving.failed) == MOST_FAILED
    assert max(map(len, moving.failed.values())) < 1000
    assert Moving.from_dict(moving.as_dict()) == moving
