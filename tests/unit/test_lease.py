"""Two branches of one id on one store: one acts, the other waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from cyme_supd.branch.lease import ActedForElsewhere, Lease, holder_of
from cyme_supd.branch.reconciler import ELSEWHERE_S, Reconciler
from cyme_supd.branch.workqueue import Work
from cyme_supd.domain.status import ProcessState as S
from cyme_supd.errors import Unavailable
from tests.unit.played_host import Host

LASTS_S = 15.0


@pytest.fixture
def host() -> Host:
    return Host()


def lease(host: Host, holder: str = "here") -> Lease:
    return Lease(host.store, host.clock, host.about, holder, LASTS_S)


def with_lease(host: Host, holder: str = "here") -> Reconciler:
    host.reconciler = host.another(right=lease(host, holder))
    return host.reconciler


def elsewhere(host: Host) -> None:
    """Another has it from now on, if nobody has."""
    lease(host, "elsewhere").keep()


def test_the_first_pass_takes_it(host: Host) -> None:
    host.create()
    with_lease(host).full_pass()
    assert host.state() is S.STARTING
    with pytest.raises(ActedForElsewhere, match="here acts for branch 'b1'"):
        elsewhere(host)


@pytest.mark.parametrize("work", [Work(is_full=True), Work(is_hinted=True)], ids=["full", "hint"])
def test_nothing_is_done_while_another_has_it(host: Host, work: Work) -> None:
    host.create()
    elsewhere(host)
    reconciler = with_lease(host)
    before = host.store.version()
    for _ in range(2):
        assert not reconciler._survive(work)
    assert host.programs.calls == []
    assert host.store.version() == before


def test_when_another_is_gone_it_is_taken_over(host: Host) -> None:
    host.create()
    elsewhere(host)
    reconciler = with_lease(host)
    assert not reconciler._survive(Work(is_full=True))
    host.clock.advance(LASTS_S)
    assert reconciler._survive(Work(is_full=True))
    assert host.state() is S.STARTING


def test_who_comes_back_after_another_took_over_leaves_the_workers_alone(host: Host) -> None:
    host.create()
    reconciler = with_lease(host)
    reconciler.full_pass()
    host.store.failure = Unavailable("away")
    host.clock.advance(LASTS_S)
    assert not reconciler._survive(Work(is_full=True))
    host.store.failure = None
    elsewhere(host)
    calls = list(host.programs.calls)
    host.edit(is_enabled=False)
    assert not reconciler._survive(Work(is_full=True))
    assert host.programs.calls == calls


def test_who_cannot_renew_it_acts_on_nobody(host: Host) -> None:
    host.create()
    right = lease(host)
    right.keep()
    right.check()
    host.clock.advance(LASTS_S)
    with pytest.raises(Unavailable, match="has run out"):
        right.check()


def test_it_is_renewed_when_half_of_it_is_gone(host: Host) -> None:
    right = lease(host)
    assert right.due_in_s() == 0
    right.keep()
    before = host.store.version()
    assert right.due_in_s() == LASTS_S / 2
    host.clock.advance(LASTS_S / 2 - 1)
    right.keep()
    assert host.store.version() == before
    host.clock.advance(1)
    right.keep()
    assert host.store.version() == before + 1


def test_a_full_pass_renews_it_with_what_it_writes_anyway(host: Host) -> None:
    reconciler = with_lease(host)
    reconciler.full_pass()
    host.clock.advance(LASTS_S / 2 - 1)
    before = host.store.version()
    reconciler.full_pass()
    assert host.store.version() == before + 1
    assert reconciler._right.due_in_s() == LASTS_S / 2
    with host.store.reading() as view:
        assert view.branch("b1").observed_at == host.clock.now()


def test_what_was_not_committed_does_not_count(host: Host) -> None:
    right = lease(host)

    def fail() -> None:
        with right.renewing():
            host.store.failure = Unavailable("away")

    with pytest.raises(Unavailable):
        fail()
    with pytest.raises(Unavailable, match="has run out"):
        right.check()


def test_a_host_that_was_suspended_does_not_think_it_has_it(host: Host) -> None:
    right = lease(host)
    right.keep()
    monotonic = host.clock.monotonic()
    host.clock.advance(LASTS_S)
    host.clock._monotonic = monotonic
    with pytest.raises(Unavailable, match="has run out"):
        right.check()


def test_a_pass_that_took_too_long_stops_acting(host: Host) -> None:
    for number in range(2):
        host.create(f"w{number}")
    reconciler = with_lease(host)
    start = host.programs.start

    def slowly(names: Sequence[str]) -> None:
        start(names)
        host.clock.advance(LASTS_S)

    host.programs.start = slowly
    assert not reconciler._survive(Work(is_full=True))
    assert sum(call[0] == "start" for call in host.programs.calls) == 1


def test_the_loop_keeps_it_between_passes_that_are_far_apart(host: Host) -> None:
    host.about = lambda: replace(Host.about(host), sup_interval=3600.0)
    right = lease(host)
    reconciler = host.another(right=right)
    waits: list[float] = []

    class Stop(threading.Event):
        def is_set(self) -> bool:
            return len(waits) >= 4

    def take(timeout_s: float) -> Work:
        waits.append(timeout_s)
        host.clock.advance(timeout_s)
        return Work()

    host.queue.take = take
    reconciler.run(Stop(), lambda: None)
    assert waits == [0.0, *[LASTS_S / 2] * 3]
    right.check()


def test_who_is_held_back_says_so_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere(host)
    reconciler = with_lease(host)
    waits: list[float] = []

    class Stop(threading.Event):
        def is_set(self) -> bool:
            return len(waits) >= 3

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    reconciler.run(Stop(), lambda: None)
    assert waits == [ELSEWHERE_S] * 3
    said = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in said] == [
        "held back: elsewhere acts for branch 'b1' "
        "(taken over 15 s after that has ended; two that run need two ids)"
    ]


def test_its_holder_is_the_same_after_a_restart_and_another_in_another_root() -> None:
    assert holder_of("/r") == holder_of("/r") != holder_of("/s")
