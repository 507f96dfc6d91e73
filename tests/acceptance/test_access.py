"""Users and tokens on a real branch: who is let in, from where, and what nobody gets to see."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import BIN, BranchHost, plain_environment
from tests.support import eventually

pytestmark = pytest.mark.timeout(120)

PASSWORD = "staple-battery-7c1"


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost() as host:
        host.start()
        host.post("/foo/", 201)
        yield host


def cyme(host: BranchHost, *words: str, typed: str = "", **environment: str) -> tuple[int, str]:
    """Exit code and output of a command, typed by who owns the root."""
    url = f"http://127.0.0.1:{host.port}"
    done = subprocess.run(
        [str(BIN / "cyme"), "-u", url, *words],
        env={**plain_environment(), "CYME_INSTANCE_DIR": str(host.root), **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout or done.stderr


def status(host: BranchHost, path: str, token: str = "", method: str = "GET") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return host.client.request(method, path, headers=headers).status_code


def test_from_everybody_on_the_host_to_those_who_are_known(host: BranchHost) -> None:
    assert status(host, "/foo/") == 200
    # On the store alone: the web hears of it by the next request.
    assert cyme(host, "-L", "createsuperuser", "alice", typed=f"{PASSWORD}\n")[0] == 0
    assert status(host, "/foo/") == 401
    assert status(host, "/foo/queue/tasks/http://192.0.2.1/") == 401
    assert status(host, "/ping/") == 200
    assert host.client.get("/health/").json() == {"ok": True}
    assert host.client.get("/foo/", auth=("alice", PASSWORD)).status_code == 200
    assert host.client.get("/foo/", auth=("alice", "wrong one")).status_code == 401

    code, made = cyme(host, "token.add", "for a script", "--role", "viewer")
    assert code == 0
    token, id = json.loads(made)["token"], json.loads(made)["id"]
    assert status(host, "/foo/", token) == 200
    assert status(host, "/foo/", token, "POST") == 403
    assert status(host, "/foo/?secrets=1", token) == 403
    assert host.client.get("/health/", headers={"Authorization": f"Bearer {token}"}).json()["store"]
    code, said = cyme(host, "apps.add", "bar", CYME_TOKEN=token)
    assert code == 3
    assert "this needs the role admin" in said

    # Who may read the root needs neither.
    assert cyme(host, "apps")[0] == 0
    assert host.supervisorctl("cyme", "status").returncode == 0
    assert cyme(host, "apps", CYME_INSTANCE_DIR="/nowhere")[0] == 3

    assert cyme(host, "token.revoke", id)[0] == 0
    assert status(host, "/foo/", token) == 401
    secrets = (PASSWORD, token.split("_", 2)[2])
    logs = [path for path in host.root.rglob("*") if path.suffix in (".log", ".conf")]
    assert len(logs) > 2
    for path in (*logs, host.output):
        for secret in secrets:
            assert secret not in path.read_text(errors="replace"), path
    database = b"".join(path.read_bytes() for path in host.root.glob("branch.db*"))
    assert not any(secret.encode() in database for secret in secrets)


def test_others_are_let_in_when_somebody_is_known(host: BranchHost) -> None:
    cyme(host, "-L", "createsuperuser", "alice", typed=f"{PASSWORD}\n")
    host.end()
    host.spawn(f"0.0.0.0:{host.port}", "-D", str(host.root), "--fleet", host.fleet)
    host.await_up()
    assert status(host, "/foo/") == 401
    code, said = cyme(host, "users.delete", "alice")
    assert code == 5
    assert "last admin" in said
    local = eventually(lambda: cyme(host, "apps"))
    assert json.loads(local[1]) == ["foo"]
