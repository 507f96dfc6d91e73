"""URLs as tasks: what is queued is what the target gets, and what it says is the result."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.celeryside import produce
from tests.acceptance.conftest import EMBEDDED, RABBITMQ, either
from tests.acceptance.harness import BranchHost, plain_environment, unique
from tests.odd_server import OddServer, odd_server
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH")


@pytest.fixture(scope="module")
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture(scope="module")
def worker(host: BranchHost) -> str:
    host.post("/foo/", 201)
    host.post("/foo/queues/tasks/", 201)
    host.make("foo", "w1", queues=["tasks"])
    return "w1"


def curl(host: BranchHost, method: str, path: str, *words: str) -> tuple[int, dict[str, str]]:
    """What a person types: status and headers."""
    verb = ["--head"] if method == "HEAD" else ["--request", method]
    said = subprocess.run(
        ["curl", "-sSi", "--max-time", "30", *verb, *words, f"http://127.0.0.1:{host.port}{path}"],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    first, *rest = said.stdout.partition("\n\n")[0].splitlines()
    headers = dict(line.split(": ", 1) for line in rest if ": " in line)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}


def ended(host: BranchHost, state_path: str) -> dict[str, Any]:
    return dict(host.get(state_path.replace("/state/", "/wait/"), timeout=30))


@pytest.mark.parametrize("method", METHODS)
def test_every_verb(host: BranchHost, worker: str, server: OddServer, method: str) -> None:
    path = f"/fast//{method}%2Fx?user=133&next=http://m/%3F"
    body = [] if method in ("GET", "HEAD") else ["--data", "username=George&company=Vandelay"]

    status, headers = curl(
        host, method, f"/foo/queue/tasks/{server.url(path)}", "-H", "X-Forward-My-Mark: 7", *body
    )

    assert status == 202
    said = ended(host, headers["location"])
    assert said["state"] == "SUCCESS"
    assert said["result"]["status_code"] == 200
    assert said["result"]["body"] == ("" if method in ("HEAD", "CONNECT") else "ok")
    head = server.heads[path].lower()
    assert head.startswith(f"{method} {path} ".lower())
    assert "user-agent: celery/cyme v" in head
    assert "my-mark: 7" in head
    assert ("content-type: application/x-www-form-urlencoded" in head) is bool(body)
    assert host.get(headers["location"]) == {"state": "SUCCESS"}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://0251.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
        "http://100.100.100.200/",
        "ftp://example.com/",
    ],
)
def test_what_must_not_be_requested(host: BranchHost, worker: str, url: str) -> None:
    for sent in (
        host.client.get(f"/foo/queue/tasks/{url}"),
        host.client.post("/foo/queue/tasks/", json=[{"url": url}]),
    ):
        assert (sent.status_code, sent.json()["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1", "[::1]", "0.0.0.0"])
def test_the_branch_itself_is_never_asked(host: BranchHost, worker: str, name: str) -> None:
    ports = [host.port, *([host.broker_port] if host.broker_port else [])]
    for port in ports:
        refused = host.client.get(f"/foo/queue/tasks/http://{name}:{port}/ping/")
        assert refused.status_code == 400, refused.text


def test_a_redirect_is_an_answer(host: BranchHost, worker: str, server: OddServer) -> None:
    sent = host.client.get(f"/foo/queue/tasks/{server.url('/redirect/1')}")

    said = ended(host, sent.headers["Location"])

    assert said["result"]["status_code"] == 302
    assert "/followed" not in server.seen


def test_the_instances_own_queue(host: BranchHost, worker: str, server: OddServer) -> None:
    sent = host.client.get(f"/foo/queue/dq.{worker}/{server.url('/fast/own')}")
    assert sent.status_code == 202
    assert ended(host, sent.headers["Location"])["state"] == "SUCCESS"


def test_a_list_of_urls(host: BranchHost, worker: str, server: OddServer) -> None:
    first = f"/fast/{unique('a')}"
    urls = [
        {"url": server.url(first), "params": {"x": [1, 2]}},
        {"url": server.url("/missing/b"), "method": "POST", "data": {"k": "v"}},
        {"url": server.url("/close/c"), "headers": {"X-Mark": "7"}},
    ]
    sent = host.client.post("/foo/queue/tasks/", json=urls)
    assert sent.status_code == 202, sent.text
    ends = [host.get(f"/foo/query/{id}/wait/") for id in sent.json()["uuids"]]
    assert [end["state"] for end in ends] == ["SUCCESS", "SUCCESS", "FAILURE"]
    assert ends[1]["result"]["status_code"] == 404
    assert server.seen[f"{first}?x=1&x=2"] == 1
    assert "content-length: 3" in server.heads["/missing/b"].lower()
    assert "x-mark: 7" in server.heads["/close/c"].lower()


def test_what_a_deleted_worker_had_taken_is_for_others(
    host: BranchHost, worker: str, server: OddServer
) -> None:
    host.post("/foo/queues/slowly/", 201)
    host.make("foo", "w2", queues=["slowly"])
    paths = [f"/slow/{unique('left')}" for _ in range(8)]
    sent = host.client.post("/foo/queue/slowly/", json=[server.url(path) for path in paths])
    eventually(lambda: server.seen[paths[1]])

    host.delete("/foo/instances/w2/", force=1)
    host.make("foo", "w3", queues=["slowly"])

    ends = [host.get(f"/foo/query/{id}/wait/", timeout=30) for id in sent.json()["uuids"]]
    assert {end["state"] for end in ends} == {"SUCCESS"}


@pytest.mark.parametrize("broker", either(EMBEDDED, RABBITMQ), indirect=True, scope="module")
def test_what_comes_while_the_worker_dies(host: BranchHost, worker: str, server: OddServer) -> None:
    """On Redis a message may be given to the connection of a process that is dead."""
    for _ in range(3):
        pid = host.pid(worker)
        sent = []
        os.kill(pid, signal.SIGKILL)
        for _ in range(5):
            url = server.url(f"/fast/{unique('late')}")
            sent.append(host.client.get(f"/foo/queue/tasks/{url}").json()["uuid"])
        ends = [host.get(f"/foo/query/{id}/wait/", timeout=30) for id in sent]
        assert {end["state"] for end in ends} == {"SUCCESS"}


def test_asking(host: BranchHost, worker: str, server: OddServer) -> None:
    host.get("/foo/query/01a21247-182b-7d27-90ac-5cbd090a7978/state/", 404)
    host.get("/foo/query/nonsense/result/", 404)
    host.post("/foo/queues/idle/", 201)
    id = host.client.get(f"/foo/queue/idle/{server.url('/fast/never')}").json()["uuid"]
    assert host.get(f"/foo/query/{id}/state/") == {"state": "PENDING"}
    assert host.get(f"/foo/query/{id}/result/") == {"state": "PENDING", "result": None}
    assert host.get(f"/foo/query/{id}/wait/", 408, timeout=0.2)["error"]["code"] == "timeout"
    host.post("/bar/", 201)
    host.get(f"/bar/query/{id}/state/", 404)


def test_an_app_of_ones_own(
    host: BranchHost, project: Path, tmp_path: Path, valkey_url: str
) -> None:
    """Its results are where it keeps them, and it gets no URLs."""
    own = {"celery_app": "house:app", "directory": str(project)}
    host.post("/house/", 201, **own)
    host.post("/house/queues/jobs/", 201)
    url = "http://127.0.0.1:1/"
    assert host.client.get(f"/house/queue/jobs/{url}").status_code == 501
    asked = host.client.get("/house/query/some-id/result/")
    assert asked.status_code == 501
    assert "result_backend" in asked.json()["error"]["hint"]

    host.post("/house/", 200, result_backend=valkey_url, extra_config={"task_ignore_result": False})
    host.make("house", "h1")
    id = produce(project, host.broker, "add", "dq.h1", 2, 3, form="queue")
    eventually(lambda: host.get(f"/house/query/{id}/state/") == {"state": "SUCCESS"}, 20)
    assert host.get(f"/house/query/{id}/result/") == {"state": "SUCCESS", "result": 5}
    failed = produce(project, host.broker, "add", "dq.h1", 2, "x", form="queue")
    said = host.get(f"/house/query/{failed}/wait/", timeout=20)
    assert said["state"] == "FAILURE"
    assert "TypeError" in said["error"]
