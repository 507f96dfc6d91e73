"""Section files that somebody has cut, broken or put there: others are unaffected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cyme_supd.supervisord.repair import repair
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat
from tests.support import eventually
from tests.tree import SupervisedTree

pytestmark = [pytest.mark.rows, pytest.mark.timeout(1200)]

#: By file: what keeps supervisord from starting, or makes of it what nobody asked for.
HOSTILE: dict[str, bytes] = {
    "percent.conf": b"[program:x1]\ncommand=/bin/sleep 9%\n",
    "variable.conf": b"[program:x2]\ncommand=/bin/sleep %(ENV_NO_SUCH)s\n",
    "no-command.conf": b"[program:x3]\n",
    "no-section.conf": b"command=/bin/sleep 9\n",
    "half-section.conf": b"[program:x4\ncommand=/bin/sleep 9\n",
    "number.conf": b"[program:x5]\ncommand=/bin/sleep 9\nnumprocs=many\n",
    "twice.conf": b"[program:x6]\ncommand=/bin/a\n[program:x6]\ncommand=/bin/b\n",
    "option-twice.conf": b"[program:x7]\ncommand=/bin/a\ncommand=/bin/b\n",
    "numprocs.conf": b"[program:x8]\ncommand=/bin/sleep 9\nnumprocs=2\n",
    "user.conf": b"[program:x9]\ncommand=/bin/sleep 9\nuser=nobody-is-called-that\n",
    "quotes.conf": b'[program:x10]\ncommand=/bin/sh -c "\n',
    "environment.conf": b"[program:x11]\ncommand=/bin/sleep 9\nenvironment=A\n",
    "signal.conf": b"[program:x12]\ncommand=/bin/sleep 9\nstopsignal=NONE\n",
    "directory.conf": b"[program:x13]\ncommand=/bin/sleep 9\nstdout_logfile=/no/such/folder/l\n",
    "binary.conf": bytes(range(256)),
    "latin.conf": "[program:x14]\ncommand=/bin/sleep 9 \u00e9\n".encode("latin-1"),
    "nul.conf": b"[program:x15]\ncommand=/bin/sleep\0 9\n",
    "group.conf": b"[group:x16]\nprograms=no-such\n",
    "listener.conf": b"[eventlistener:x17]\ncommand=/bin/cat\nevents=NO_SUCH\n",
    "fcgi.conf": b"[fcgi-program:x18]\ncommand=/bin/cat\nsocket=nonsense\n",
    # Sections of one name are merged, whichever file they are in.
    "merge.conf": b"[program:w1]\ncommand=/bin/echo merged\nautostart=true\n",
    "tree.conf": b"[program:cyme-web]\ncommand=/bin/echo merged\n",
    "our-group.conf": b"[group:cyme]\nprograms=cyme-branch\n",
    "daemon.conf": b"[supervisord]\nuser=nobody\nlogfile=/dev/null\n",
    "server.conf": b"[inet_http_server]\nport=*:0\n",
    "socket.conf": b"[unix_http_server]\nfile=/tmp/no-such-folder/s\n",
    "extension.conf": b"[rpcinterface:cyme]\nsupervisor.rpcinterface_factory=os:getcwd\n",
    "include.conf": b"[include]\nfiles=/etc/passwd\n",
    "default.conf": b"[DEFAULT]\nautostart=true\n",
    "whole.conf": b"[program:x19]\ncommand=/bin/sleep 9\n[inet_http_server]\nport=*:0\n",
    "empty.conf": b"",
}
#: What of these is nobody's business but supervisord's.
HARMLESS = {"empty.conf", "twice.conf", "option-twice.conf", "quotes.conf"}


@pytest.fixture
def tree(tmp_path: Path) -> SupervisedTree:
    tree = SupervisedTree(tmp_path / "r", programs=("web",))
    tree.sections.write("w1", 20)
    return tree


def test_cut_at_every_offset(tree: SupervisedTree) -> None:
    path = tree.paths.sections / "w1.conf"
    whole = path.read_bytes()
    lengths = range(0, len(whole), 1 if RUNS > 1 else 7)
    for length in lengths:
        path.write_bytes(whole[:length])
        # As cyme-branch does: first those that it knows of, then the rest.
        tree.sections.write("w1", 20)
        assert repair(tree.sections) == [], length
        assert path.read_bytes() == whole
        # The same of one that it does not know any more.
        path.write_bytes(whole[:length])
        repair(tree.sections)
        assert not path.exists() or is_whole(path.read_bytes(), whole)
        path.unlink(missing_ok=True)
        path.with_name("w1.conf.bad").unlink(missing_ok=True)
    row = Row("section cut at every offset", "", 0, 13)
    row.note = f"{len(lengths)} of {len(whole)} offsets"
    row.check()


def is_whole(found: bytes, whole: bytes) -> bool:
    """Whether it is nothing to supervisord, or a section as they all are."""
    timeout = re.compile(rb"^stopwaitsecs=\d+$", re.M)
    return b"[" not in found or timeout.sub(b"", found) == timeout.sub(b"", whole)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_put_aside(name: str, tree: SupervisedTree) -> None:
    path = tree.paths.sections / name
    path.write_bytes(HOSTILE[name])
    lines = repair(tree.sections)
    if name in HARMLESS:
        assert lines == []
        return
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert not path.exists()
    assert path.with_name(f"{name}.bad").read_bytes() == HOSTILE[name]


def test_supervisord_starts_with_all_of_them(tree: SupervisedTree) -> None:
    for name, content in HOSTILE.items():
        (tree.paths.sections / name).write_bytes(content)
    repair(tree.sections)
    try:
        tree.start()
        assert tree.run("w1")
        assert tree.program("w1")["ours"]
    finally:
        tree.end()
    row = Row("hostile section files", "", 0, 14)
    row.note = f"{len(HOSTILE)} of {len(HOSTILE)} files"
    row.check()


@pytest.mark.faults
def test_while_the_branch_runs(fleet: Fleet, broker_name: str) -> None:
    """All of them at once, and the section of one worker cut: it is started anew from it."""
    sections = fleet.host.root / "conf.d"

    def break_(number: int) -> Hit:
        name = f"w{1 + number % 3}"
        own = sections / f"{name}.conf"
        for each, content in HOSTILE.items():
            (sections / each).write_bytes(content)
        own.write_bytes(own.read_bytes()[: 10 * number % 900])
        pid = fleet.pids()[name]
        hit = Hit.now(name)
        fleet.host.post(f"/yard/instances/{name}/", stop_timeout_s=100 + number)
        fleet.host.post(f"/yard/instances/{name}/disable/")
        fleet.host.post(f"/yard/instances/{name}/enable/")
        eventually(lambda: fleet.pids()[name] != pid)
        for each in HOSTILE:
            (sections / each).unlink()
        return hit

    repeat(Row("hostile files beside running ones", broker_name, 15, 15), fleet, break_).check()


@pytest.mark.faults
def test_a_branch_that_starts_on_them(fleet: Fleet, broker_name: str) -> None:
    sections = fleet.host.root / "conf.d"

    def restart(number: int) -> Hit:
        fleet.host.end()
        for each, content in HOSTILE.items():
            (sections / each).write_bytes(content)
        own = sections / "w2.conf"
        own.write_bytes(own.read_bytes()[: 29 * number])
        fleet.host.output.write_bytes(b"")
        fleet.host.start()
        said = fleet.host.output.read_text(errors="replace")
        for each in set(HOSTILE) - HARMLESS:
            assert f"{each} was moved aside" in said
        for path in (*sections.glob("*.bad"), *(sections / each for each in HARMLESS)):
            path.unlink()
        return Hit.now("cyme:broker", "cyme:web", "cyme:branch", *fleet.wanted)

    repeat(Row("branch started on hostile files", broker_name, 20, 16), fleet, restart).check()
