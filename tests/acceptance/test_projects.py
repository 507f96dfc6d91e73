"""A Celery project of somebody's own, in its own folder, on the branch's broker."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import celery
import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import ask_worker, has_queue, lines, produce, write_project
from tests.acceptance.harness import BIN, BranchHost, plain_environment, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
LIBRARY = str(Path(celery.__file__).parents[1])


@pytest.fixture
def app() -> str:
    """The name of an app that a test makes; it lives as long as its branch."""
    return unique("house")


@pytest.fixture(scope="module")
def alone() -> Iterator[BranchHost]:
    """A branch for what does not depend on the broker."""
    with BranchHost() as host:
        yield host.start()


def make(host: BranchHost, app: str, project: Path, **values: Any) -> str:
    """The name of an instance of an app of *project* that is made with *values*."""
    said = {"celery_app": "house:app", "directory": str(project), **values}
    host.post(f"/{app}/", 201, **said)
    name = unique("w")
    host.make(app, name)
    return name


def test_its_tasks_run_on_the_branch_s_broker(
    host: BranchHost, app: str, project: Path, tmp_path: Path
) -> None:
    worker = make(host, app, project)
    produce(project, host.broker, "write", f"dq.{worker}", note := tmp_path / "note", "hello")
    eventually(lambda: lines(note) == ["hello"])
    at = ask_worker(host, worker, "stats")["broker"]
    url = urlsplit(host.broker)
    assert (at["hostname"], at["port"], at["transport"]) == (url.hostname, url.port, url.scheme)
    assert "house.write" in ask_worker(host, worker, "registered")


def test_a_producer_may_name_exchange_and_routing_key(
    host: BranchHost, app: str, project: Path, tmp_path: Path
) -> None:
    worker = make(host, app, project)
    note = tmp_path / "note"
    produce(project, host.broker, "write", f"dq.{worker}", note, "hello", form="exchange")
    eventually(lambda: lines(note) == ["hello"])


def test_a_task_that_was_sent_before_its_worker_was_made(
    host: BranchHost, app: str, project: Path, tmp_path: Path
) -> None:
    name, note = unique("early"), tmp_path / "note"
    produce(project, host.broker, "write", f"dq.{name}", note, "hello")
    host.post(f"/{app}/", 201, celery_app="house:app", directory=str(project))
    host.make(app, name)
    eventually(lambda: lines(note) == ["hello"])


def test_the_queue_goes_with_its_instance(host: BranchHost, app: str, project: Path) -> None:
    worker = make(host, app, project)
    assert has_queue(host.broker, f"dq.{worker}")
    host.delete(f"/{app}/instances/{worker}/")
    eventually(lambda: not has_queue(host.broker, f"dq.{worker}"))


def test_its_folder_its_environment_and_its_settings(
    alone: BranchHost, app: str, project: Path, tmp_path: Path
) -> None:
    worker = make(
        alone,
        app,
        project,
        environment={"HOUSE": 'of "cards"; 100%', "EMPTY": ""},
        arguments="--prefetch-multiplier=7",
        extra_config={"result_expires": 1234, "task_default_priority": 3},
        stop_timeout_s=33,
    )
    note = tmp_path / "note"
    produce(project, alone.broker, "look", f"dq.{worker}", note, "HOUSE")
    eventually(lambda: lines(note) == [f'{project} of "cards"; 100%'])
    conf, stats = ask_worker(alone, worker, "conf"), ask_worker(alone, worker, "stats")
    assert (conf["result_expires"], conf["task_default_priority"]) == (1234, 3)
    assert stats["prefetch_count"] == 7
    assert "stopwaitsecs=33\n" in (alone.root / "conf.d" / f"{worker}.conf").read_text()
    shown = alone.get(f"/{app}/")
    assert shown["environment"] == {"HOUSE": "********", "EMPTY": "********"}


def test_an_instance_s_own_settings_win(alone: BranchHost, app: str, project: Path) -> None:
    alone.post(
        f"/{app}/",
        201,
        celery_app="house:app",
        directory=str(project),
        extra_config="result_expires=1 task_default_priority=1",
        arguments="--prefetch-multiplier=2",
    )
    name = unique("w")
    alone.make(app, name, extra_config="result_expires=2", arguments=["--prefetch-multiplier", "5"])
    conf = ask_worker(alone, name, "conf")
    assert (conf["result_expires"], conf["task_default_priority"]) == (2, 1)
    assert ask_worker(alone, name, "stats")["prefetch_count"] == 5


def test_the_celery_of_another_environment(
    alone: BranchHost, app: str, project: Path, tmp_path: Path
) -> None:
    note, command = tmp_path / "note", tmp_path / "celery of theirs"
    command.write_text(f'#!/bin/sh\necho "$0" >> "{note}"\nexec "{BIN}/celery" "$@"\n')
    command.chmod(0o755)
    worker = make(alone, app, project, command=str(command))
    assert lines(note) == [str(command)]
    assert ask_worker(alone, worker, "ping") == {"ok": "pong"}


def python_for(user: str) -> str | None:
    """A Python that can run our celery as *user*; None where there is none.

    The one that runs the tests may live in somebody's home.
    """
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            done = subprocess.run(
                [python, "-c", "import celery, amqp"],
                user=user,
                env={**plain_environment(), "PYTHONPATH": LIBRARY},
                cwd="/",
                capture_output=True,
            )
            if done.returncode == 0:
                return python
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a worker as somebody else")
def test_its_user(alone: BranchHost, app: str, rabbitmq_url: str) -> None:
    python = python_for("nobody")
    if python is None:
        pytest.skip("no Python here that nobody may run")
    nobody = pwd.getpwnam("nobody")
    folder = Path("/tmp", unique("cyhouse"))
    project = write_project(folder / "house")
    command = folder / "celery"
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH="{LIBRARY}:$PYTHONPATH" exec "{python}" -m celery "$@"\n'
    )
    command.chmod(0o755)
    try:
        os.chown(project, nobody.pw_uid, nobody.pw_gid)
        worker = make(alone, app, project, user="nobody", command=str(command), broker=rabbitmq_url)
        main = alone.pid(worker)
        assert processes.uids(main) == {nobody.pw_uid}
        note = project / "note"
        produce(project, rabbitmq_url, "write", f"dq.{worker}", note, "hello")
        eventually(lambda: lines(note) == ["hello"])
        assert note.stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(folder)


def test_what_it_imports_is_its_own(alone: BranchHost, app: str, tmp_path: Path) -> None:
    """Modules beside it, with any names, are imported from its folder."""
    project = write_project(tmp_path / "house")
    (project / "settings.py").write_text("NAME = 'ours'\n")
    (project / "house.py").write_text(
        (project / "house.py").read_text() + "\nimport settings\n\nnote_name = settings.NAME\n"
    )
    worker = make(alone, app, project)
    assert ask_worker(alone, worker, "ping") == {"ok": "pong"}
