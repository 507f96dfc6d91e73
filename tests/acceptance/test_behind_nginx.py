"""A real branch below a path of a real nginx: signing in, changing, and where everything leads."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cyme_supd.config import load
from tests.acceptance.harness import BIN, BranchHost, plain_environment
from tests.nginx import NAME, nginx, trusting

pytestmark = pytest.mark.timeout(120)

PASSWORD = "staple-battery-7c1"
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    named = ("--server-name", NAME, "--trusted-proxy", "127.0.0.1")
    with BranchHost(*named) as host:
        host.start()
        yield host


@pytest.fixture(scope="module")
def outside(host: BranchHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A browser, for which the name leads to nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(folder, host.port) as port:
        origin = f"https://{NAME}:{port}"
        with httpx.Client(
            base_url=f"{origin}/cyme/",
            transport=_There(folder, port),
            headers={"Origin": origin},
            timeout=70,
        ) as client:
            yield client


class _There(httpx.HTTPTransport):
    """Reaches *port* on this host under whatever name, which TLS checks."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(verify=trusting(folder), trust_env=False)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        request.extensions["sni_hostname"] = name
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        answer = super().handle_request(request)
        request.url = request.url.copy_with(host=name)
        return answer


def cyme(host: BranchHost, *words: str, typed: str = "") -> int:
    return subprocess.run(
        [str(BIN / "cyme"), "-u", f"http://127.0.0.1:{host.port}", *words],
        env={**plain_environment(), "CYME_INSTANCE_DIR": str(host.root)},
        input=typed,
        text=True,
        capture_output=True,
        timeout=60,
    ).returncode


def test_from_nobody_to_one_who_signed_in(host: BranchHost, outside: httpx.Client) -> None:
    # While nobody is known who is on the host may do everything, and nobody else anything.
    assert host.client.get("/").status_code == 200
    assert outside.get("api/overview/").status_code == 401
    assert "cyme createsuperuser" in outside.get("admin/login").text
    assert cyme(host, "createsuperuser", "alice", typed=f"{PASSWORD}\n") == 0

    asked = outside.get("", headers=BROWSER)
    assert asked.headers["Location"] == "/cyme/admin/login?next=%2Fadmin%2F"
    asked = outside.get("admin/audit/", headers=BROWSER)
    assert asked.headers["Location"] == "/cyme/admin/login?next=%2Fadmin%2Faudit%2F"
    sent = {"name": "alice", "password": PASSWORD, "next": "/admin/audit/"}
    elsewhere = {"Origin": "https://evil.example"}
    assert outside.post("admin/login", data=sent, headers=elsewhere).status_code == 403
    made = outside.post("admin/login", data=sent)
    assert (made.status_code, made.headers["Location"]) == (303, "/cyme/admin/audit/")
    words = set(made.headers["Set-Cookie"].split("; ")[1:])
    assert words == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert made.headers["Set-Cookie"].startswith("__Host-cyme=")

    shown = outside.get("admin/", headers=BROWSER).text
    assert "user alice, admin" in shown
    for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', shown):
        assert link.startswith("/cyme/"), link
        assert outside.get(str(outside.base_url.join(link))).status_code in (200, 405)
    meta = re.search(r'name="csrf-token" content="(\w+)"', shown)
    assert meta is not None
    token = {"X-CSRF-Token": meta[1]}
    assert outside.post("foo/").status_code == 403
    assert outside.post("foo/", headers={**token, **elsewhere}).status_code == 403
    assert outside.post("foo/", headers=token).status_code == 201
    assert outside.put("foo/queues/a%2Fb/", headers=token).status_code == 201
    # What counts in a path goes through as it was sent.
    queued = outside.post("foo/queue/a%2Fb/http://192.0.2.1/x%2Fy?q=%20", headers=token)
    assert queued.status_code == 202, queued.text
    assert queued.json()["url"] == "http://192.0.2.1/x%2Fy?q=%20"
    assert queued.headers["Location"].startswith("/cyme/foo/query/")
    assert outside.get(str(outside.base_url.join(queued.headers["Location"]))).status_code == 200
    assert outside.get("api/openapi.json").json()["servers"] == [{"url": "/cyme"}]
    assert "/cyme/" in outside.get("api/docs").text
    assert outside.get(str(outside.base_url.join("/x/../cyme/"))).status_code in (200, 303, 404)

    secret = outside.cookies["__Host-cyme"]
    assert secret.encode() not in b"".join(
        path.read_bytes() for path in host.root.glob("branch.db*")
    )
    gone = outside.post("admin/logout", data={"csrf_token": meta[1]})
    assert gone.headers["Location"] == "/cyme/admin/login"
    outside.cookies.set("__Host-cyme", secret, domain=NAME)
    assert outside.get("foo/").status_code == 401
    events = host.client.get("/api/audit/", auth=("alice", PASSWORD)).json()["data"]["events"]
    found = [(one["verb"], one["name"]) for one in events if one["kind"] == "user"]
    assert found[:2] == [("logout", "alice"), ("login", "alice")]


def test_what_a_client_makes_up_is_not_believed(host: BranchHost, outside: httpx.Client) -> None:
    cyme(host, "-L", "createsuperuser", "alice", typed=f"{PASSWORD}\n")
    made_up = {
        "X-Forwarded-For": "203.0.113.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "//evil.example",
        "X-Forwarded-Proto": "http",
        "SCRIPT_NAME": "/evil",
    }
    asked = outside.get("admin/", headers={**BROWSER, **made_up})
    assert asked.headers["Location"].startswith("/cyme/admin/login?"), asked.text
    asked = host.client.get("/admin/", headers={**BROWSER, "SCRIPT_NAME": "/evil"})
    assert asked.headers["Location"].startswith("/admin/login?"), asked.text
    # On the host, by itself, the local token is good; through a proxy it is not.
    local = _local_token(host)
    through = {**local, "X-Forwarded-For": "127.0.0.1"}
    assert host.client.get("/", headers=local).status_code == 200
    assert host.client.get("/foo/", headers=through).status_code == 401
    assert outside.get("foo/", headers=local).status_code == 401


def _local_token(host: BranchHost) -> dict[str, str]:
    return {"Authorization": f"Bearer {load(host.root).local_token}"}
