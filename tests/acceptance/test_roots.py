"""Where a branch can live, and what lies around there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import worker_pid
from tests.acceptance.harness import BranchHost, cyme_branch

pytestmark = pytest.mark.timeout(60)

WORK = {
    "a space": "a root",
    "percent": "100%root%(x)s",
    "a bracket": "ro[o]t",
    "unicode": "wurzel-\u00e4\u5de5",
    "quotes and more": "r;o'o\"t*$HOME",
}
#: Each by itself only where there is time for it.
NAMES = [
    # supervisord finds files with white space or with a pattern in their names, not with both.
    pytest.param("a root 100%root%(x)s wurzel-\u00e4\u5de5 r;o'o\"t$HOME", id="all with spaces"),
    pytest.param("100%root%(x)s-ro[o]t-wurzel-\u00e4\u5de5-r;o'o\"t*$HOME", id="all with patterns"),
    *(pytest.param(name, id=id, marks=pytest.mark.faults) for id, name in WORK.items()),
]
REFUSED = {
    "120 characters": "r" * 120,
    "a line break": "ro\not",
}


@pytest.fixture
def here() -> Iterator[BranchHost]:
    """A short folder to make roots in."""
    with BranchHost() as host:
        yield host


@pytest.mark.parametrize("name", NAMES)
def test_it_works_or_says_why_not(name: str) -> None:
    with BranchHost(name=name) as host:
        host.launch()
        if not came_up(host):
            check_refusal(host.wait(), host.output.read_text())
            return
        host.post("/foo/", 201)
        made = host.make("foo", "w1")
        assert host.programs()["w1"].pid == made["pid"] == worker_pid(host, "w1")
        # It is known to supervisord from its file, too, not only from us.
        assert "No config updates" in host.supervisorctl("reread").stdout
        assert host.supervisorctl("update").stdout == ""
        assert host.pid("w1") == made["pid"]


def came_up(host: BranchHost) -> bool:
    try:
        host.await_up()
    except RuntimeError:
        return False
    return True


def check_refusal(code: int, said: str) -> None:
    assert code == 2, said
    assert said.startswith("cyme-branch: ")
    assert len(said.splitlines()) == 1, said
    assert "--instance-dir" in said


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused(name: str, here: BranchHost) -> None:
    done = cyme_branch(f":{here.port}", "-D", str(here.folder / name), cwd=here.folder)
    check_refusal(done.returncode, done.stderr)
    assert not (here.folder / name).exists()


def test_a_root_that_is_a_file(here: BranchHost) -> None:
    (here.folder / "root").write_text("mine")
    done = cyme_branch(f":{here.port}", "-D", str(here.root), cwd=here.folder)
    check_refusal(done.returncode, done.stderr)
    assert (here.folder / "root").read_text() == "mine"


def test_what_lies_in_the_current_directory_changes_nothing(tmp_path: Path) -> None:
    for name in ("json", "celery", "supervisor", "cyme_supd", "socket", "logging", "site"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('the wrong one')\n")
    with BranchHost(cwd=tmp_path) as host:
        host.start()
        host.post("/foo/", 201)
        made = host.make("foo", "w1")
        assert worker_pid(host, "w1") == made["pid"]
        assert "the wrong one" not in host.output.read_text()


def test_the_default_root_is_below_the_current_directory() -> None:
    with BranchHost() as host:
        host.root = host.folder / "instances"
        host.spawn(f":{host.port}")
        host.await_up()
        assert host.settings["root"] == str(host.root)
        assert host.root.stat().st_mode & 0o777 == 0o700
