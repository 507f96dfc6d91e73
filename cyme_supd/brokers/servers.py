"""What a broker says of itself, asked once and in bounded time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu import Connection

from cyme_supd.brokers import bounded, connections

#: For each step; the whole may take twice as long.
STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Server:
    """``now`` is its clock in epoch seconds, of one that tells it.

    ``memory_limit`` is in bytes, 0 where there is none; ``memory_policy`` what it
    does beyond that: both of Redis alone.
    """

    product: str
    version: str
    now: float | None = None
    memory_limit: int = 0
    memory_policy: str = ""


def look(broker: str, within_s: float) -> Server:
    """Connect as a worker would; raises ``OSError`` with the reason where that fails."""
    conn = connections.connection(broker, STEP_S, STEP_S)
    try:
        bounded.connect(conn, within_s)
        return _redis(conn) if conn.transport.driver_type == "redis" else _amqp(conn)
    except connections.broken(conn) as exc:
        raise OSError(_reason(exc)) from exc
    finally:
        bounded.let_go(conn)


def _redis(conn: Connection) -> Server:
    client = conn.default_channel.client
    told: dict[str, Any] = client.info()
    seconds, microseconds = client.time()
    return Server(
        product="Valkey" if told.get("server_name") == "valkey" else "Redis",
        # Of Valkey the other one is that of the Redis it stands for.
        version=str(told.get("valkey_version") or told.get("redis_version", "")),
        now=seconds + microseconds / 1e6,
        memory_limit=int(told.get("maxmemory", 0)),
        memory_policy=str(told.get("maxmemory_policy", "")),
    )


def _amqp(conn: Connection) -> Server:
    told = conn.connection.server_properties
    return Server(str(told.get("product", "AMQP")), str(told.get("version", "")))


def _reason(exc: BaseException) -> str:
    text = getattr(exc, "strerror", None) or getattr(exc, "reply_text", None) or str(exc)
    return " ".join(str(text).split()) or type(exc).__name__
