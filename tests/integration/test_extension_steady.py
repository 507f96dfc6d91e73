"""supervisorctl shows what it always did, though supervisord has a clock of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import eventually
from tests.tree import SupervisedTree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SupervisedTree]:
    tree = SupervisedTree(tmp_path / "r", programs=("web",))
    yield tree
    tree.end()


def test_when_programs_began_and_ended(tree: SupervisedTree) -> None:
    tree.start()
    tree.run("w1")
    tree.client.stop(["w1"])
    eventually(lambda: tree.state("w1") == "STOPPED")
    assert re.search(r"w1 +STOPPED +\w+ \d+ \d\d:\d\d [AP]M", tree.ctl("status", "w1"))
    eventually(lambda: re.search(r"pid \d+, uptime 0:00:\d\d", tree.ctl("status", "cyme:web")))
