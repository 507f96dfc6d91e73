"""The web server that the tour's URLs are of, and what it got.

``python -m docs.tour.target`` is one on port 8080, for who takes the tour by hand.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from docs.tour.steps import Arrives

#: As the README has it.
PORT = 8080


class Target(ThreadingHTTPServer):
    """Greets whoever is named, in the query or in a form."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Greeter)
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


def main(argv: list[str]) -> None:
    """Serve on the port that is named, until ^C."""
    port = int(argv[0]) if argv else PORT
    try:
        server = Target(port)
    except OSError as exc:
        sys.exit(f"target: port {port} is not to be had: {exc.strerror}; name another")
    with server, suppress(KeyboardInterrupt):
        print(f"greets whoever is named: {server.url}/hello?name=Ada", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
