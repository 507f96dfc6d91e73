"""Whose a program of supervisord's is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyme_supd.supervisord import MARKER, TREE
from cyme_supd.supervisord.owning import is_cymes, is_ours
from cyme_supd.supervisord.rendering import launch_command


def group(name: str, command: str, mark: str | None, process: str | None = None) -> Any:
    environment = None if mark is None else {MARKER: mark}
    config = SimpleNamespace(command=command, environment=environment)
    processes = {process or name: SimpleNamespace(config=config)}
    return SimpleNamespace(config=SimpleNamespace(name=name), processes=processes)


@pytest.mark.parametrize("root", ["/srv/cyme", "/srv/two words", "/srv/it's"])
def test_what_a_section_of_ours_runs(root: str) -> None:
    command = launch_command("/usr/bin/python3", Path(root) / "instances" / "w1")
    assert is_ours(group("w1", command, "w1"))
    assert not is_ours(group("w2", command, "w2"))


def test_what_is_somebody_elses() -> None:
    command = launch_command("/usr/bin/python3", Path("/srv/cyme/instances/w1"))
    assert not is_ours(group("w1", command, None))
    assert not is_ours(group("w1", command, "w2"))
    assert not is_ours(group("w1", command, "w1", process="other"))
    # Another section of that name, which was read later, has its command in place of ours.
    assert not is_ours(group("w1", "/bin/sleep 1000", "w1"))


def test_the_tree_is_cymes() -> None:
    tree = group(TREE, "/bin/true", None, process="web")
    assert is_cymes(tree)
    assert not is_ours(tree)
