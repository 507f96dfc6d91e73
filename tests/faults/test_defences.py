"""Each defence taken away: what it is there for then happens, so the tests would see it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyme_supd.supervisord.repair import repair
from tests.faults.weakened import CHECKOUT, without
from tests.support import eventually
from tests.tree import SLEEP, SupervisedTree, is_alive, python

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

#: A task that daemonises something and ends.
LEAVING = (
    "import os, subprocess, time\n"
    "child = subprocess.Popen(['/bin/sleep', '60'], start_new_session=True, close_fds=False)\n"
    "here = os.environ['CYME_LAUNCH_DIRECTORY']\n"
    "open(here + '/child', 'w').write(str(child.pid))\n"
    "open(here + '/ready', 'w').close()\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SupervisedTree]:
    tree = SupervisedTree(tmp_path / "r")
    yield tree
    tree.end()


def launched_by(tree: SupervisedTree, name: str, code: Path) -> None:
    """Have the worker's section name the launcher that is in *code*."""
    tree.sections.write(name, 20)
    path = tree.paths.sections / f"{name}.conf"
    text = path.read_text()
    ours = str(CHECKOUT / "cyme_supd" / "launch.py")
    assert ours in text
    path.write_text(text.replace(ours, str(code / "cyme_supd" / "launch.py")))


def start_launched(tree: SupervisedTree, name: str, argv: list[str]) -> int:
    tree.launch(name, argv)
    tree.client.apply([name])
    tree.client.start([name])
    return tree.pid_of(name)


@pytest.mark.parametrize("is_repaired", [True, False])
def test_one_bad_file_keeps_supervisord_from_starting(
    is_repaired: bool, tree: SupervisedTree
) -> None:
    (tree.paths.sections / "bad.conf").write_text("[program:bad]\ncommand=/bin/sleep 9%\n")
    if is_repaired:
        repair(tree.sections)
        tree.start()
    else:
        with pytest.raises(RuntimeError, match="supervisord ended"):
            tree.start()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_write_that_is_cut(is_whole: bool, tree: SupervisedTree, tmp_path: Path) -> None:
    """Not by rename, supervisord would be given a section of which half is missing."""
    code = CHECKOUT if is_whole else _writing_in_place(tmp_path)
    tree.sections.write("w1", 20)
    path = tree.paths.sections / "w1.conf"
    before = path.read_bytes()
    script = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from cyme_supd.supervisord.sections import SectionFiles\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "SectionFiles(Path(sys.argv[1])).restore('w1', b'[program:w1]\\ncommand=/bin/sl')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tree.paths.root)],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
    )
    assert done.returncode == -signal.SIGKILL
    assert (path.read_bytes() == before) is is_whole


def _writing_in_place(tmp_path: Path) -> Path:
    old = 'temporary = path.with_name(f".{path.name}.tmp")'
    code = without(tmp_path / "weak", "config.py", old, "temporary = path")
    shutil.copytree(CHECKOUT / "templates", code / "cyme_supd" / "templates")
    return code


@pytest.mark.parametrize("is_tied", [True, False])
def test_workers_of_a_supervisord_that_was_killed(
    is_tied: bool, tree: SupervisedTree, tmp_path: Path
) -> None:
    line = '    _die_with(parent, wanted["death_signal"])\n'
    code = CHECKOUT if is_tied else without(tmp_path / "weak", "launch.py", line)
    tree.start()
    launched_by(tree, "w1", code)
    pid = start_launched(tree, "w1", SLEEP)
    eventually(lambda: (tree.paths.instances / "w1" / "worker.pid").exists())
    eventually(lambda: b"1000" in Path(f"/proc/{pid}/cmdline").read_bytes())
    tree.signal(signal.SIGKILL)
    tree.wait()
    if is_tied:
        eventually(lambda: not is_alive(pid))
    else:
        with pytest.raises(AssertionError, match="not within"):
            eventually(lambda: not is_alive(pid), 1.5)


@pytest.mark.parametrize("is_awake", [True, False])
def test_supervisord_sleeps_for_a_second(
    is_awake: bool, tree: SupervisedTree, tmp_path: Path
) -> None:
    line = "        self.wake.open()\n"
    code = without(tmp_path / "weak", "supervisord/rpcinterface.py", line)
    tree.start(code=CHECKOUT if is_awake else code)
    took = [told_s(tree, f"w{number}") for number in range(5)]
    assert (sum(took) / len(took) < 0.3) is is_awake, took


def told_s(tree: SupervisedTree, name: str) -> float:
    """From kill -9 of a worker until who waits for news has heard of it."""
    pid, position = tree.run(name), tree.position()
    killed_at: list[float] = []

    def kill() -> None:
        killed_at.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(0.3, kill)
    timer.start()
    try:
        tree.client.changes(position, 10)
    finally:
        timer.join()
    return time.monotonic() - killed_at[0]


@pytest.mark.parametrize("is_record", [True, False])
def test_what_a_task_leaves_does_not_hold_the_lock(
    is_record: bool, tree: SupervisedTree, tmp_path: Path
) -> None:
    line = "            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    weak = line.replace("lockf", "flock")
    code = CHECKOUT if is_record else without(tmp_path / "weak", "launch.py", line, weak)
    tree.start()
    launched_by(tree, "w1", code)
    here = tree.paths.instances / "w1"
    pid = start_launched(tree, "w1", python(LEAVING))
    eventually((here / "ready").exists)
    child = int((here / "child").read_text())
    try:
        (here / "ready").unlink()
        os.kill(pid, signal.SIGKILL)
        if is_record:
            eventually((here / "ready").exists, 5)
        else:
            with pytest.raises(AssertionError, match="not within"):
                eventually((here / "ready").exists, 5)
    finally:
        os.kill(child, signal.SIGKILL)
