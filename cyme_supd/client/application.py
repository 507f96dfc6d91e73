"""One application: how its workers run, and all that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.instances import Instances
from cyme_supd.client.parts import Answer, Part
from cyme_supd.client.queues import Queue, Queues
from cyme_supd.client.tasks import Task
from cyme_supd.errors import Invalid


class Application(Part):
    """``queues`` and ``instances`` are what it has; ``info`` is what it is."""

    kind = "app"

    def __init__(
        self, connection: Connection, name: str, seen: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(connection, "/", name, seen)
        self.queues = Queues(connection, self._path("queues/"))
        self.instances = Instances(connection, self._path("instances/"))

    def __repr__(self) -> str:
        # As a client of this application: what people know it by.
        return f"<Client: {f'{self._connection.shown_url}/{self._segment}'!r}>"

    # Its workers, all of them

    def start(self, nowait: bool = False) -> Answer:
        """Have all its instances run."""
        return self._act("start/", nowait)

    def stop(self, nowait: bool = False) -> Answer:
        """Have all its instances stopped, and stay so."""
        return self._act("stop/", nowait)

    def restart(self, max_unavailable: int | None = None) -> Answer:
        """Begin a rolling restart, of at most *max_unavailable* at once; how far it is."""
        return self._change("POST", "restart/", params={"max_unavailable": max_unavailable})

    def rollout(self) -> Answer:
        """How far the last rolling restart is: ``{"state", "restarted", "left", ...}``."""
        return self._connection.read(self._path("restart/"))

    def resume_restart(self) -> Answer:
        """Go on with one that stopped."""
        return self._act("restart/resume/")

    def abort_restart(self) -> Answer:
        """Restart no more of them."""
        return self._act("restart/abort/")

    # Looking

    def plan(self) -> Answer:
        """What would be done about its workers now, and why."""
        return self._connection.read(self._path("plan/"))

    def orphans(self) -> Answer:
        """What nobody takes care of: messages, consumers, tasks, processes."""
        return self._connection.read(self._path("orphans/"))

    # Tasks

    def send(
        self,
        url: str,
        queue: str | Queue,
        method: str = "GET",
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Task:
        """Queue a request of *url* for a worker that consumes from *queue*.

        *params* are added to its query. *data* is its body: text and bytes as
        they are, an object of strings as a form, everything else as JSON.
        Never sent twice: raises ``Unavailable`` where it may have been queued.
        """
        wanted = {"url": url, "method": method, "params": params, "headers": headers}
        request = {**wanted, "data": _text(data)}
        name = queue.name if isinstance(queue, Queue) else queue
        path = self._path(f"queue/{segment('queue', name)}/")
        given = {key: value for key, value in request.items() if value is not None}
        (id,) = self._connection.send_list(path, [given])["uuids"]
        return self.task(id)

    def task(self, id: str) -> Task:
        """One that was queued before, by its id."""
        return Task(self._connection, self.name, id)

    def delete(self, force: bool = False, nowait: bool = False) -> Answer | None:
        """Forget it; raises ``Conflict`` while it has instances, unless by *force*.

        ``None`` when it is gone; else the answer, with the ``reason`` why not yet.
        """
        return self._delete(nowait, {"force": force or None})


def _text(data: Any) -> Any:
    if not isinstance(data, bytes | bytearray):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(
            "data: bytes that are not UTF-8", "send them to the route that takes a body as it is"
        ) from None
