"""What the extension does with single programs."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cyme_supd.errors import Conflict, CymeError, Internal, NotFound, SpawnFailed
from cyme_supd.supervisord.conf import descriptors_for
from cyme_supd.supervisord.rpcinterface import inherited
from cyme_supd.supervisord.sections import SectionFiles
from tests import inside
from tests.support import eventually
from tests.tree import SLEEP, SupervisedTree, is_alive, lingering, python

MakeTree = Callable[..., SupervisedTree]
FOREIGN = "\n[program:theirs]\ncommand=/bin/sleep 1000\n"


def test_applied_is_not_started(tree: SupervisedTree) -> None:
    tree.launch("w1", SLEEP)
    tree.programs.apply("w1", 5)
    assert tree.state("w1") == "STOPPED"
    assert tree.program("w1")["stop_timeout_s"] == 5


def test_start_stop_start(tree: SupervisedTree) -> None:
    first = tree.run("w1")
    tree.client.start(["w1"])
    assert tree.pid_of("w1") == first
    tree.client.stop(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")
    assert not is_alive(first)
    tree.client.start(["w1"])
    assert tree.pid_of("w1") not in (0, first)


def test_applied_again_keeps_the_process(tree: SupervisedTree) -> None:
    pid = tree.run_ready("w1", lingering(1000), stop_timeout_s=600)
    tree.programs.apply("w1", 0)
    assert (tree.pid_of("w1"), tree.program("w1")["stop_timeout_s"]) == (pid, 0)
    tree.client.stop(["w1"])
    # With the first timeout it would linger far longer than this test may take.
    eventually(lambda: tree.state("w1") == "STOPPED")
    assert not is_alive(pid)


@pytest.mark.parametrize("is_stopping", [True, False])
def test_kill_takes_the_whole_process_group(tree: SupervisedTree, is_stopping: bool) -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork(): open(os.environ['CYME_LAUNCH_DIRECTORY'] + '/ready', 'w').close()\n"
        "signal.pause()\n"
    )
    pid = tree.run_ready("w1", python(code), stop_timeout_s=600)
    children = psutil.Process(pid).children()
    assert len(children) == 1
    if is_stopping:
        tree.client.stop(["w1"])
        assert tree.state("w1") == "STOPPING"
    tree.client.kill(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")
    eventually(lambda: not is_alive(children[0].pid))


def test_killed_on_purpose_stays_down(tree: SupervisedTree) -> None:
    tree.run("w1")
    tree.client.kill(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")


def test_one_that_cannot_start_is_retried_until_stopped(tree: SupervisedTree) -> None:
    tree.run("w1", ["/nonexistent"])
    eventually(lambda: tree.state("w1") == "BACKOFF")
    tree.client.stop(["w1"])
    assert tree.state("w1") == "STOPPED"
    log = tree.paths.instances / "w1" / "worker.log"
    assert "cannot run /nonexistent: No such file or directory" in log.read_text()


def test_what_cannot_be_executed_is_an_answer(make_tree: MakeTree) -> None:
    tree = make_tree()
    tree.sections = SectionFiles(tree.paths.root, python="/nonexistent/python")
    tree.start()
    tree.sections.write("w1", 5)
    tree.client.apply(["w1"])
    with pytest.raises(SpawnFailed, match="/nonexistent/python"):
        tree.client.start(["w1"])


def test_remove_and_again(tree: SupervisedTree) -> None:
    tree.run("w1")
    with pytest.raises(Conflict):
        tree.programs.remove("w1")
    assert tree.programs.sections() == {"w1"}
    tree.client.stop(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")
    tree.programs.remove("w1")
    assert tree.program("w1") == {}
    assert tree.programs.sections() == set()
    tree.programs.remove("w1")
    tree.run("w1")


def test_one_bad_name_does_not_stop_the_others(tree: SupervisedTree) -> None:
    first = tree.run("w1")
    second = tree.run("w2")
    with pytest.raises(NotFound):
        tree.client.stop(["w1", "nobody", "w2"])
    eventually(lambda: not is_alive(first) and not is_alive(second))


def test_one_that_is_stopped_before_it_became_its_program_ends(make_tree: MakeTree) -> None:
    tree = make_tree(extra=inside.conf("dawdle")).start()
    tree.launch("w1", SLEEP)
    tree.programs.apply("w1", 600)
    tree.client.start(["w1"])
    tree.client.stop(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")


@pytest.mark.parametrize(
    "name",
    ["", "all", "cyme", "cyme-web", "../etc", "a b", "a/b", "a\nb", "a]", "%s", "x" * 129, 7],
)
def test_names_that_may_not_be(tree: SupervisedTree, name: object) -> None:
    for method in ("applyPrograms", "startPrograms", "stopPrograms", "removePrograms"):
        (result,) = tree.client.call(f"cyme.{method}", [name])
        assert result["status"] == 10, method


def test_the_tree_itself_is_out_of_reach(make_tree: MakeTree) -> None:
    tree = make_tree(("web",)).start()
    pid = tree.pid_of("web")
    for name in ("web", "cyme:web", "cyme-web"):
        with pytest.raises(NotFound):
            tree.client.kill([name])
    assert tree.pid_of("web") == pid


def test_a_foreign_program_is_untouched(make_tree: MakeTree) -> None:
    tree = make_tree(extra=FOREIGN).start()
    pid = tree.pid_of("theirs")
    with pytest.raises(Conflict):
        tree.programs.apply("theirs", 5)
    assert tree.programs.sections() == set()
    for act in (tree.client.stop, tree.client.kill, tree.client.start, tree.client.remove):
        with pytest.raises(NotFound):
            act(["theirs"])
    assert tree.pid_of("theirs") == pid


HEADER = '[program:w1]\ncommand=/bin/sleep 1\nautostart=false\nenvironment=CYME_PROGRAM="w1"\n'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[program:w1",
        "no section\n",
        "[program:w1]\nautostart=false\n",
        HEADER + "stopwaitsecs=soon\n",
        HEADER + "environment=A=%\n",
        HEADER.replace("autostart=false", "autostart=true"),
        HEADER.replace('="w1"', '="w2"'),
        HEADER.replace("[program:w1]", "[program:w2]"),
        HEADER + "process_name=web\n",
        HEADER + "numprocs=2\nprocess_name=%(process_num)s\n",
        HEADER + "[program:w2]\ncommand=/bin/true\n",
        HEADER + "[group:cyme]\nprograms=w1\n",
        HEADER + "[DEFAULT]\nuser=root\n",
        HEADER + "[inet_http_server]\nport=9001\n",
        HEADER + "[eventlistener:e]\ncommand=/bin/true\nevents=TICK_5\n",
        "[eventlistener:w1]\ncommand=/bin/true\nevents=TICK_5\n",
        HEADER + "\xff",
        HEADER + "#" * 70_000,
    ],
)
def test_files_that_may_not_be(tree: SupervisedTree, content: str) -> None:
    path = tree.paths.sections / "w1.conf"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(Internal, match="CANT_REREAD"):
        tree.client.apply(["w1"])
    assert tree.program("w1") == {}
    path.unlink()
    tree.run("w1")


def test_what_is_no_file_does_not_make_it_wait(tree: SupervisedTree) -> None:
    os.mkfifo(tree.paths.sections / "w1.conf")
    (tree.paths.sections / "w2.conf").mkdir()
    for name in ("w1", "w2", "w3"):
        with pytest.raises(CymeError):
            tree.client.apply([name])
    assert tree.client.extension()


def test_update_finds_nothing_to_do(make_tree: MakeTree) -> None:
    tree = make_tree(("web", "branch"), extra=FOREIGN).start()
    pids = [tree.run("w1", stop_timeout_s=5), tree.pid_of("web"), tree.pid_of("theirs")]
    tree.programs.apply("w1", 7)
    assert "No config updates" in tree.ctl("reread")
    assert tree.ctl("update").strip() == ""
    assert [tree.pid_of("w1"), tree.pid_of("web"), tree.pid_of("theirs")] == pids


def test_supervisorctl_by_name(make_tree: MakeTree) -> None:
    tree = make_tree(("broker", "web", "branch")).start()
    said = python("print('hello', flush=True)\nimport signal\nsignal.pause()")
    tree.run("w1", said)
    for name in ("cyme:broker", "cyme:web", "cyme:branch", "w1"):
        pid = tree.ctl("pid", name).strip()
        assert pid.isdecimal()
        assert name in tree.ctl("status", name)
        assert "stopped" in tree.ctl("stop", name)
        assert tree.ctl("pid", name).strip() == "0"
    eventually(lambda: "hello" in tree.ctl("tail", "w1"))
    tree.client.start(["w1"])
    tree.ctl("signal", "TERM", "w1")
    assert "started" in tree.ctl("restart", "cyme:web")
    assert "cyme:web" in tree.ctl("avail")


def test_a_respawn_boots_with_what_is_wanted_now(tree: SupervisedTree, tmp_path: Path) -> None:
    pid = tree.run("w1")
    marker = tmp_path / "marker"
    code = "import signal, sys\nopen(sys.argv[1], 'w').close()\nsignal.pause()"
    tree.launch("w1", python(code, str(marker)))
    os.kill(pid, signal.SIGKILL)
    eventually(marker.exists)


@pytest.mark.parametrize(
    "root", ["a b", "100%", "50%s %(x)s", "a[b]*?", "ünï", "it's", 'a"b', "a;b#c,d"]
)
def test_roots(make_tree: MakeTree, root: str) -> None:
    tree = make_tree(("branch",), root=root).start()
    pid = tree.run("w1")
    assert is_alive(pid)
    assert tree.pid_of("branch")
    eventually((tree.paths.instances / "w1" / "running.json").exists)
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0
    # What was written is read at the next start, too.
    tree.start()
    assert tree.state("w1") == "STOPPED"
    assert "w1" in tree.ctl("status")


def test_a_running_program_costs_no_more_descriptors_than_it_is_counted_as(
    tree: SupervisedTree,
) -> None:
    before = len(tree.descriptors())
    for number in range(5):
        tree.run(f"w{number}")
    most = descriptors_for(2005) - descriptors_for(2000)
    # Whoever has asked just now has a socket there for a moment longer.
    eventually(lambda: 0 < len(tree.descriptors()) - before <= most)


def test_a_child_gets_nothing_that_supervisord_has_open(tree: SupervisedTree) -> None:
    listing = "import os, time; print(os.listdir('/proc/self/fd'), flush=True); time.sleep(1000)"
    for number in range(3):
        tree.run(f"w{number}", python(listing))
    log = tree.paths.instances / "w2" / "worker.log"
    said = eventually(lambda: log.exists() and log.read_text())
    # The launcher's lock and the listing's own are the last.
    assert said.strip() == "['0', '1', '2', '3', '4']"


def test_as_many_are_closed_as_a_child_could_get() -> None:
    reading, writing = os.pipe()
    try:
        before = inherited()
        os.dup2(writing, 900, inheritable=False)
        assert inherited() == before
        os.set_inheritable(900, True)
        assert inherited() == 901
    finally:
        for fd in (reading, writing, 900):
            os.close(fd)


def test_a_call_is_answered_in_the_turn_in_which_it_comes(make_tree: MakeTree) -> None:
    tree = make_tree(extra=inside.conf("turns")).start()
    first = tree.client.call("turns.count")
    for _ in range(20):
        tree.client.extension()
    # One turn a call, in which the caller before has gone.
    assert tree.client.call("turns.count") - first <= 25


def test_a_caller_that_says_nothing_keeps_nobody_waiting(tree: SupervisedTree) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(tree.paths.supervisord_socket))
    with silent:
        assert tree.client.extension()["stopping"] is False
        silent.sendall(b"POST /RPC2 HTTP/1.0\r\n\r\n")
        assert silent.recv(100).startswith(b"HTTP/1.0 401")
        assert tree.client.extension()["stopping"] is False
