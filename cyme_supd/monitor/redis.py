"""Messages and events from Redis and Valkey, as they are.

Messages go from the platform queue's lists to one of this monitor's own in one step of
the server, and from there when they are committed: whenever a monitor is killed, they
are in one of the two. Events are only told to who listens: there is no keeping them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from kombu import Connection, Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from cyme_supd.domain.taskmessage import Message
from cyme_supd.domain.tracking import Place
from cyme_supd.monitor.amqp import EVENT_EXCHANGE, MOST, MOST_BYTES
from cyme_supd.monitor.reading import Letter

#: KEYS: the monitor's own list, then those of the queue, in the order of their priorities.
#: ARGV: how many, how many bytes in all, and of one; of a longer one the beginning is kept.
TAKE = """
local count, size, longest = 0, 0, tonumber(ARGV[3])
-- What was taken and not committed comes first, alone: it is not to become more.
if redis.call('LLEN', KEYS[1]) > 0 then return redis.call('LRANGE', KEYS[1], 0, -1) end
for i = 2, #KEYS do
  while count < tonumber(ARGV[1]) and size < tonumber(ARGV[2]) do
    local item = redis.call('RPOP', KEYS[i])
    if not item then break end
    if #item > longest then item = '!' .. #item .. ' ' .. string.sub(item, 1, 4096) end
    redis.call('RPUSH', KEYS[1], item)
    count, size = count + 1, size + #item
  end
end
return redis.call('LRANGE', KEYS[1], 0, -1)
"""
MOST_ITEM = 32 * 1024 * 1024
#: How often it is looked whether there is something, where there is nothing.
LOOK_S = 0.05


class RedisTaker:
    """*owner* is this monitor alone, of all that there are at the broker."""

    is_whole = False

    def __init__(self, connection: Connection, place: Place, owner: str) -> None:
        self._channel = connection.default_channel
        topic = Exchange(place.exchange, type="topic")
        Queue(place.queue, topic, routing_key="#")(self._channel).declare()
        self._client = self._channel._create_client()
        self.server = str(self._client.info("server").get("run_id", ""))
        lists = [self._channel._q_for_pri(place.queue, p) for p in self._channel.priority_steps]
        own = f"cyme.monitor.{owner}.{place.queue}"
        prefix = self._channel.global_keyprefix
        self._keys = [f"{prefix}{name}" for name in (own, *dict.fromkeys(lists))]
        self._taken = 0
        self._events = self._listen()

    def take(self, wait_s: float) -> list[Letter]:
        until = time.monotonic() + wait_s
        while True:
            letters = [*self._messages(), *self._heard()]
            if letters or time.monotonic() >= until:
                return letters
            # It waits for an event, and not longer than until it is to look again.
            letters = self._heard(LOOK_S)
            if letters:
                return letters

    def done(self) -> None:
        """Forget what was taken, which has been committed."""
        if self._taken:
            self._client.ltrim(self._keys[0], self._taken, -1)
            self._taken = 0

    def _messages(self) -> list[Letter]:
        limits = (MOST, MOST_BYTES, MOST_ITEM)
        found = self._client.execute_command("EVAL", TAKE, len(self._keys), *self._keys, *limits)
        self._taken = len(found)
        return [_letter(item, False) for item in found]

    def _listen(self) -> Any:
        prefix = f"{self._channel.global_keyprefix}{self._channel.keyprefix_fanout}"
        events = self._client.pubsub(ignore_subscribe_messages=True)
        events.psubscribe(f"{prefix}{EVENT_EXCHANGE}*")
        # It would connect again by itself, and nobody would know that something went by.
        events.connection.retry = Retry(NoBackoff(), 0)
        return events

    def _heard(self, wait_s: float = 0.0) -> list[Letter]:
        letters: list[Letter] = []
        while len(letters) < MOST:
            told = self._events.get_message(timeout=wait_s)
            if told is None:
                break
            wait_s = 0.0
            if told.get("type") == "pmessage":
                letters.append(_letter(told["data"], True))
        return letters


def _letter(item: bytes, is_event: bool) -> Letter:
    nothing = Message(item[:4096])
    if item.startswith(b"!"):
        return Letter(nothing, is_event, "body")
    try:
        found = json.loads(item)
    except (ValueError, RecursionError):
        return Letter(nothing, is_event, "no task")
    properties = found.get("properties") if isinstance(found, Mapping) else None
    body = found.get("body") if isinstance(found, Mapping) else None
    if not isinstance(properties, Mapping) or not isinstance(body, str):
        return Letter(nothing, is_event, "no task")
    return Letter(_message(found, properties, body, is_event), is_event)


def _message(
    found: Mapping[str, Any], properties: Mapping[str, Any], body: str, is_event: bool
) -> Message:
    info: Any = properties.get("delivery_info")
    info = info if isinstance(info, Mapping) else {}
    return Message(
        body,
        str(found.get("content-type", "")),
        str(found.get("content-encoding", "")),
        found.get("headers"),  # type: ignore[arg-type]
        properties,
        str(info.get("exchange", "")),
        str(info.get("routing_key", "")),
    )
