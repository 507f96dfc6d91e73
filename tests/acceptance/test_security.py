"""What strangers, other sites and hostile words can do: nothing."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import redis

from tests.acceptance.harness import BranchHost, cyme_branch

pytestmark = pytest.mark.timeout(120)

#: In every hostile word, to be looked for in what is rendered.
TELLTALE = "evil7c1"
SECRET = "hunter2hunter2"

NAMES = [
    f"{TELLTALE}\n[program:x]",
    f"{TELLTALE}\ruser=root",
    f"{TELLTALE}%(ENV_HOME)s",
    f"{TELLTALE};",
    f"{TELLTALE} #",
    f"{TELLTALE}]",
    f'{TELLTALE}"',
    f"{TELLTALE}'",
    f"{TELLTALE}\x00",
    f"{TELLTALE}\x1b[31m",
    f"{TELLTALE}\u2028",
    f"{TELLTALE}\u0456",
    f"{TELLTALE}\u202e",
    f"..\u2215{TELLTALE}",
    f"-{TELLTALE}",
    f".{TELLTALE}",
    TELLTALE * 20,
    f"{TELLTALE}@h",
    f"cyme-{TELLTALE}",
]
VALUES: list[dict[str, Any]] = [
    {"arguments": f"-A {TELLTALE}"},
    {"arguments": f"--{TELLTALE}\n--x\x00"},
    {"arguments": f"'{TELLTALE}"},
    {"arguments": ["-Q", TELLTALE]},
    {"arguments": [TELLTALE, 7]},
    {"extra_config": TELLTALE},
    {"extra_config": {f"{TELLTALE}-x": 1}},
    {"extra_config": {"broker_url": f"redis://{TELLTALE}"}},
    {"pool": TELLTALE},
    {"pool": {"a": TELLTALE}},
    {"stop_timeout_s": -1},
    {"stop_timeout_s": f"1;{TELLTALE}"},
    {"max_concurrency": 10**30},
    {"max_concurrency": 1.5},
    {"min_concurrency": 5},
    {"queues": [TELLTALE]},
    {"queues": f"dq.{TELLTALE}"},
    {"broker": f"amqp://{TELLTALE}\n/"},
    {"broker": f"http://{TELLTALE}/"},
    {"branch": TELLTALE},
    {TELLTALE: 1},
    {"stop_timeout_s": True},
    {"arguments": TELLTALE * 9000},
]
APP_VALUES: list[dict[str, Any]] = [
    {"celery_app": f"{TELLTALE};os:system"},
    {"directory": f"{TELLTALE}/.."},
    {"directory": f"/{TELLTALE}\nuser=root"},
    {"command": TELLTALE},
    {"environment": {f"{TELLTALE}=A": "x"}},
    {"environment": {TELLTALE: "x\x00"}},
    {"environment": {"CELERY_BROKER_URL": TELLTALE}},
    {"user": f"{TELLTALE} x"},
    {"hostname": f"{TELLTALE}/x"},
    {"password": TELLTALE},
    {"environment": {TELLTALE: "********"}},
]


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    """A branch with a worker whose app has secrets of every kind."""
    with BranchHost() as host:
        host.start()
        host.post(
            "/foo/",
            201,
            environment={"DATABASE_PASSWORD": SECRET},
            extra_config={"redis_password": SECRET},
            result_backend=f"redis://:{SECRET}@127.0.0.1:1/0",
        )
        host.make("foo", "w1")
        yield host


def files(host: BranchHost) -> list[Path]:
    return [path for path in host.root.rglob("*") if path.is_file()]


def check_refused(status: int, body: str) -> None:
    assert 400 <= status < 500, body
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "hint"}
    assert "Traceback" not in body


def check_kept_nothing(host: BranchHost) -> None:
    assert host.get("/") == ["foo"]
    assert host.get("/foo/instances/") == ["w1"]
    for path in (*(host.root / "conf.d").iterdir(), *(host.root / "instances").iterdir()):
        assert TELLTALE not in path.name
    rendered = [path for path in files(host) if path.suffix in (".conf", ".json")]
    assert rendered
    for path in rendered:
        assert TELLTALE.encode() not in path.read_bytes()


def test_hostile_names(host: BranchHost) -> None:
    for name in NAMES:
        word = quote(name, safe="")
        for path in (f"/{word}/", f"/foo/instances/{word}/", f"/foo/instances/!/{word}/"):
            if name.startswith("cyme-") and path == f"/{word}/":
                continue
            answer = host.client.put(path)
            check_refused(answer.status_code, answer.text)
    check_kept_nothing(host)


def test_hostile_values(host: BranchHost) -> None:
    asked = [
        (path, value) for value in VALUES for path in ("/foo/instances/w2/", "/foo/instances/")
    ]
    asked += [("/foo/", value) for value in APP_VALUES]
    for path, value in asked:
        answer = host.client.post(path, json=value)
        check_refused(answer.status_code, answer.text)
    check_kept_nothing(host)


RAW = {
    "a percent alone": b"PUT /%/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a percent": b"PUT /evil7c1%2/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no UTF-8": b"PUT /evil7c1%ff%fe/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "overlong UTF-8": b"PUT /evil7c1%c0%af/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an encoded NUL": b"PUT /evil7c1%00/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an encoded slash": b"PUT /..%2fevil7c1/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a NUL": b"PUT /evil7c1\x00/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "raw bytes": b"PUT /evil7c1\xff\xfe/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an overlong line": b"PUT /" + b"evil7c1" * 3000 + b"/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an overlong header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 200 + b"\r\n",
    "no length": b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": (
        b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
    ),
    "length and chunks": (
        b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a huge length": b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
    "bad chunks": (
        b"PUT /a/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nzz\r\nx\r\n0\r\n\r\n"
    ),
    "a space in a header's name": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no verb": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "an unknown verb": b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a whole URL": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW.keys())
def test_raw_requests(sent: bytes, host: BranchHost) -> None:
    head, _, body = spoken(host, sent).partition("\r\n\r\n")
    check_refused(int(head.split()[1]), body)
    check_kept_nothing(host)


def spoken(host: BranchHost, sent: bytes) -> str:
    """All that comes back for these bytes."""
    received = b""
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            received += chunk
    return received.decode(errors="replace")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
    ids=lambda headers: " ".join(f"{name} {value}" for name, value in headers.items()),
)
def test_other_sites(headers: dict[str, str], host: BranchHost) -> None:
    for method, path in (("POST", "/bar/"), ("PUT", "/bar/"), ("DELETE", "/foo/?force=1")):
        answer = host.client.request(method, path, headers=headers)
        assert answer.status_code == 403, answer.text
        assert answer.json()["error"]["code"] == "forbidden"
        assert "access-control-allow-origin" not in answer.headers
    check_kept_nothing(host)


def test_our_own_pages_and_curl_are_welcome(host: BranchHost) -> None:
    own = f"http://127.0.0.1:{host.port}"
    for headers in ({}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Host": "localhost"}):
        assert host.client.post("/foo/", headers=headers).status_code == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "10.255.255.1", "example.com"])
def test_listening_for_others_is_refused(address: str, tmp_path: Path) -> None:
    done = cyme_branch(f"{address}:8000", "-D", "root", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("cyme-branch: ")
    assert "--insecure" in done.stderr
    assert not (tmp_path / "root").exists()


def test_listening_for_others_when_that_is_wanted() -> None:
    with BranchHost() as host:
        host.spawn(f"0.0.0.0:{host.port}", "--insecure", "-D", str(host.root))
        host.await_up()
        assert host.client.get("/ping/", headers={"Host": "evil.example"}).status_code == 403


def test_files_are_their_owner_s_alone(host: BranchHost) -> None:
    for path in (host.root, *host.root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"
        assert path.lstat().st_uid == os.geteuid()


def test_the_broker_that_comes_along_lets_in_who_knows_its_password(host: BranchHost) -> None:
    port = host.broker_port
    assert port is not None
    with redis.Redis("127.0.0.1", port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis.from_url(host.broker) as known:
        assert known.ping()
    listening = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN"]
    assert {each.laddr.ip for each in listening if each.laddr.port == port} == {"127.0.0.1"}


def test_no_secret_is_on_a_command_line(host: BranchHost) -> None:
    secrets = {SECRET, *(host.settings["broker"].split("@")[0].split(":")[-1:])}
    secrets.add(host.settings["supervisor_password"])
    assert host.process is not None
    family = [psutil.Process(host.process.pid)]
    family += family[0].children(recursive=True)
    assert len(family) > 4
    for process in family:
        for secret in secrets:
            assert secret not in " ".join(process.cmdline())


def test_no_secret_is_in_an_answer_or_a_log(host: BranchHost) -> None:
    password = host.settings["broker"].split("@")[0].rpartition(":")[2]
    host.post("/foo/instances/w1/restart/")
    paths = ("/foo/", "/foo/instances/w1/", "/foo/instances/w1/stats/", "/health/")
    for path in (*paths, f"/branches/{host.id}/", "/foo/instances/w1/log/?bytes=1000000"):
        text = host.client.get(path).text
        assert text
        assert SECRET not in text
        assert password not in text
    logs = [path for path in files(host) if path.suffix == ".log"]
    assert len(logs) > 2
    for said in (*logs, host.output):
        assert SECRET not in said.read_text(errors="replace")
        assert password not in said.read_text(errors="replace")
    shown = host.get("/foo/", secrets=1)
    assert shown["environment"] == {"DATABASE_PASSWORD": SECRET}


def test_a_masked_secret_is_never_stored(host: BranchHost) -> None:
    shown = host.get("/foo/")
    for name in ("environment", "extra_config", "result_backend"):
        refused = host.client.post("/foo/", json={name: shown[name]})
        check_refused(refused.status_code, refused.text)
    assert host.get("/foo/", secrets=1)["environment"] == {"DATABASE_PASSWORD": SECRET}
