"""Processes that workers leave behind: said to be there, and real ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cyme_supd.branch.strays import MOST_OF_A_COMMAND, HostStrays
from cyme_supd.clock import SystemClock
from cyme_supd.domain.orphans import Stray
from cyme_supd.domain.ports import Strays
from cyme_supd.launch import MARKER
from cyme_supd.testing.strays import MemoryStrays
from tests.acceptance import processes
from tests.support import eventually

SECONDS = "61"


@dataclass
class Host:
    """Real processes; those of programs are children of this one."""

    instances: Path
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)

    def port(self) -> HostStrays:
        return HostStrays(self.instances, os.getpid(), SystemClock())

    def environment(self, name: str) -> dict[str, str]:
        return {**os.environ, MARKER: str(self.instances / name)}

    def worker(self, name: str = "w1") -> int:
        """A program whose process the launcher has written down."""
        program = subprocess.Popen(["sleep", SECONDS], env=self.environment(name))
        self.programs.append(program)
        grown(program.pid)
        (self.instances / name).mkdir(parents=True, exist_ok=True)
        (self.instances / name / "worker.pid").write_text(f"{program.pid}\n")
        return program.pid

    def detach(self, name: str = "w1", command: str = f"sleep {SECONDS}") -> int:
        """What a task does that makes a daemon."""
        done = subprocess.run(
            ["/bin/sh", "-c", f"setsid {command} >/dev/null 2>&1 & echo $!"],
            env=self.environment(name),
            stdout=subprocess.PIPE,
            check=True,
        )
        pid = int(done.stdout)
        self.detached.append(pid)
        eventually(lambda: command.split()[0] in processes.cmdline(pid).split())
        grown(pid)
        return pid

    def kill(self, pid: int) -> None:
        for program in self.programs:
            if program.pid == pid:
                program.kill()
                program.wait()

    def end(self) -> None:
        for program in self.programs:
            self.kill(program.pid)
        for pid in self.detached:
            with suppress(ProcessLookupError):
                processes.kill(pid)


def grown(pid: int) -> None:
    """The kernel tells of starts in hundredths of a second: what comes next starts later."""
    eventually(lambda: processes.age_s(pid) > 0.03)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "instances")
    yield host
    host.end()


def pids(host: Host) -> list[int]:
    return [stray.pid for stray in host.port().strays()]


@pytest.fixture(params=["memory", "host"])
def leave(request: pytest.FixtureRequest, host: Host) -> Callable[[], tuple[Strays, int]]:
    """Leaves one process of w1 behind, which has no other."""

    def left() -> tuple[Strays, int]:
        if request.param == "host":
            return host.port(), host.detach()
        memory = MemoryStrays()
        memory.left.append(Stray(7, "w1", f"sleep {SECONDS}", datetime.now(UTC)))
        return memory, 7

    return left


def test_one_that_is_left(leave: Callable[[], tuple[Strays, int]]) -> None:
    port, pid = leave()
    (stray,) = port.strays()
    assert (stray.pid, stray.instance, stray.command) == (pid, "w1", f"sleep {SECONDS}")
    assert stray.has_worker is False
    assert abs(datetime.now(UTC) - stray.since) < timedelta(seconds=10)


def test_nothing_where_nothing_was_left(host: Host) -> None:
    assert MemoryStrays().strays() == host.port().strays() == []


def test_programs_and_what_is_below_them_are_none(host: Host) -> None:
    host.worker()
    command = f"sleep {SECONDS} & wait"
    host.programs.append(subprocess.Popen(["/bin/sh", "-c", command], env=host.environment("w2")))
    eventually(lambda: any(f"sleep {SECONDS}" in each for each in below(host)))
    assert pids(host) == []


def below(host: Host) -> list[str]:
    return [
        processes.cmdline(pid)
        for program in host.programs
        for pid in processes.with_a_foot_in(str(host.instances))
        if processes.parent(pid) == program.pid
    ]


def test_what_a_worker_has_detached_is_its_own_as_long_as_it_runs(host: Host) -> None:
    worker = host.worker()
    pid = host.detach()
    assert pids(host) == []
    host.kill(worker)
    assert pids(host) == [pid]
    eventually(lambda: processes.age_s(pid) > 0.1)
    host.worker()
    (stray,) = host.port().strays()
    assert (stray.pid, stray.has_worker) == (pid, True)


def test_what_that_starts_is_left_with_it(host: Host) -> None:
    pid = host.detach(command=f"/bin/sh -c 'sleep 0.3; sleep {SECONDS} & wait'")
    eventually(lambda: processes.age_s(pid) > 0.1)
    host.worker()
    (child,) = eventually(lambda: set(pids(host)) - {pid})
    assert processes.parent(child) == pid
    host.detached.append(child)


def test_those_of_other_roots_are_not_ours(host: Host, tmp_path: Path) -> None:
    host.detach()
    for instances in (tmp_path / "inst", tmp_path, tmp_path / "instances" / "w1"):
        assert HostStrays(instances, os.getpid(), SystemClock()).strays() == []


def test_one_that_ends_is_gone_and_long_commands_are_cut(host: Host) -> None:
    pid = host.detach(command=f"sleep {SECONDS} {'0 ' * MOST_OF_A_COMMAND}")
    (stray,) = host.port().strays()
    assert len(stray.command) == MOST_OF_A_COMMAND + 3
    processes.kill(pid)
    assert host.port().strays() == []
