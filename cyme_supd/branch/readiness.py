"""Says to whoever started the branch that it is ready, as a service manager is told.

The protocol is ``sd_notify(3)``: a datagram with ``READY=1`` to the socket that
the environment names. systemd waits for it, and so does ``cyme-branch --detach``.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

NOTIFY_SOCKET = "NOTIFY_SOCKET"
READY = "READY=1"
EVERY_S = 0.1
CONNECT_TIMEOUT_S = 1.0


def tell_when(
    is_ready: Callable[[], bool],
    stop: threading.Event,
    beat: Callable[[], None],
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Wait until *is_ready*, and say so once; at once over where nobody wants to know."""
    wanted = environment.get(NOTIFY_SOCKET)
    while wanted and not stop.is_set():
        beat()
        if is_ready():
            notify(wanted, READY)
            return
        stop.wait(EVERY_S)


def notify(address: str, text: str) -> None:
    """Send *text* to a socket's path, or to an abstract one that is written ``@name``."""
    place = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.settimeout(CONNECT_TIMEOUT_S)
        try:
            speaker.sendto(text.encode(), place)
        except OSError as exc:
            # Who started it has gone meanwhile, or this is not its first start.
            log.debug("nobody hears that the branch is ready: %s", exc.strerror)


def serves(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True
