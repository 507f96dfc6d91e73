"""The web server that the tour's URLs are of, and what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from docs.tour.steps import Arrives


class Target(ThreadingHTTPServer):
    """Greets whoever is named, in the query or in a form."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Greeter)
        self.got: list[Arrives] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Greeter(BaseHTTPRequestHandler):
    server: Target

    def do_GET(self) -> None:
        self._greet("Hello", urlsplit(self.path).query, 200)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self._greet("Welcome", form, 201, form)

    def _greet(self, word: str, form: str, status: int, body: str = "") -> None:
        agent = self.headers.get("User-Agent", "")
        self.server.got.append(Arrives(self.command, self.path, body, agent))
        names = parse_qs(form).get("name", ["whoever you are"])
        text = f"{word}, {names[0]}!".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Into ``got``, and nowhere else."""


@contextmanager
def target() -> Iterator[Target]:
    """It serves until the end, in a thread."""
    with Target() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
