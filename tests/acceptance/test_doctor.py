"""The installed ``cyme doctor`` beside a branch that is well, and one that is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import BIN, BranchHost, plain_environment, unique
from tests.services import free_port
from tests.support import eventually

WITHIN_S = 60.0
#: Three rounds and a start of Python, on a host that has other things to do.
LASTS_S = 30.0

Found = list[dict[str, str]]


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("-i", "branch1") as host:
        host.start()
        host.post("/foo/", 201)
        host.make("foo", "w1")
        yield host


def doctor(host: BranchHost) -> tuple[int, Found]:
    """Its exit code, and the JSON that a pipe gets."""
    ended = subprocess.run(
        [str(BIN / "cyme"), "doctor", "-D", str(host.root)],
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LASTS_S,
    )
    assert ended.stderr == "", ended
    return ended.returncode, json.loads(ended.stdout)


def errors(found: Found) -> dict[str, str]:
    return {each["what"]: each["message"] for each in found if each["level"] == "error"}


def test_a_branch_that_is_well(host: BranchHost) -> None:
    code, found = doctor(host)
    assert (code, errors(found)) == (0, {})
    fine = {each["what"] for each in found if each["level"] == "ok"}
    assert fine >= {"root", "versions", "rights", "disk", "supervisord", "web", "store", "broker"}
    assert fine >= {"branch", "orphans"}
    # Whatever is said of a host's clock, nothing else is worth a word.
    assert {each["what"] for each in found if each["level"] == "warning"} <= {"clock"}
    assert host.settings["supervisor_password"] not in str(found)


def test_a_broker_of_an_app_that_is_dead(host: BranchHost) -> None:
    dead = f"redis://:s3cret@127.0.0.1:{free_port()}/0"
    host.post("/bar/", 201, broker=dead)
    host.post("/bar/instances/!/b1/", 202)
    code, found = doctor(host)
    assert (code, list(errors(found))) == (1, ["broker"])
    assert "s3cret" not in str(found)
    # Its broker is down: that it is gone is not waited for.
    host.delete("/bar/", 202, force=1)
    eventually(lambda: doctor(host)[0] == 0, WITHIN_S, every_s=1.0)


def test_messages_that_nobody_consumes(host: BranchHost) -> None:
    app = unique("left")
    host.post(f"/{app}/", 201)
    host.post(f"/{app}/queues/waste/", 201)
    host.post(f"/{app}/queue/waste/http://127.0.0.1:{free_port()}/", 202)
    _, found = doctor(host)
    said = [each["message"] for each in found if each["what"] == "orphans"]
    assert any(f"app {app}: 1 messages wait in waste" in each for each in said), said
    host.delete(f"/{app}/queues/waste/", purge=1)
    host.delete(f"/{app}/")


def test_a_supervisord_that_hangs(host: BranchHost) -> None:
    assert host.process is not None
    os.kill(host.process.pid, signal.SIGSTOP)
    try:
        code, found = doctor(host)
    finally:
        os.kill(host.process.pid, signal.SIGCONT)
    assert (code, list(errors(found))) == (1, ["supervisord"])
    assert str(host.process.pid) in errors(found)["supervisord"]


def test_a_web_that_hangs(host: BranchHost) -> None:
    main = psutil.Process(host.pid("cyme:web"))
    stopped = [main, *main.children()]
    for each in stopped:
        each.suspend()
    try:
        code, found = doctor(host)
    finally:
        for each in stopped:
            each.resume()
    assert (code, list(errors(found))) == (1, ["web"])


def test_a_branch_that_hangs(host: BranchHost) -> None:
    main = psutil.Process(host.pid("cyme:branch"))
    main.suspend()
    try:
        said: Any = eventually(lambda: errors(doctor(host)[1]).get("branch"), WITHIN_S, every_s=1.0)
    finally:
        main.resume()
    assert "has not looked at its workers" in said
    eventually(lambda: doctor(host)[0] == 0, WITHIN_S, every_s=1.0)


def test_a_branch_that_is_down() -> None:
    with BranchHost("-i", "branch2") as host:
        host.start()
        host.end()
        code, found = doctor(host)
        assert (code, list(errors(found))) == (1, ["supervisord"])
        assert "no branch runs" in errors(found)["supervisord"]
        # To look has neither started nor changed anything: it comes up as ever.
        host.start()
        assert doctor(host)[0] == 0
