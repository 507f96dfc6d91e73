"""What the extension tells of changes, and how soon."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.errors import Internal, Unavailable
from tests import inside
from tests.support import eventually
from tests.tree import SLEEP, SupervisedTree, python

MakeTree = Callable[..., SupervisedTree]
LONG_S = 50.0


@pytest.fixture
def restless(make_tree: MakeTree) -> SupervisedTree:
    """A supervisord whose loop sleeps until something wakes it."""
    return make_tree(extra=inside.conf("sleep_on")).start()


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(40) as executor:
        yield executor


def waiting(
    tree: SupervisedTree,
    pool: ThreadPoolExecutor,
    count: int = 1,
    stop: threading.Event | None = None,
) -> list[Future[Any]]:
    """Calls that wait inside supervisord for something to change."""
    position = tree.position()
    sent = [threading.Event() for _ in range(count)]

    def call(was_sent: threading.Event) -> Any:
        def is_cancelled() -> bool:
            was_sent.set()
            return stop is not None and stop.is_set()

        return tree.client.changes(position, LONG_S, is_cancelled)

    calls = [pool.submit(call, was_sent) for was_sent in sent]
    assert all(was_sent.wait(10) for was_sent in sent)
    # It reads what came first first: after this answer it has read all of them.
    tree.client.extension()
    return calls


def test_everything_comes_first(make_tree: MakeTree) -> None:
    tree = make_tree(("web", "branch")).start()
    tree.run("w1")
    answer = tree.client.changes("", LONG_S)
    assert answer is not None
    assert answer["full"] is True
    found = {(record["group"], record["name"]) for record in answer["programs"]}
    assert found == {("cyme", "web"), ("cyme", "branch"), ("w1", "w1")}
    assert answer["position"] == f"{answer['epoch']}:{answer['version']}"


def test_then_only_what_changed(tree: SupervisedTree) -> None:
    tree.run("w1")
    tree.run("w2")
    position = tree.position()
    tree.client.stop(["w2"])
    answer = tree.client.changes(position, LONG_S)
    assert answer is not None
    assert answer["full"] is False
    assert [record["name"] for record in answer["programs"]] == ["w2"]


def test_nothing_changed_in_time(tree: SupervisedTree) -> None:
    tree.run("w1")
    position = tree.position()
    answer = tree.client.changes(position, 0)
    assert answer is not None
    assert (answer["programs"], answer["removed"], answer["position"]) == ([], [], position)


def test_removal_is_told(tree: SupervisedTree) -> None:
    tree.launch("w1", SLEEP)
    tree.programs.apply("w1", 5)
    position = tree.position()
    tree.client.remove(["w1"])
    answer = tree.client.changes(position, LONG_S)
    assert answer is not None
    assert (answer["programs"], answer["removed"]) == ([], ["w1"])


def test_what_came_back_is_not_told_as_removed(tree: SupervisedTree) -> None:
    tree.launch("w1", SLEEP)
    tree.programs.apply("w1", 5)
    position = tree.position()
    tree.client.remove(["w1"])
    tree.programs.apply("w1", 7)
    answer = tree.client.changes(position, LONG_S)
    assert answer is not None
    assert answer["removed"] == []
    assert [record["stop_timeout_s"] for record in answer["programs"]] == [7]


@pytest.mark.parametrize("position", ["", "nonsense", "1-2:3", "EPOCH:x", "EPOCH:-1", "EPOCH:999"])
def test_a_position_that_is_none_gets_everything(tree: SupervisedTree, position: str) -> None:
    tree.run("w1")
    epoch = tree.client.extension()["epoch"]
    answer = tree.client.changes(position.replace("EPOCH", epoch), LONG_S)
    assert answer is not None
    assert answer["full"] is True


def test_another_epoch_gets_everything(tree: SupervisedTree) -> None:
    tree.run("w1")
    position = tree.position()
    tree.signal(signal.SIGTERM)
    tree.wait()
    tree.start()
    answer = tree.client.changes(position, LONG_S)
    assert answer is not None
    assert answer["full"] is True
    assert answer["epoch"] != position.rpartition(":")[0]


def test_a_killed_program_is_respawned_while_the_loop_would_sleep(
    restless: SupervisedTree, tmp_path: Path
) -> None:
    """Nothing is asked of it meanwhile: a question would wake it, too."""
    starts = tmp_path / "starts"
    code = (
        "import os, signal, sys\nopen(sys.argv[1], 'a').write(f'{os.getpid()}\\n')\nsignal.pause()"
    )
    restless.run("w1", python(code, str(starts)))
    eventually(starts.exists)
    first = eventually(starts.read_text).strip()
    os.kill(int(first), signal.SIGKILL)
    pids = eventually(lambda: len(found := starts.read_text().split()) == 2 and found)
    assert pids[0] == first != pids[1]


def test_waiting_calls_are_answered_while_the_loop_would_sleep(
    restless: SupervisedTree, pool: ThreadPoolExecutor
) -> None:
    pid = restless.run("w1")
    calls = waiting(restless, pool, 30)
    os.kill(pid, signal.SIGKILL)
    for call in calls:
        answer = call.result(LONG_S / 2)
        assert [record["name"] for record in answer["programs"]] == ["w1"]


def test_callers_that_vanish_leave_nothing(
    restless: SupervisedTree, pool: ThreadPoolExecutor
) -> None:
    pid = restless.run("w1")
    stop = threading.Event()
    calls = waiting(restless, pool, 20, stop)
    assert restless.sockets() >= 20
    stop.set()
    assert [call.result(LONG_S / 2) for call in calls] == [None] * 20
    eventually(lambda: restless.sockets() == 1)
    (call,) = waiting(restless, pool)
    os.kill(pid, signal.SIGKILL)
    assert call.result(LONG_S / 2)["programs"]


def test_half_a_request_hurts_nobody(restless: SupervisedTree) -> None:
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(restless.paths.supervisord_socket))
        half.sendall(b"POST /RPC2 HTTP/1.1\r\nContent-Length: 1000\r\n\r\n<?xml")
        assert restless.client.extension()


def test_a_large_answer_arrives_whole(restless: SupervisedTree, pool: ThreadPoolExecutor) -> None:
    names = [f"w{number}-{'x' * 100}" for number in range(120)]
    for name in names:
        restless.sections.write(name, 5)
    (call,) = waiting(restless, pool)
    restless.client.apply(names)
    assert {record["name"] for record in call.result(LONG_S / 2)["programs"]} == set(names)


def test_a_name_that_is_not_ascii_arrives(make_tree: MakeTree, pool: ThreadPoolExecutor) -> None:
    extra = "\n[program:nämé]\ncommand=/bin/sleep 1000\nautostart=false\n"
    tree = make_tree(extra=extra).start()
    (call,) = waiting(tree, pool)
    assert "started" in tree.ctl("start", "nämé")
    (record,) = call.result(LONG_S / 2)["programs"]
    assert record["name"] == "n\\xe4m\\xe9"


def test_an_error_in_a_callback_is_survived(make_tree: MakeTree) -> None:
    tree = make_tree(extra=inside.conf("break_journal")).start()
    first = tree.run("w1")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: tree.pid_of("w1") not in (0, first))
    assert "sabotage" in tree.log()


def test_without_that_care_it_would_end_supervisord(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",), extra=inside.conf("raise_in_event")).start()
    assert tree.wait() != 0


def test_a_mistake_in_a_method_is_not_the_callers(make_tree: MakeTree) -> None:
    tree = make_tree(extra=inside.conf("break_methods")).start()
    with pytest.raises(Internal, match=r"FAILED.*a mistake of ours"):
        tree.client.changes("", 0)
    assert "a mistake of ours" in tree.log()


def test_arguments_are_checked(tree: SupervisedTree) -> None:
    with pytest.raises(Internal, match="INCORRECT_PARAMETERS"):
        tree.client.call("cyme.changes", "", 0, "more")
    with pytest.raises(Internal, match="INCORRECT_PARAMETERS"):
        tree.client.call("cyme.stopPrograms", "w1")


def test_a_method_that_is_not_there(tree: SupervisedTree) -> None:
    with pytest.raises(Unavailable, match="UNKNOWN_METHOD"):
        tree.client.call("cyme.fly")
