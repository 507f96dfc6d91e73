"""A webhook's server, for tests: keeps what it is sent."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Hook:
    """Listens on a port that the kernel gave; answers with ``status``.

    One that ``is_mute`` takes a request and answers when the test is over.
    """

    def __init__(self) -> None:
        self.status = 204
        self.is_mute = False
        self.over = threading.Event()
        self.posted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook/s3cret"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def said(self, state: str, kind: str) -> list[str]:
        """Subjects of the messages of that kind."""
        return [
            each["subject"]
            for each in list(self.posted)
            if (each["state"], each["kind"]) == (state, kind)
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.is_mute:
                    hook.over.wait()
                if 200 <= hook.status < 300:
                    hook.posted.append(json.loads(body))
                    hook.headers.append(dict(self.headers))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler
