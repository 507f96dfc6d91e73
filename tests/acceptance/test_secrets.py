"""Secrets, planted wherever one can be told: none is found again where others may look."""

from __future__ import annotations

import stat
from base64 import b64encode
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest

from cyme_supd.domain.access import NEEDED, Role
from tests.acceptance import processes
from tests.acceptance.harness import BranchHost
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)

#: It goes on for a minute; what it begins with is read.
ENDLESS = "/api/events/"
#: What each is, by a word that is nowhere else.
PLANTED = {
    "environment of an app": "planted1env",
    "what it was before": "planted2env",
    "a nested setting": "planted3conf",
    "result backend": "planted4backend",
    "broker of an app": "planted5broker",
    "broker of an instance": "planted6broker",
    "setting of an instance": "planted7conf",
    "password of a user": "planted8user",
    "a password that is wrong": "planted9wrong",
    "webhook": "planted10hook",
    "password in a queued URL": "planted11url",
    "key in a queued URL": "planted12key",
    "header of a queued URL": "planted13header",
    "body of a queued URL": "planted14body",
    "a password in a reason": "planted15reason",
}


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server that is asked by workers; it answers nothing of what it is told."""

    class Quiet(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def host(target: str) -> Iterator[BranchHost]:
    secret = PLANTED
    hook = f"http://127.0.0.1:1/{secret['webhook']}"
    with BranchHost(environment={"CYME_ALERT_WEBHOOK": hook}) as host:
        host.start("-l", "DEBUG")
        plant(host, target)
        yield host


def plant(host: BranchHost, target: str) -> None:
    secret = PLANTED
    before = {"SHOP_PASSWORD": secret["what it was before"]}
    host.post("/foo/", 201, environment=before)
    host.post(
        "/foo/",
        environment={"SHOP_PASSWORD": secret["environment of an app"]},
        extra_config={"broker_transport_options": {"password": secret["a nested setting"]}},
        result_backend=f"redis://:{secret['result backend']}@127.0.0.1:1/0",
    )
    host.post("/bar/", 201, broker=f"redis://:{secret['broker of an app']}@127.0.0.1:1/0")
    host.post("/foo/queues/tasks/", 201)
    host.make("foo", "w1", queues=["tasks"])
    host.post(
        "/foo/instances/!/w2/",
        202,
        broker=f"redis://:{secret['broker of an instance']}@127.0.0.1:1/0",
        extra_config={"redis_password": secret["setting of an instance"]},
    )
    told = f"see redis://:{secret['a password in a reason']}@127.0.0.1/"
    host.post("/foo/instances/!/w2/pause/", 202, reason=told)
    queue_urls(host, target)
    host.client.put(
        "/api/users/alice/", json={"password": secret["password of a user"], "role": "admin"}
    ).raise_for_status()
    guess = host.client.get("/", auth=("alice", secret["a password that is wrong"]))
    assert guess.status_code == 401
    host.client.auth = ("alice", secret["password of a user"])


def queue_urls(host: BranchHost, target: str) -> None:
    secret = PLANTED
    login = f"u:{secret['password in a queued URL']}@"
    for place in (f"{login}{target}", f"{login}127.0.0.1:1"):
        made = host.client.post(
            f"/foo/queue/tasks/http://{place}/?api_key={secret['key in a queued URL']}",
            content=f"password={secret['body of a queued URL']}",
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Forward-Authorization": f"Bearer {secret['header of a queued URL']}",
            },
        )
        assert made.status_code == 202, made.text
        uuid = made.json()["uuid"]
        eventually(lambda uuid=uuid: state(host, uuid) in ("SUCCESS", "FAILURE"), 20)
        TASKS.append(uuid)


#: Of the URLs that were queued: one that was answered, one that was not.
TASKS: list[str] = []


def state(host: BranchHost, uuid: str) -> str:
    return str(host.get(f"/foo/query/{uuid}/state/")["state"])


def secrets_of(host: BranchHost) -> dict[str, str]:
    """All that were planted, in both spellings, and those that the branch made itself."""
    made = {
        "broker that comes along": host.broker.split("@")[0].rpartition(":")[2],
        "supervisord": host.settings["supervisor_password"],
    }
    plain = {**PLANTED, **made}
    return plain | {
        f"{what}, as credentials": b64encode(f"alice:{word}".encode()).decode()
        for what, word in plain.items()
    }


def told(host: BranchHost, text: str) -> list[str]:
    """Which secrets *text* tells, and where."""
    return [
        f"{what}: {line}"
        for what, word in secrets_of(host).items()
        if word in text
        for line in text.splitlines()
        if word in line
    ]


def paths(host: BranchHost, task: str) -> list[str]:
    """All that can be read, pages as well as the interface, about what is there."""
    there = {
        "app": "foo",
        "name": "w1",
        "instance": "w1",
        "queue": "tasks",
        "id": task,
    }
    ways = []
    for route in NEEDED:
        if "<path:rest>" in route or route == "/<app>/queue/<queue>/":
            continue
        way = route.replace("/branches/<id>/", f"/branches/{host.id}/")
        way = way.replace("/users/<name>/", "/users/alice/")
        for part, value in there.items():
            way = way.replace(f"<{part}>", value)
        ways.append(way)
    return ways


@pytest.mark.parametrize("role", Role)
def test_no_answer_and_no_page(host: BranchHost, role: Role) -> None:
    made = host.client.post("/api/tokens/", json={"role": role, "label": "to look"})
    token = made.json()["token"]
    asked = 0
    for way in [*paths(host, TASKS[0]), *paths(host, TASKS[1])]:
        with host.client.stream("GET", way, auth=Bearer(token), params=wide(way)) as answer:
            text = next(answer.iter_text(), "") if way == ENDLESS else answer.read().decode()
        asked += answer.status_code == 200
        assert not told(host, text), way
        assert not told(host, str(answer.headers)), way
    assert asked > 30


class Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def wide(way: str) -> dict[str, int]:
    """As much as there is to read."""
    if way.endswith("/log/"):
        return {"bytes": 1_000_000}
    return {"limit": 1000} if way == "/api/audit/" else {}


def test_what_is_searched_for_is_there(host: BranchHost) -> None:
    """Otherwise nothing would be found because nothing was stored."""
    shown = host.get("/foo/", secrets=1)
    seen = {what for what, word in PLANTED.items() if word in str(shown)}
    assert {"environment of an app", "a nested setting", "result backend"} <= seen
    launch = (host.root / "instances" / "w2" / "launch.json").read_text()
    assert PLANTED["setting of an instance"] in launch


def test_no_log_and_no_section(host: BranchHost) -> None:
    read = [path for path in files(host) if path.suffix in (".log", ".conf") or "log" in path.name]
    assert len(read) > 5
    secret = secrets_of(host)
    # That is where these have it from.
    own = {
        host.root / "supervisord.conf": secret["supervisord"],
        host.root / "broker" / "valkey.conf": secret["broker that comes along"],
    }
    for path in read:
        text = path.read_text(errors="replace")
        if path in own:
            text = text.replace(own[path], "")
        assert not told(host, text), path


def files(host: BranchHost) -> list[Path]:
    return [path for path in host.folder.rglob("*") if path.is_file()]


def test_no_file_is_for_others(host: BranchHost) -> None:
    assert stat.S_IMODE(host.root.lstat().st_mode) == 0o700
    for path in (host.root, *host.root.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_no_command_line(host: BranchHost) -> None:
    seen = [psutil.Process(pid) for pid in processes.with_a_foot_in(str(host.folder))]
    assert len(seen) > 4
    for process in seen:
        assert not told(host, " ".join(process.cmdline())), process
