"""A branch on a database that others share: PostgreSQL and MariaDB, in health and not."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance import processes
from tests.acceptance.celeryside import worker_pid
from tests.acceptance.harness import BranchHost, cyme_branch, unique
from tests.databases import MARIADB, POSTGRESQL, Server
from tests.relay import Relay, relayed
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
#: What an answer takes at most that the database does not give.
GIVEN_UP_S = 9.0
HEALED_S = 15.0


@dataclass(frozen=True)
class Shared:
    """A branch with one worker, and the line to its database, whose URL is ``url``."""

    host: BranchHost
    line: Relay
    url: str
    kind: str


#: One that lets anybody in whatever the password, and so may be given one.
SECRET = {POSTGRESQL: ":s3cret", MARIADB: ""}
ON_BOTH = pytest.mark.parametrize("shared", [POSTGRESQL, MARIADB], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize(
    "shared", [POSTGRESQL, pytest.param(MARIADB, marks=pytest.mark.faults)], indirect=True
)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    server: Server = request.getfixturevalue(request.param)
    with server.database() as bare, ExitStack() as stack:
        url = bare.replace("@", f"{SECRET[server.kind]}@")
        line, near = stack.enter_context(relayed(url))
        options = ("-i", unique("b"), "--sup-interval", "1")
        with BranchHost(*options, environment={"CYME_DATABASE": near}) as host:
            host.start()
            host.post("/foo/", 201)
            host.make("foo", "w1")
            yield Shared(host, line, url, server.kind)
            line.mend()
            line.resume()


def is_unavailable(host: BranchHost, method: str, path: str, **values: int) -> bool:
    begun_at = time.monotonic()
    response = host.client.request(method, path, json=values)
    assert time.monotonic() - begun_at < GIVEN_UP_S
    if response.status_code != 503:
        return False
    assert "database" in response.json()["error"]["message"]
    return True


def is_done(host: BranchHost) -> bool:
    """Whether what is asked for is stored, and observed as well."""
    values = {"max": 4, "min": 1}
    return host.client.post("/foo/instances/w1/autoscale/", json=values).status_code == 200


def limits(host: BranchHost) -> tuple[int, int]:
    seen = host.get("/foo/instances/w1/")
    return seen["max_concurrency"], seen["min_concurrency"]


@ON_BOTH
def test_it_is_changed_and_asked_as_ever(shared: Shared) -> None:
    host = shared.host
    host.post("/foo/queues/tasks/", 201)
    host.post("/foo/instances/w1/queues/tasks/", 201)
    host.post("/foo/instances/w1/autoscale/", max=2, min=1)
    host.make("foo", "w2")
    assert sorted(host.get("/foo/instances/")) == ["w1", "w2"]
    host.delete("/foo/instances/w2/")
    assert not (host.root / "branch.db").exists()


@ON_BOTH
@pytest.mark.parametrize("is_first", [True, pytest.param(False, marks=pytest.mark.faults)])
def test_an_outage(shared: Shared, is_first: bool) -> None:
    """In ``make test`` each kind has one: it hangs, or it is gone."""
    host, before = shared.host, worker_pid(shared.host, "w1")
    if (shared.kind == POSTGRESQL) == is_first:
        shared.line.hold()
    else:
        shared.line.cut()
    assert is_unavailable(host, "GET", "/foo/instances/")
    assert is_unavailable(host, "POST", "/foo/instances/w1/autoscale/", max=3, min=1)
    assert host.client.get("/health/").status_code == 503
    # Started again, the branch waits for the database as it did before.
    processes.kill(host.pid("cyme:branch"))
    eventually(lambda: "waiting for the database" in host.log())
    assert host.mains("w1") == [before]
    shared.line.mend()
    shared.line.resume()
    eventually(lambda: is_done(host), HEALED_S)
    assert limits(host) == (4, 1)
    assert host.mains("w1") == [before] == [worker_pid(host, "w1")]


@ON_POSTGRESQL
def test_secrets(shared: Shared) -> None:
    host = shared.host
    assert host.process is not None
    main = psutil.Process(host.process.pid)
    tree = [main, *main.children(recursive=True)]
    assert not any("s3cret" in word for each in tree for word in each.cmdline())
    assert not any("s3cret" in word for each in tree for word in each.environ().values())
    assert f"{shared.kind}://" in host.output.read_text()
    assert "s3cret" not in host.output.read_text() + host.log()
    settings = host.root / "branch.json"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert SECRET[shared.kind] in host.settings["database"]


@ON_POSTGRESQL
def test_another_of_the_same_id_does_not_act(shared: Shared) -> None:
    first, before = shared.host, worker_pid(shared.host, "w1")
    options = ("-i", first.id, "--sup-interval", "1", "--database", shared.url)
    with BranchHost(*options, broker=first.broker) as second:
        second.launch()
        eventually(lambda: is_held_back(second), 30.0)
        eventually(lambda: f"acts for branch {first.id!r}" in second.log())
        assert first.get("/health/")["lease"] == {"ok": True}
        # What is asked for there is stored, and done by the one that acts.
        second.post("/foo/instances/w1/autoscale/", max=5, min=1)
        assert first.mains("w1") == [before] == [worker_pid(first, "w1")]
        programs = second.programs()
        assert {name for name in programs if programs[name].pid} == {"cyme:branch", "cyme:web"}
        assert is_held_back(second)
        # Whatever has its id would be looked for at its end.
        second.delete("/foo/instances/w1/")
        assert first.mains("w1") == []


def is_held_back(second: BranchHost) -> bool:
    """Whether it says so, and why; before it serves, it says nothing."""
    try:
        found = second.client.get("/health/")
    except httpx.TransportError:
        return False
    lease = found.json().get("lease") or {}
    return found.status_code == 503 and f"acts for branch {second.id!r}" in lease.get("reason", "")


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
def test_one_that_is_down(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://u:s3cret@127.0.0.1:1/x"
    done = cyme_branch("--without-httpd", "-D", "root", "--database", url, cwd=tmp_path)
    assert done.returncode == 6
    assert "the database cannot be used" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
