"""A real nginx in front of a branch, with the file of ``conf/`` but for names and places."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import free_port, program, started
from tests.support import eventually

NGINX = "/usr/sbin/nginx"
CONF = Path(__file__).parents[1] / "conf" / "nginx.conf"
NAME = "ops.example.com"
_AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/cyme.conf;
}}
"""


@contextmanager
def nginx(folder: Path, branch_port: int) -> Iterator[int]:
    """The port of one that runs, with TLS; its certificate is ``folder / "cert.pem"``."""
    command = program(NGINX, "nginx-light")
    port = free_port()
    _certify(folder)
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder))
    (folder / "cyme.conf").write_text(_adapted(folder, port, branch_port))
    words = [command, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with started(words, folder / "output", {}) as process:
        eventually(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port


def _adapted(folder: Path, port: int, branch_port: int) -> str:
    text = CONF.read_text()
    for there, here in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{branch_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (f"/etc/ssl/certs/{NAME}.pem", str(folder / "cert.pem")),
        (f"/etc/ssl/private/{NAME}.key", str(folder / "key.pem")),
    ):
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    return text


def _certify(folder: Path) -> None:
    names = f"-subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", *f"{kind} {names}".split(), *files]
    subprocess.run(command, check=True, capture_output=True)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / "cert.pem")
