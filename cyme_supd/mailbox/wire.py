"""What goes over the broker between branches, and where.

Questions and answers have the form that kombu's pidbox gives them. Who hears
has three queues that live as long as its connection: its *address*, for what is
meant for it alone; one at the fanout exchange ``<fleet>.presence``; and, where
it answers, one at that of the pidbox. An address is another one for every
connection, so that of two processes, or two connections of one of which the
broker does not yet know that it is dead, none takes what is the other's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from kombu import Exchange, Queue
from kombu.pidbox import Mailbox

from cyme_supd.domain.naming import check_name
from cyme_supd.domain.presence import Heartbeat
from cyme_supd.domain.values import load_json
from cyme_supd.mailbox import pubsub

#: For what a broker keeps of a connection that it has not noticed to be dead.
QUEUE_EXPIRES_S = 60.0
#: What somebody may say of how often it beats.
_INTERVALS_S = (0.05, 3600.0)


class Kind(StrEnum):
    """What a message is; in its header ``kind``."""

    HEARTBEAT = "heartbeat"
    #: Asks every branch to send its heartbeat to an address at once.
    ROLL_CALL = "roll-call"
    QUESTION = "question"
    ANSWER = "answer"
    #: To oneself: that it comes back shows that the broker passes on.
    ECHO = "echo"


@dataclass(frozen=True, slots=True)
class Message:
    """``headers`` has what its kind needs; ``body`` is JSON already."""

    kind: Kind
    body: str
    headers: Mapping[str, Any]


class Wire:
    """The places of one fleet at one broker."""

    def __init__(self, broker: str, fleet: str) -> None:
        self.fleet = fleet
        self.is_redis = broker.startswith("redis")
        self.transport = pubsub.TRANSPORT if self.is_redis else None
        self.presence = _fanout(f"{fleet}.presence")
        self.everybody = _fanout(Mailbox(fleet, type="fanout").exchange.name)
        # The default exchange puts into a queue by its name, and drops what is
        # for one that is gone; what Redis drops has to be published.
        self.direct = _fanout(f"{fleet}.direct") if self.is_redis else Exchange("")

    def new_address(self) -> str:
        return f"{self.fleet}.{uuid4().hex}"

    def queues(self, address: str, is_answering: bool) -> list[Queue]:
        """Those of *address*; that of its own first, which others come to know by the rest."""
        shared = [*([self.everybody] if is_answering else []), self.presence]
        return [
            self._queue(address, self.direct, address),
            *(self._queue(f"{address}.{exchange.name}", exchange, "") for exchange in shared),
        ]

    def _queue(self, name: str, exchange: Exchange, routing_key: str) -> Queue:
        return Queue(
            name,
            exchange=exchange,
            routing_key=routing_key,
            durable=False,
            exclusive=True,
            auto_delete=True,
            # kombu would write down on Redis that it is still there.
            expires=None if self.is_redis else QUEUE_EXPIRES_S,
        )

    def declare(self, channel: Any) -> None:
        """Before speaking. On AMQP who hears has declared them, and they go with the last of
        those; on Redis it is only what this connection has to know."""
        if self.is_redis:
            for exchange in (self.presence, self.everybody, self.direct):
                exchange(channel).declare()

    def place(self, address: str) -> tuple[str, str]:
        """Exchange and routing key of what is for *address* alone."""
        return self.direct.name, address


def _fanout(name: str) -> Exchange:
    return Exchange(name, type="fanout", durable=False, auto_delete=True, delivery_mode=1)


def as_json(value: Any) -> str:
    """Raises ``TypeError`` or ``ValueError`` for what JSON cannot hold."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def read(body: str | bytes | memoryview) -> dict[str, Any]:
    """The object in a message; ``ValueError`` or ``Invalid`` where there is none."""
    said = load_json(bytes(body) if isinstance(body, memoryview) else body)
    if not isinstance(said, dict):
        raise ValueError("not an object")
    return said


def heartbeat_message(heartbeat: Heartbeat) -> Message:
    said = {**asdict(heartbeat), "started_at": heartbeat.started_at.isoformat()}
    return Message(Kind.HEARTBEAT, as_json(said), {})


def heartbeat_of(said: Mapping[str, Any]) -> Heartbeat:
    """Raises a ``TypeError``, ``KeyError``, ``ValueError`` or ``Invalid`` if it is none.

    What a later version says more is passed over.
    """
    started_at = datetime.fromisoformat(said["started_at"])
    if started_at.tzinfo is None:
        raise ValueError("started_at has no time zone")
    known = {field.name: said[field.name] for field in fields(Heartbeat) if field.name in said}
    heartbeat = Heartbeat(**{**known, "started_at": started_at})
    for name, kind in _KINDS.items():
        if not isinstance(getattr(heartbeat, name), kind):
            raise TypeError(f"{name} is {getattr(heartbeat, name)!r}")
    check_name("branch", heartbeat.id)
    least, most = _INTERVALS_S
    load = heartbeat.load_average
    return replace(
        heartbeat,
        interval_s=min(max(heartbeat.interval_s, least), most),
        load_average=None if load is None else tuple(float(each) for each in load),
    )


_KINDS: dict[str, Any] = {
    "id": str,
    "url": str,
    "port": int,
    "version": str,
    "sup_interval": int | float,
    "numc": int,
    "loglevel": str,
    "logfile": str | None,
    "load_average": list | tuple | None,
    "memory": dict | None,
    "disk_use": int | float | None,
    "instances": int,
    "room": int | None,
    "is_draining": bool,
    "digest": str,
    "interval_s": int | float,
    "is_leaving": bool,
    "moving": dict | None,
    "address": str,
}
