"""Declarations of queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyme_supd.client.parts import Answer, Part, Section


class Queue(Part):
    """A declaration. The broker's queue is another thing: it outlives this."""

    kind = "queue"

    @property
    def exchange(self) -> str:
        return str(self.info["exchange"])

    @property
    def exchange_type(self) -> str:
        return str(self.info["exchange_type"])

    @property
    def routing_key(self) -> str:
        return str(self.info["routing_key"])

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.info["options"])

    def purge(self, expect: int | None = None) -> int:
        """Drop the messages that wait; how many there were.

        With *expect* only where there are about as many: else ``Conflict``.
        """
        answer = self._change("POST", "purge/", params={"expect": expect})
        return int(answer["purged"])

    def delete(self, nowait: bool = False, purge: bool = False) -> Answer | None:
        """Forget it; every instance stops consuming from it.

        ``None`` when they have; else the answer, with the ``reason`` why not
        yet. With *purge* the broker's queue is emptied, too.
        """
        return self._delete(nowait, {"purge": purge or None})


class Queues(Section[Queue]):
    """The queues that an application has declared."""

    def _part(self, name: str, seen: Mapping[str, Any] | None = None) -> Queue:
        return Queue(self._connection, self._collection, name, seen)

    def add(
        self,
        name: str,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
        nowait: bool = False,
        **options: Any,
    ) -> Queue:
        """Declare it, or declare it anew; what is not said has its default, or stays.

        *options* are ``durable``, ``max_priority``, ``message_ttl`` and the
        others of the route.
        """
        return self._put(
            name,
            nowait,
            {
                "exchange": exchange,
                "exchange_type": exchange_type,
                "routing_key": routing_key,
                "options": options or None,
            },
        )

    def delete(self, name: str, nowait: bool = False, purge: bool = False) -> Answer | None:
        return self._part(name).delete(nowait, purge)
