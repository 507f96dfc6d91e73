"""Whether a request has come in whole: before that it gets no thread.

A client that sends a byte now and then would otherwise hold one, and a few
dozen of them all.
"""

from __future__ import annotations

import re
import socket
import struct

from cyme_supd.domain.task import MAX_DATA

#: Longest request that is waited for: less than the kernel keeps of a
#: connection nobody reads from. Of a longer one a thread reads the rest.
WHOLE = 32 * 1024
#: How long a client may take over that.
REQUEST_S = 10.0

#: How long a thread waits for a byte of what is longer, or for one to be taken.
STALL_S = 30

#: A chunk's size and what may be said beside it.
_LONGEST_SIZE = 256

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_ASKING = re.compile(rb"\r\nexpect:", re.IGNORECASE)


def missing(sock: socket.socket) -> int | None:
    """How much has come of a request that is not whole; ``None`` of one that is.

    Nothing is taken. One that can only fail, or has been given up by the
    client, counts as whole: whoever reads it finds out.
    """
    try:
        seen = sock.recv(WHOLE, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError:
        return None
    return len(seen) if 0 < len(seen) < WHOLE and not _is_whole(seen) else None


def _is_whole(seen: bytes) -> bool:
    end = seen.find(b"\r\n\r\n")
    if end < 0:
        return False
    body = len(seen) - end - 4
    if _ASKING.search(seen, 0, end + 2):
        # It sends no body before it is told to go on.
        return True
    if _CHUNKED.search(seen, 0, end + 2):
        return _has_last_chunk(seen[end + 4 :])
    found = _LENGTH.search(seen, 0, end + 2)
    # One that is too long is refused by its head.
    return found is None or int(found[1]) <= body or int(found[1]) > MAX_DATA


def _has_last_chunk(body: bytes) -> bool:
    """Also where it is broken: that is then for the reader to say."""
    at = 0
    while at <= len(body):
        end = body.find(b"\r\n", at)
        if end < 0:
            return len(body) - at > _LONGEST_SIZE
        try:
            size = int(body[at:end].partition(b";")[0], 16)
        except ValueError:
            return True
        if size <= 0:
            return size < 0 or body.find(b"\r\n\r\n", at) >= 0
        at = end + 2 + size + 2
    return False


def wake_after(sock: socket.socket, count: int) -> None:
    """Have the socket readable only when more than *count* bytes wait; 0 is as it ever is."""
    # The kernel keeps a client's bytes: nothing here has to be fed back later.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count + 1)


def limit_stalls(sock: socket.socket) -> None:
    """Have a blocking read, and a write, fail where nothing goes on for long."""
    stall = struct.pack("ll", STALL_S, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, stall)
