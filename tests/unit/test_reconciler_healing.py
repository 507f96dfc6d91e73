"""The reconciler between fakes: workers that hang, are deaf, or end too often."""

from __future__ import annotations

import pytest

from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.domain.healing import START_S
from cyme_supd.domain.progress import risen
from cyme_supd.domain.status import Backlog, ProcessState
from cyme_supd.errors import Unavailable
from tests.unit.played_host import Host
from tests.unit.values import BROKER, INTERVAL_S, RECONNECT_S

S = ProcessState


class Played(Host):
    """With what the kernel and the brokers say; everybody answers unless silent."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: set[int] = set()
        self.silent: set[str] = set()
        self.depths: dict[str, int] = {}
        self.known: dict[str, Backlog] = {}
        self.begin()

    def begin(self) -> None:
        """A branch process that has just started."""
        rule = Rule(INTERVAL_S, RECONNECT_S)
        self.reconciler = self.another(
            Attendant(self.clock, rule, self, self.stopped.__contains__, lambda: 0.5)
        )

    def watch(self, queues: object) -> None: ...

    def backlog(self, broker: str, queue: str) -> Backlog | None:
        return self.known.get(queue)

    def up(self, *names: str) -> None:
        for name in names:
            self.create(name)
            self.hint()
            self.comes_up(name)
            self.programs.run(name)
        self.passes(RECONNECT_S / INTERVAL_S + 1)

    def passes(self, count: float = 1) -> None:
        for _ in range(int(count)):
            self.clock.advance(INTERVAL_S)
            for name, process in self.programs.processes().items():
                if process.state.is_up and name not in self.silent:
                    worker, pid = self.worker(name), process.pid or 0
                    self.remote.says(worker, pid, started=0, active=0, waiting=0)
            for queue, messages in self.depths.items():
                self.known[queue] = risen(self.known.get(queue), messages, self.clock.monotonic())
            self.reconciler.full_pass()

    def reason(self, name: str = "w1", type: str = "Ready") -> str | None:
        found = [each.reason for each in self.status(name).conditions if each.type == type]
        return found[0] if found else None

    def untouched(self) -> list[tuple[str, ...]]:
        return [call for call in self.programs.calls if call[0] in ("stop", "kill")]


@pytest.fixture
def host() -> Played:
    return Played()


def test_one_that_was_stopped_is_replaced_within_four_passes(host: Played) -> None:
    host.up("w1", "w2")
    before = host.programs.pid("w1")
    host.silent.add("w1")
    host.stopped.add(before)

    host.passes(3)
    assert host.state() is S.STOPPING
    assert (host.status().ready, host.reason()) == (False, "Hung")
    host.look()
    assert host.programs.calls[-1] == ("kill", "w1")
    host.look()
    host.silent.clear()
    host.comes_up()

    assert host.status().ready is True
    assert host.programs.pid("w1") != before
    assert host.untouched() == [("stop", "w1"), ("kill", "w1")]


def test_one_that_is_silent_has_time_to_end_warmly_and_is_killed_after(host: Played) -> None:
    host.up("w1", "w2")
    host.silent.add("w1")

    host.passes(5)
    assert host.untouched() == []
    host.passes(1)
    assert host.untouched() == [("stop", "w1")]
    host.passes(5)
    assert host.untouched() == [("stop", "w1")]
    host.passes(1)

    assert host.untouched() == [("stop", "w1"), ("kill", "w1")]


def test_the_kill_outlives_the_branch_process(host: Played) -> None:
    host.up("w1", "w2")
    host.silent.add("w1")
    host.passes(6)
    assert host.reason() == "Hung"
    host.begin()

    host.passes(7)

    assert host.untouched() == [("stop", "w1"), ("kill", "w1")]


def test_where_all_are_silent_the_broker_is_the_suspect(host: Played) -> None:
    host.up("w1", "w2", "w3")
    host.silent |= {"w1", "w2", "w3"}

    host.passes(100)

    assert host.untouched() == []
    assert (host.status().ready, host.reason()) == (None, "Silent")
    assert host.reason(type="Unknown") == "Silent"


def test_silence_beside_a_broker_that_is_down_or_just_back_is_no_reason(host: Played) -> None:
    host.up("w1", "w2")
    host.silent.add("w1")
    host.remote.breaks(BROKER)
    host.passes(20)
    host.remote.mends(BROKER)
    host.passes(RECONNECT_S / INTERVAL_S - 1)

    assert host.untouched() == []


def test_a_solo_worker_may_be_silent(host: Played) -> None:
    host.create("w2")
    host.create("w1", pool="solo")
    host.hint()
    for name in ("w1", "w2"):
        host.comes_up(name)
    host.passes(10)
    host.silent.add("w1")

    host.passes(1000)

    assert host.untouched() == []


def test_a_branch_that_was_away_blames_nobody(host: Played) -> None:
    host.up("w1", "w2")
    host.clock.advance(3600)
    host.reconciler.full_pass()
    host.reconciler.full_pass()

    assert host.untouched() == []


def test_one_that_never_answers_is_ended(host: Played) -> None:
    host.up("w2")
    host.silent.add("w1")
    host.create("w1")
    host.hint()

    host.passes(START_S / INTERVAL_S)
    assert host.untouched() == []
    host.passes(4)

    assert host.untouched() == [("stop", "w1")]
    assert host.reason() == "NeverAnswered"


def test_one_that_begins_nothing_while_its_queue_grows_is_ended(host: Played) -> None:
    host.up("w1", "w2")
    host.depths["dq.w1"] = 3

    host.passes(4)
    assert host.untouched() == []
    host.passes(1)

    assert host.untouched() == [("stop", "w1")]
    assert host.reason() == "Deaf"


def test_one_that_stays_deaf_is_told_to_end_less_and_less_often(host: Played) -> None:
    host.up("w1", "w2")
    host.depths["dq.w1"] = 3
    for _ in range(3600 // int(INTERVAL_S)):
        host.passes(1)
        if host.state() is S.STOPPING:
            host.programs.end("w1")

    assert 4 <= len(host.untouched()) <= 8
    assert host.reason(type="Progressing") == "QueueGrows"


@pytest.mark.parametrize("uptime_s", [0.5, 3.0, 11.0])
def test_one_that_ends_soon_is_held_and_its_starts_are_bounded(
    host: Played, uptime_s: float
) -> None:
    host.create()
    host.hint()
    starts, began_at = 1, host.clock.monotonic()
    while host.clock.monotonic() - began_at < 600:
        host.clock.advance(uptime_s)
        if host.state() in (S.STARTING, S.BACKOFF):
            host.programs.respawn("w1")
            starts += 1
        host.look()
        if host.state() is S.STOPPING:
            host.programs.end("w1")
            host.look()
        if host.state() is S.STOPPED:
            assert host.reason(type="CrashLooping") == "RestartsTooOften"
            assert host.reason() == "CrashLooping"

    assert host.reason(type="CrashLooping") == "RestartsTooOften"
    # Six, then two for each try: supervisord is quicker than the branch by one.
    assert starts <= 22


def test_a_pause_is_not_forgotten_by_the_next_branch_process(host: Played) -> None:
    host.create()
    host.hint()
    host.programs.fail("w1", S.FATAL)
    host.look()
    assert (host.state(), host.reason(type="CrashLooping")) == (S.FATAL, "RestartsTooOften")

    for _ in range(20):
        host.begin()
        host.look()
    assert host.programs.calls.count(("start", "w1")) == 1
    host.clock.advance(10)
    host.look()

    assert host.programs.calls.count(("start", "w1")) == 2


def test_another_spec_ends_the_pause(host: Played) -> None:
    host.create()
    host.hint()
    host.programs.fail("w1", S.FATAL)
    host.look()
    assert host.state() is S.FATAL

    host.edit(pool="gevent")
    host.hint()

    assert host.state() is S.STARTING


def test_a_pass_that_changes_nothing_writes_nothing(host: Played) -> None:
    host.up("w1")
    before = host.status()
    host.passes(10)

    assert host.status() == before


def test_what_cannot_be_read_is_no_reason(host: Played) -> None:
    host.up("w1", "w2")
    host.silent.add("w1")
    host.stopped.add(host.programs.pid("w1"))
    host.programs.lose()
    for _ in range(10):
        host.clock.advance(INTERVAL_S)
        with pytest.raises(Unavailable):
            host.reconciler.full_pass()

    assert host.untouched() == []
