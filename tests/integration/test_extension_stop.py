"""How supervisord ends with the extension."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from cyme_supd.errors import ShuttingDown, Unavailable
from tests import inside
from tests.support import eventually
from tests.tree import SLEEP, SupervisedTree, is_alive, lingering, python

MakeTree = Callable[..., SupervisedTree]
TREE = ("broker", "web", "branch")

#: Says so when it is asked to end, and ends once *count* others of its kind
#: were asked, too. Who is asked one at a time never ends.
TOGETHER = """
import os, signal, sys, time
diary, count, here = sys.argv[1], int(sys.argv[2]), os.environ['CYME_LAUNCH_DIRECTORY']
me = os.path.basename(here)
def note(what):
    fd = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f'{what} {me}\\n'.encode())
def end(*_):
    note('asked')
    while sum(line.startswith('asked') for line in open(diary)) < count: time.sleep(0.01)
    note('ended')
    os._exit(0)
signal.signal(signal.SIGTERM, end)
open(os.environ['CYME_LAUNCH_DIRECTORY'] + '/ready', 'w').close()
while True: signal.pause()
"""


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


def fleet(tree: SupervisedTree, diary: Path, workers: int) -> SupervisedTree:
    """A started tree whose programs note in *diary* how they end."""
    for name, asked in (("web", workers + 2), ("branch", workers + 2), ("broker", workers + 3)):
        tree.launch_tree(name, python(TOGETHER, str(diary), str(asked)))
    tree.start()
    for number in range(workers):
        tree.run_ready(f"w{number}", python(TOGETHER, str(diary), str(workers)), 600)
    for name in TREE:
        eventually((tree.paths.programs / name / "ready").exists)
    return tree


def check_order(diary: Path, workers: int) -> None:
    lines = [line.split() for line in diary.read_text().splitlines()]
    names = {f"w{number}" for number in range(workers)}
    phases = [names, {"web", "branch"}, {"broker"}]
    for phase in phases:
        asked, lines = lines[: len(phase)], lines[len(phase) :]
        ended, lines = lines[: len(phase)], lines[len(phase) :]
        assert {(what, name) for what, name in asked} == {("asked", name) for name in phase}
        assert {(what, name) for what, name in ended} == {("ended", name) for name in phase}
    assert lines == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_workers_then_front_then_broker(make_tree: MakeTree, diary: Path, number: int) -> None:
    tree = fleet(make_tree(TREE), diary, workers=5)
    tree.signal(number)
    assert tree.wait() == 0
    check_order(diary, workers=5)
    assert not tree.paths.supervisord_socket.exists()
    assert not tree.paths.pidfile.exists()


def test_no_phase_waits_for_the_loop(make_tree: MakeTree, diary: Path) -> None:
    tree = fleet(make_tree(TREE, extra=inside.conf("sleep_on")), diary, workers=3)
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0
    check_order(diary, workers=3)


def test_signals_that_come_together(make_tree: MakeTree) -> None:
    """supervisord handles one in a turn, then its loop would sleep."""
    tree = make_tree(extra=inside.conf("sleep_on")).start()
    # A caller's end would wake it once more.
    eventually(lambda: tree.sockets() == 1)
    for number in (signal.SIGSTOP, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT):
        tree.signal(number)
    assert tree.wait() == 0


def test_shutdown_over_the_wire(make_tree: MakeTree, diary: Path) -> None:
    tree = fleet(make_tree(TREE), diary, workers=2)
    assert "Shut down" in tree.ctl("shutdown")
    assert tree.wait() == 0
    check_order(diary, workers=2)


def test_one_that_cannot_start_does_not_hold_it_up(make_tree: MakeTree) -> None:
    tree = make_tree(("web", "branch"))
    tree.launch_tree("web", ["/nonexistent"])
    tree.start()
    tree.run("w1", ["/nonexistent"])
    for name in ("web", "w1"):
        eventually(lambda name=name: tree.state(name) == "BACKOFF")
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0


def test_one_that_will_not_end_is_killed_in_its_time(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",)).start()
    pid = tree.run_ready("w1", lingering(1000), stop_timeout_s=1)
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0
    assert not is_alive(pid)


def test_a_second_interrupt_kills_whatever_is_left(make_tree: MakeTree) -> None:
    tree = make_tree(TREE).start()
    stubborn = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork(): open(os.environ['CYME_LAUNCH_DIRECTORY'] + '/ready', 'w').close()\n"
        "signal.pause()\n"
    )
    pids = [tree.run_ready(name, python(stubborn), 600) for name in ("w1", "w2")]
    children = [child.pid for pid in pids for child in psutil.Process(pid).children()]
    tree.signal(signal.SIGINT)
    eventually(lambda: tree.client.extension()["stopping"])
    assert all(map(is_alive, pids))
    tree.signal(signal.SIGINT)
    assert tree.wait() == 0
    eventually(lambda: not any(map(is_alive, pids + children)))


def test_it_says_who_is_still_finishing(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",), loglevel="ERROR").start()
    for name in ("w1", "w2"):
        tree.run_ready(name, lingering(1000), 600)
    tree.signal(signal.SIGTERM)
    eventually(lambda: "still finishing: w1, w2\n" in tree.output.read_text())
    eventually(lambda: "still finishing: w1, w2\n" in tree.log())
    assert "waiting for" not in tree.log()


def test_everything_is_refused_meanwhile(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",)).start()
    pid = tree.run_ready("w1", lingering(1000), 600)
    tree.launch("w2", SLEEP)
    tree.sections.write("w2", 5)
    tree.signal(signal.SIGTERM)
    eventually(lambda: tree.client.extension()["stopping"])
    for act in (
        lambda: tree.programs.apply("w2", 5),
        lambda: tree.client.start(["w1"]),
        lambda: tree.client.stop(["w1"]),
        lambda: tree.client.kill(["w1"]),
        lambda: tree.client.remove(["w1"]),
        lambda: tree.client.changes("", 0),
    ):
        with pytest.raises(ShuttingDown):
            act()
    assert is_alive(pid)


def test_waiting_calls_end_when_it_stops(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",), extra=inside.conf("sleep_on")).start()
    tree.run_ready("w1", lingering(1000), 600)
    position = tree.position()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(tree.client.changes, position, 50.0) for _ in range(3)]
        tree.signal(signal.SIGTERM)
        errors = [call.exception(25) for call in calls]
    assert [type(error) for error in errors] == [ShuttingDown] * 3


def test_who_waits_when_nothing_is_left_to_stop(make_tree: MakeTree) -> None:
    tree = make_tree().start()
    position = tree.position()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(tree.client.changes, position, 50.0)
        tree.signal(signal.SIGTERM)
        assert isinstance(call.exception(25), Unavailable)
    assert tree.wait() == 0


@pytest.fixture
def terminal() -> Iterator[list[int]]:
    """The descriptors of a terminal's two ends; closed are those taken out."""
    ends = list(pty.openpty())
    yield ends
    for end in ends:
        os.close(end)


def test_a_terminal_that_closes(make_tree: MakeTree, diary: Path, terminal: list[int]) -> None:
    """Its output fails from then on; the stop goes on, and is logged."""
    tree = make_tree(TREE)
    start = tree.start
    tree.start = lambda: start(stdout=terminal[1])  # type: ignore[assignment]
    fleet(tree, diary, workers=3)
    while terminal:
        os.close(terminal.pop())
    tree.signal(signal.SIGHUP)
    assert tree.wait() == 0
    check_order(diary, workers=3)
    assert "stopped: broker" in tree.log()


def test_a_reload_begins_anew(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",)).start()
    before = tree.run("w1")
    epoch = tree.client.extension()["epoch"]
    assert "Restarted" in tree.ctl("reload")
    eventually(lambda: tree.is_up() and tree.client.extension()["epoch"] != epoch)
    assert not is_alive(before)
    pid = tree.run("w1")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: tree.pid_of("w1") not in (0, pid))
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0


def test_workers_end_with_a_supervisord_that_was_killed(make_tree: MakeTree) -> None:
    tree = make_tree(TREE).start()
    pids = [tree.run("w1"), *(tree.pid_of(name) for name in TREE)]
    eventually(lambda: (tree.paths.instances / "w1" / "running.json").exists())
    for name in TREE:
        eventually((tree.paths.programs / name / "running.json").exists)
    eventually(lambda: all(psutil.Process(pid).name() == "sleep" for pid in pids))
    tree.signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, pids)))
