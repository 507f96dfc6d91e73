"""Workers that hang, are deaf, or end again and again; and one beside them that is well."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import asking, lines, worker_pid
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, broker_of, either
from tests.acceptance.harness import BranchHost, unique
from tests.support import eventually

pytestmark = pytest.mark.timeout(180)
INTERVAL_S = 1
#: What a worker needs to start, beside the passes that it takes to see that it must.
START_S = 3
APP = '''\
"""A project that has its weaknesses."""

import os
import threading
import time

from celery import Celery
from celery.worker.control import control_command

app = Celery("weak")
app.conf.task_ignore_result = True

if "NOTE" in os.environ:
    with open(os.environ["NOTE"], "a") as file:
        file.write("started\\n")
if "LIFE_S" in os.environ:
    threading.Timer(float(os.environ["LIFE_S"]), os._exit, (1,)).start()


@control_command()
def go_deaf(state):
    state.consumer.call_soon(state.consumer.task_consumer.cancel)
    return {"ok": "deaf"}


@app.task
def work(path, seconds):
    with open(path, "a") as file:
        file.write("begun\\n")
    time.sleep(seconds)
    with open(path, "a") as file:
        file.write("done\\n")
'''


@pytest.fixture(scope="module", params=either(EMBEDDED, RABBITMQ))
def broker(request: pytest.FixtureRequest) -> str | None:
    return broker_of(request)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weak")
    (folder / "weak.py").write_text(APP)
    return folder


@pytest.fixture(scope="module")
def host(broker: str | None, folder: Path) -> Iterator[BranchHost]:
    intervals = ("--sup-interval", str(INTERVAL_S), "--wait-after-broker-revived", "1")
    with BranchHost(*intervals, broker=broker) as host:
        host.start()
        host.post("/weak/", 201, celery_app="weak:app", directory=str(folder), hung_timeout_s=5)
        host.make("weak", "bystander")
        yield host


@pytest.fixture(autouse=True)
def bystander(host: BranchHost) -> Iterator[None]:
    """One that is well stays as it is, whatever becomes of the others."""
    before = worker_pid(host, "bystander")
    yield
    assert host.pid("bystander") == before == worker_pid(host, "bystander")


@pytest.fixture
def name(host: BranchHost) -> Iterator[str]:
    name = unique("w")
    yield name
    host.delete(f"/weak/instances/{name}/", 200, force=True, timeout=30)


def conditions(host: BranchHost, name: str) -> dict[str, tuple[bool | None, str]]:
    shown = host.get(f"/weak/instances/{name}/")["conditions"]
    return {each["type"]: (each["status"], each["reason"]) for each in shown}


def is_replaced(host: BranchHost, name: str, before: int) -> bool:
    shown = host.get(f"/weak/instances/{name}/")
    return bool(shown["ready"] and shown["pid"] not in (None, before))


def test_one_that_was_stopped_is_replaced(host: BranchHost, name: str) -> None:
    before = host.make("weak", name)["pid"]
    os.kill(before, signal.SIGSTOP)

    eventually(lambda: is_replaced(host, name, before), 4 * INTERVAL_S + START_S)

    assert host.mains(name) == [worker_pid(host, name)]


@pytest.mark.faults
def test_a_busy_solo_worker_is_left_alone(host: BranchHost, name: str, tmp_path: Path) -> None:
    before = host.make("weak", name, pool="solo")["pid"]
    note = tmp_path / "note"
    send(host, name, str(note), 12)
    eventually(lambda: lines(note) == ["begun"])

    eventually(lambda: conditions(host, name).get("Unknown") == (True, "Silent"), 8)
    eventually(lambda: lines(note) == ["begun", "done"], 20)

    eventually(lambda: host.is_ready("weak", name), 10)
    assert host.pid(name) == before


@pytest.mark.faults
def test_one_that_is_deaf_is_replaced(host: BranchHost, name: str, tmp_path: Path) -> None:
    before = host.make("weak", name)["pid"]
    note = tmp_path / "note"
    with asking(host.broker) as app:
        app.control.broadcast("go_deaf", destination=[f"{name}@{host.id}"], reply=True)
    send(host, name, str(note), 0)

    eventually(lambda: is_replaced(host, name, before), 60)

    eventually(lambda: lines(note) == ["begun", "done"], 10)


@pytest.mark.faults
@pytest.mark.parametrize("life_s", ["0.5", "3", "11"])
def test_one_that_ends_again_and_again(
    host: BranchHost, folder: Path, tmp_path: Path, life_s: str
) -> None:
    note, name, app = tmp_path / "note", unique("w"), unique("app")
    environment = {"NOTE": str(note), "LIFE_S": life_s}
    host.post(
        f"/{app}/", 201, celery_app="weak:app", directory=str(folder), environment=environment
    )
    host.post(f"/{app}/instances/!/{name}/", 202)
    try:

        def is_held() -> bool:
            shown = host.get(f"/{app}/instances/{name}/")
            reasons = {each["reason"] for each in shown["conditions"]}
            return "RestartsTooOften" in reasons and shown["state"] == "STOPPED"

        eventually(is_held, 120, every_s=0.2)
        assert len(lines(note)) <= 8
    finally:
        host.delete(f"/{app}/instances/{name}/", 200, force=True, timeout=30)


def send(host: BranchHost, name: str, *words: object) -> None:
    with asking(host.broker) as app:
        app.send_task("weak.work", words, queue=f"dq.{name}")
