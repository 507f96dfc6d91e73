"""The branch's one log."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.support import eventually
from tests.tree import SupervisedTree, python

MakeTree = Callable[..., SupervisedTree]

#: Writes its arguments, each at once, and ends with a word on SIGTERM.
SAYS = """
import os, signal, sys
def end(*_):
    os.write(1, b'good bye')
    os._exit(0)
signal.signal(signal.SIGTERM, end)
for words in sys.argv[1:]: os.write(1, words.encode('latin-1'))
while True: signal.pause()
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("one", "two", "good"))]


def test_lines_of_the_branch_are_shown_as_they_came(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",), loglevel="ERROR")
    tree.launch_tree("branch", python(SAYS, "one 100% %s\nt", "wo: \xc3\xa9\nun", "finished"))
    tree.start()
    expected = ["one 100% %s", "two: é"]
    eventually(lambda: lines(tree.log()) == expected and lines(tree.output.read_text()) == expected)
    own = (tree.paths.logs / "branch.log").read_text()
    assert own == "one 100% %s\ntwo: é\nunfinished"


def test_the_last_word_before_the_end(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",))
    tree.launch_tree("branch", python(SAYS, "one\n"))
    tree.start()
    eventually(lambda: lines(tree.log()) == ["one"])
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0
    assert lines(tree.log()) == ["one", "good bye"]
    assert lines(tree.output.read_text()) == ["one", "good bye"]


def test_what_one_left_unfinished_is_not_its_successors(make_tree: MakeTree) -> None:
    tree = make_tree(("web",))
    tree.launch_tree("web", python(SAYS, "one\ntwo and no end"))
    tree.start()
    eventually(lambda: lines(tree.log()) == ["one"])
    os.kill(tree.pid_of("web"), signal.SIGKILL)
    eventually(lambda: lines(tree.log()) == ["one", "two and no end", "one"])


def test_broken_bytes_and_endless_lines(make_tree: MakeTree) -> None:
    tree = make_tree(("web",))
    code = (
        "import os, signal\n"
        "os.write(1, b'one \\xff\\n')\n"
        "os.write(1, b'x' * 200_000)\n"
        "signal.pause()\n"
    )
    tree.launch_tree("web", python(code))
    tree.start()
    eventually(lambda: lines(tree.log()) == ["one \\xff"])
    eventually(lambda: tree.log().count("x" * 65536) >= 3)
    assert tree.client.extension()


def test_the_broker_and_workers_keep_to_their_own(make_tree: MakeTree) -> None:
    tree = make_tree(("broker",))
    tree.launch_tree("broker", python(SAYS, "one\n"))
    tree.start()
    tree.run("w1", python(SAYS, "two\n"))
    broker, worker = tree.paths.logs / "broker.log", tree.paths.instances / "w1" / "worker.log"
    eventually(lambda: (broker.read_text(), worker.read_text()) == ("one\n", "two\n"))
    assert lines(tree.log()) == []


def test_files_are_private(make_tree: MakeTree) -> None:
    tree = make_tree(("branch",)).start()
    tree.run("w1")
    eventually((tree.paths.instances / "w1" / "worker.pid").exists)
    files = [path for path in tree.paths.root.rglob("*") if path.is_file()]
    written = [path for path in files if path.suffix in {".log", ".pid", ".conf"}]
    written.remove(tree.paths.supervisord_conf)
    assert len(written) >= 5
    assert [oct(path.stat().st_mode) for path in written if path.stat().st_mode & 0o077] == []
