"""When a request is whole: only then a thread is given to it."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from cyme_supd.web import patience

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        with near, far:
            yield near, far


def is_readable(sock: socket.socket, within_s: float) -> bool:
    return bool(select.select([sock], [], [], within_s)[0])


@pytest.mark.parametrize(
    "sent",
    [
        GET,
        GET + GET,
        POST + b"12345",
        POST + b"123456",
        POST.replace(b"Content-Length: 5", b"content-length:\t5 ") + b"12345",
        CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
        CHUNKED + b"ZZ\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED.replace(b"chunked", b"nonsense"),
        POST.replace(b"5", b"5\r\nExpect: 100-continue"),
        b"x" * patience.WHOLE,
        POST.replace(b"5", b"9" * 9) + b"x" * patience.WHOLE,
        POST.replace(b"5", b"nonsense"),
    ],
    ids=map(str, range(13)),
)
def test_whole(sent: bytes, line: tuple[socket.socket, socket.socket]) -> None:
    near, far = line
    near.sendall(sent)
    assert is_readable(far, 5)
    patience.wake_after(far, len(sent) - 1 if len(sent) < patience.WHOLE else patience.WHOLE - 1)
    assert is_readable(far, 5)
    assert patience.missing(far) is None
    assert far.recv(10) == sent[:10]


@pytest.mark.parametrize(
    "sent", [GET[:-1], POST, POST + b"1234", CHUNKED, CHUNKED + b"1\r\nx\r\n0\r\n"]
)
def test_not_yet(sent: bytes, line: tuple[socket.socket, socket.socket]) -> None:
    near, far = line
    assert patience.missing(far) == 0
    near.sendall(sent)
    assert is_readable(far, 5)
    patience.wake_after(far, 0)
    # The rest may still be on its way through the kernel.
    assert patience.missing(far) in range(1, len(sent) + 1)
    patience.wake_after(far, len(sent))
    assert not is_readable(far, 0.05)
    near.sendall(b"x")
    assert is_readable(far, 5)


def test_given_up(line: tuple[socket.socket, socket.socket]) -> None:
    near, far = line
    near.sendall(GET[:5])
    assert is_readable(far, 5)
    patience.wake_after(far, 5)
    near.close()
    assert is_readable(far, 5)
