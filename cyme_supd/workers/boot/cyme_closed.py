"""A task that ends when the connection its message came by is closed already.

On Redis kombu then fails with an ``AttributeError``, which Celery takes for a
fault of its own and ends the worker. A broker that is away for a second would
so end every worker that runs a task which is acknowledged late. As an error of
the connection it is logged: the message is given back, and runs again.

Self-contained: workers import it in their own virtual environments.
"""

from __future__ import annotations

from typing import Any


def say_so(channel: Any) -> None:
    """Have channels of this class raise ``ConnectionError`` where their connection is closed.

    *channel* is that of kombu's transport for Redis; a second call changes nothing.
    """
    create = channel._create_client
    if create.__module__ == __name__:
        return

    def create_client(self: Any, asynchronous: bool = False) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise ConnectionError("the connection that the message came by is closed")
        return create(self, asynchronous)

    channel._create_client = create_client
