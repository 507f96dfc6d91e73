"""The installed ``cyme``, typed beside a real branch, and beside one that is down."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.harness import BIN, BranchHost, plain_environment
from tests.support import eventually

CYME = str(BIN / "cyme")
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("-i", "branch1") as host:
        host.start()
        host.post("/foo/", 201)
        yield host


class Cyme:
    """Types ``cyme`` commands at a branch."""

    def __init__(self, host: BranchHost) -> None:
        self.host = host

    @property
    def environment(self) -> dict[str, str]:
        return {
            **plain_environment(),
            "CYME_URL": f"http://127.0.0.1:{self.host.port}",
            "CYME_INSTANCE_DIR": str(self.host.root),
            "TERM": "xterm",
        }

    def run(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        settings = {"env": self.environment, "stdin": subprocess.DEVNULL, "timeout": WITHIN_S}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.run([CYME, *words], **{**settings, **pipes, **more})

    def __call__(self, *words: str) -> Any:
        """The JSON that a pipe gets."""
        ended = self.run(*words)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        return json.loads(ended.stdout)

    def refused(self, *words: str, **more: Any) -> tuple[int, str]:
        """Its exit code, and the one line that it says."""
        ended = self.run(*words, **more)
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert ended.stderr.startswith("cyme: ")
        assert not ended.stdout
        return ended.returncode, ended.stderr

    def typed(self, *words: str, after: bytes = b"", answer: bytes = b"") -> tuple[int, str]:
        """Its exit code, and all that somebody at a terminal sees; who *answers* *after* that."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(CYME, [CYME, *words], self.environment)
        try:
            seen = _read(terminal, after, answer)
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen


def _read(terminal: int, after: bytes, answer: bytes) -> str:
    """Until nobody has it open any more."""
    seen, ends_at = b"", time.monotonic() + WITHIN_S
    while time.monotonic() < ends_at and select.select([terminal], [], [], WITHIN_S)[0]:
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            break
        if answer and after in seen:
            os.write(terminal, answer)
            answer = b""
    return seen.decode()


@pytest.fixture(scope="module")
def cyme(host: BranchHost) -> Cyme:
    return Cyme(host)


def test_from_nothing_to_a_worker_and_back(cyme: Cyme) -> None:
    assert cyme("apps.add", "bar")["name"] == "bar"
    assert cyme("-a", "bar", "queues.add", "tasks")["name"] == "tasks"
    made = cyme("-a", "bar", "instances.add", "b1", "-q", "tasks")
    assert (made["ready"], made["branch"]) == (True, "branch1")
    assert cyme("-a", "bar", "instances") == ["b1"]
    assert [one["name"] for one in cyme("-a", "bar", "consumers", "b1")] == ["tasks"]
    assert cyme("-a", "bar", "instances.stats", "b1")["pid"] == made["pid"]
    assert "ready" in cyme.run("-a", "bar", "instances.log", "b1").stdout
    assert cyme("branches") == ["branch1"]
    assert cyme("-a", "bar", "instances.delete", "b1") == {"ok": "ok"}
    assert cyme("apps.delete", "bar") == {"ok": "ok"}
    told = [(each["verb"], each["kind"], each["name"]) for each in cyme("-a", "bar", "audit")]
    assert told[-1] == ("create", "app", "bar")
    assert ("delete", "instance", "b1") in told
    assert ("act", "instance", "b1") in told
    code, seen = cyme.typed("-a", "bar", "audit", "-F", "table")
    assert (code, "create app bar" in seen) == (0, True), seen


def test_a_terminal_gets_what_people_read(cyme: Cyme) -> None:
    code, seen = cyme.typed("apps.get", "foo")
    assert code == 0
    assert re.search(r"^name +foo\r$", seen, re.MULTILINE)
    assert "{" not in seen


def test_progress_of_all(cyme: Cyme, host: BranchHost) -> None:
    for name in ("w1", "w2"):
        host.make("foo", name)
    pids = {name: host.pid(name) for name in ("w1", "w2")}

    code, seen = cyme.typed("-a", "foo", "restart-all")
    assert code == 0, seen
    assert "2/2" in seen
    assert "next: w" in seen
    assert re.search(r"done +w1, w2\r$", seen, re.MULTILINE)
    assert all(host.pid(name) != pids[name] for name in pids)

    code, seen = cyme.typed("shutdown-all", after=b"[y/N]", answer=b"y\n")
    assert code == 0, seen
    assert "on all branches? [y/N]" in seen
    assert "stop" in seen
    assert "2/2" in seen
    assert not any(host.get(f"/foo/instances/{name}/")["is_enabled"] for name in pids)


def test_what_fails_is_shown_and_is_the_exit(cyme: Cyme, host: BranchHost) -> None:
    host.post("/ill/", 201, celery_app="there.is.none:app")
    host.post("/ill/instances/!/i1/", 202)
    host.post("/ill/instances/i1/disable/")

    code, seen = cyme.typed("-a", "ill", "start-all")
    assert code == 8, seen
    assert "failed: 1" in seen
    assert "i1: " in seen

    host.post("/ill/instances/i1/disable/")
    code, seen = cyme.typed("-a", "ill", "start-all", after=b"next: i1", answer=b"\x03")
    assert (code, "cyme: interrupted" in seen) == (130, True), seen
    assert "Traceback" not in seen
    host.delete("/ill/", force=1)


def test_what_is_wrong_is_one_line(cyme: Cyme) -> None:
    assert cyme.refused("apps.get", "nope") == (
        4,
        "cyme: there is no app 'nope' (GET / lists the apps)\n",
    )
    assert cyme.refused("instances")[0] == 2
    code, said = cyme.refused("instances.ad")
    assert (code, "did you mean 'instances.add'?" in said) == (2, True)
    code, said = cyme.refused("apps", "--formt", "json")
    assert (code, "'--format'" in said) == (2, True)
    code, said = cyme.refused("-u", "http://127.0.0.1:1", "apps")
    assert (code, "no connection to http://127.0.0.1:1" in said) == (6, True)
    assert cyme.refused("-u", "nonsense", "apps")[0] == 2
    odd = {**cyme.environment, "CYME_TOKEN": "two words"}
    assert cyme.refused("apps", env=odd)[0] == 2


class _Gate(BaseHTTPRequestHandler):
    """Lets one token in, and says to others what a branch would."""

    def do_GET(self) -> None:
        is_known = self.headers.get("Authorization") == "Bearer right"
        error = {"error": {"code": "unauthorized", "message": "who are you?", "hint": ""}}
        body = json.dumps(["foo"] if is_known else error).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_wrong_token_is_one_line(cyme: Cyme) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gate) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        here = {**cyme.environment, "CYME_URL": f"http://127.0.0.1:{server.server_port}"}
        wrong = cyme.refused("apps", env={**here, "CYME_TOKEN": "wrong"})
        right = cyme.run("apps", env={**here, "CYME_TOKEN": "right"})
        server.shutdown()
    assert wrong == (3, "cyme: who are you?\n")
    assert json.loads(right.stdout) == ["foo"]


def test_a_full_disk_is_one_line(cyme: Cyme) -> None:
    with open("/dev/full", "w") as full:
        ended = cyme.run("apps", stdout=full)
    assert ended.returncode == 1
    assert ended.stderr == "cyme: standard output: No space left on device\n"


def test_a_pipe_that_nobody_reads_is_silent(cyme: Cyme) -> None:
    for words in (["apps"], ["--help"], ["apps", "-F", "table"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            ended = cyme.run(*words, stdout=writing)
        finally:
            os.close(writing)
        assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, ""), words


def test_closed_files_are_no_reason_to_fail(cyme: Cyme) -> None:
    for closed in (">&-", "2>&-"):
        ended = subprocess.run(
            ["sh", "-c", f"{CYME} apps {closed}"], env=cyme.environment, capture_output=True
        )
        assert (ended.returncode, ended.stderr) == (0, b""), closed


def test_an_interrupt_is_one_line(cyme: Cyme) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [CYME, "-u", url, "apps"], stderr=subprocess.PIPE, text=True, env=cyme.environment
        ) as process:
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=WITHIN_S)[1]
            connection.close()
    assert (process.returncode, said) == (130, "cyme: interrupted\n")


# The store of a branch, whether it runs or not


def test_the_store_of_a_branch_that_is_up(cyme: Cyme, host: BranchHost) -> None:
    assert cyme("-L", "apps") == ["foo"]
    made = cyme("-L", "-a", "foo", "instances.add", "l1")
    assert (made["name"], made["converged"]) == ("l1", False)
    eventually(lambda: host.is_ready("foo", "l1"), WITHIN_S)
    assert cyme("-a", "foo", "instances.delete", "l1") == {"ok": "ok"}


def test_what_is_edited_while_it_is_down_is_done_when_it_is_up() -> None:
    with BranchHost("-i", "branch2") as host:
        host.start()
        host.post("/foo/", 201)
        host.make("foo", "old")
        host.end()
        cyme = Cyme(host)

        assert cyme.refused("apps")[0] == 6
        assert cyme("-L", "-a", "foo", "instances") == ["old"]
        assert cyme("-L", "-a", "foo", "queues.add", "tasks")["name"] == "tasks"
        made = cyme("-L", "-a", "foo", "instances.add", "new", "-q", "tasks")
        assert made["converged"] is False
        assert "as soon as it runs" in made["reason"]
        assert cyme("-L", "shutdown-all") == {"done": ["new", "old"], "failed": {}}
        assert cyme("-L", "-a", "foo", "instances.enable", "new")["converged"] is False

        host.start()
        eventually(lambda: host.is_ready("foo", "new"), WITHIN_S)
        assert host.get("/foo/instances/new/")["queues"] == ["tasks"]
        assert host.get("/foo/instances/old/")["is_enabled"] is False
        assert host.programs().get("old") is None or host.mains("old") == []


def test_a_root_that_is_none(cyme: Cyme, tmp_path: Any) -> None:
    code, said = cyme.refused("-L", "-D", str(tmp_path), "apps")
    assert (code, "-D" in said) == (4, True)


def test_the_shell_has_all_at_hand(cyme: Cyme) -> None:
    lines = "print(client.all_names(), store.version() > -1, config.id)\n"
    ended = cyme.run("shell", stdin=None, input=lines)
    assert ended.returncode == 0
    assert "['foo'] True branch1" in ended.stdout
