from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.seal import Seal, make_key
from cyme_supd.supervisord.rendering import LAUNCHER
from tests.dispatching import Dispatcher, dispatching
from tests.launching import Launch
from tests.tree import SupervisedTree


@pytest.fixture
def make_tree(tmp_path: Path) -> Iterator[Callable[..., SupervisedTree]]:
    """Makes trees that are not started yet, and ends what is left of them."""
    made: list[SupervisedTree] = []

    def make(*args: Any, root: str = "r", **kwargs: Any) -> SupervisedTree:
        tree = SupervisedTree(tmp_path / root, *args, **kwargs)
        made.append(tree)
        return tree

    yield make
    for tree in made:
        tree.end()


@pytest.fixture
def tree(make_tree: Callable[..., SupervisedTree]) -> SupervisedTree:
    """A running supervisord without programs."""
    return make_tree().start()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "w1"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As a branch has it, with an instance."""
    root = tmp_path / "root"
    (root / "instances" / "w1").mkdir(parents=True)
    return root


@pytest.fixture
def seal(root: Path) -> Seal:
    """Of the root's key of runners."""
    return Seal(make_key(root / "runner.key"))


@pytest.fixture(params=["valkey", "rabbitmq"])
def dispatcher(request: pytest.FixtureRequest, seal: Seal) -> Iterator[Dispatcher]:
    with dispatching(request.getfixturevalue(f"{request.param}_url"), seal) as dispatcher:
        yield dispatcher


@pytest.fixture
def launcher() -> Path:
    return Path(LAUNCHER)


@pytest.fixture
def start(folder: Path, launcher: Path) -> Iterator[Launch]:
    """Writes the launch file and runs the launcher; ends what it became."""
    started: list[subprocess.Popen[bytes]] = []

    def start(argv: list[str] | None = None, **wanted: Any) -> subprocess.Popen[bytes]:
        env = {**os.environ, **wanted.pop("inherited", {})}
        if argv is not None:
            content = {"argv": argv, "identity": "i1", **wanted}
            # By rename, as it is in the product: an earlier one may be reading it.
            new = folder / "launch.json.new"
            new.write_text(json.dumps(content))
            new.replace(folder / "launch.json")
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(launcher), str(folder)],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()
