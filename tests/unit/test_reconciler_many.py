"""The reconciler and many workers: who comes first, and who waits."""

from __future__ import annotations

import pytest

from cyme_supd.branch.reconciler import SLICE
from cyme_supd.branch.workqueue import Work
from cyme_supd.domain.status import ProcessState
from tests.unit.played_host import Host

S = ProcessState


def test_no_more_than_so_many_start_at_once() -> None:
    host = Host(max_starting=2)
    for number in range(5):
        host.create(f"w{number}")
    host.reconciler.full_pass()
    assert _starting(host) == 2

    host.comes_up("w0")
    host.reconciler.full_pass()
    assert _starting(host) == 3

    host.clock.advance(11)
    host.reconciler.full_pass()
    assert _starting(host) == 5


def test_who_waits_is_looked_at_when_it_is_its_turn() -> None:
    host = Host(max_starting=2)
    for number in range(5):
        host.create(f"w{number}")
    host.hint()
    assert _started(host) == ["w0", "w1"]
    assert host.queue.take(0).names == frozenset()

    host.comes_up("w1")
    assert host.queue.take(0).names == {"w2"}
    host.look("w2")
    assert _started(host) == ["w0", "w1", "w2"]
    assert host.queue.take(0).names == frozenset()

    host.clock.advance(10.1)
    assert "w3" in host.queue.take(0).names
    host.look("w3")
    assert host.queue.take(0).names == {"w4"}


def test_all_that_are_asked_in_a_pass_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    questions: list[list[str]] = []
    monkeypatch.setattr(
        host.remote, "ask", lambda workers: questions.append([each.name for each in workers])
    )
    names = frozenset({"w1", "w2", "w3"})
    for name in names:
        host.create(name)
    host.hint()
    host.look("w1")
    host.reconciler.partial_pass(Work(names))
    assert questions == []

    host.clock.advance(2.5)
    host.reconciler.partial_pass(Work(names))

    assert questions == [["w1", "w2", "w3"]]


def test_whoever_need_not_start_any_more_lets_the_next_go_first() -> None:
    host = Host(max_starting=1)
    for number in range(4):
        host.create(f"w{number}")
    host.hint()
    host.edit("w1", is_enabled=False)

    host.comes_up("w0")
    host.reconciler.partial_pass(host.queue.take(0))
    host.reconciler.partial_pass(host.queue.take(0))

    assert _started(host) == ["w0", "w2"]


def test_a_hint_does_not_wait_for_the_end_of_a_full_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(max_starting=1000)
    for number in range(3 * SLICE):
        host.create(f"w{number:03}")
    host.reconciler.full_pass()
    host.programs.calls.clear()
    last, first = f"w{3 * SLICE - 1:03}", "w000"
    ask_all = host.remote.ask_all

    def edit_and_ask() -> None:
        # The pass has loaded its specs by now.
        host.edit(last, stop_timeout_s=7)
        host.edit(first, stop_timeout_s=8)
        host.queue.hint()
        ask_all()

    monkeypatch.setattr(host.remote, "ask_all", edit_and_ask)
    looked_at: list[str] = []
    written = host.launches.written

    def noted(name: str) -> str | None:
        looked_at.append(name)
        return written(name)

    monkeypatch.setattr(host.launches, "written", noted)

    host.reconciler.full_pass()

    assert host.programs.calls == [("apply", first), ("apply", last)]
    assert looked_at.index(last) < looked_at.index(f"w{SLICE:03}")
    # What the pass had loaded of it is not made so again.
    assert looked_at.count(last) == 1
    assert host.status(last).generation == 2
    assert host.status(first).generation == 2


def _started(host: Host) -> list[str]:
    return sorted(name for verb, *names in host.programs.calls if verb == "start" for name in names)


def _starting(host: Host) -> int:
    return sum(process.state is S.STARTING for process in host.programs.processes().values())
