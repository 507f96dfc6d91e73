"""Connections that give up on a broker that does not answer."""

from __future__ import annotations

from typing import Any

from kombu import Connection
from kombu.exceptions import KombuError

CONNECT_TIMEOUT_S = 3.0
IO_TIMEOUT_S = 5.0

Errors = tuple[type[BaseException], ...]


def connection(
    broker: str,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    io_timeout_s: float = IO_TIMEOUT_S,
    transport: str | None = None,
    **more: Any,
) -> Connection:
    """A connection that gives up on a broker that does not answer.

    kombu's own default is to wait for ever on a socket that is open. *more*
    are options of the broker's transport.
    """
    if broker.startswith("redis"):
        options = {"socket_timeout": io_timeout_s, "socket_connect_timeout": connect_timeout_s}
    else:
        options = {"read_timeout": io_timeout_s, "write_timeout": io_timeout_s}
    return Connection(
        broker,
        transport=transport,
        connect_timeout=connect_timeout_s,
        transport_options={**options, **more},
        heartbeat=0,
    )


def broken(conn: Connection) -> Errors:
    """What *conn* raises when the broker is not to be had."""
    return (*conn.connection_errors, *conn.channel_errors, KombuError, OSError)
