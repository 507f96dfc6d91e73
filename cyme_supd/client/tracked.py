"""The record of tasks of applications that are tracked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import Answer

PAGE = 500


class TrackedTasks:
    """It iterates as all tasks on record, those that began last first.

    What is wanted of them is said by ``app name state worker queue error since until q``,
    wherever ``**wanted`` stands.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __iter__(self) -> Iterator[Answer]:
        return self.find()

    def find(self, **wanted: Any) -> Iterator[Answer]:
        """Page by page, as far as taken."""
        after: str | None = ""
        while after is not None:
            given = {"per_page": PAGE, **wanted, "after": after or wanted.get("after")}
            said = self._connection.read("/api/tasks/", **given)
            yield from said["data"]["tasks"]
            after = said["after"]

    def get(self, id: str) -> Answer:
        """One, with its states and children; raises ``NotFound``."""
        return dict(self._connection.read(self._path(id))["data"]["task"])

    def gaps(self, **wanted: Any) -> list[Answer]:
        """The spans in which something was away that would have told of them."""
        return list(self._connection.read("/api/tasks/", per_page=1, **wanted)["gaps"])

    def export(self, **wanted: Any) -> Iterator[Answer]:
        """All that is known of each, but for its children; page by page, as far as taken."""
        given = {"per_page": PAGE, **wanted}
        return map(json.loads, self._connection.lines("/api/tasks/export/", **given))

    def errors(self, **wanted: Any) -> list[Answer]:
        """Those that failed, by the kind of exception, the most frequent first."""
        return list(self._connection.read("/api/tasks/errors/", **wanted)["data"]["errors"])

    def refusals(self, app: str | None = None, limit: int | None = None) -> list[Answer]:
        """Messages that are not recorded as tasks, the latest first."""
        given = {"app": app, "per_page": limit, "secrets": self._connection.secrets}
        said = self._connection.read("/api/tasks/refusals/", **given)
        return list(said["data"]["refusals"])

    def retry(self, id: str, force: bool = False) -> str:
        """Send it again; the id of the new task.

        ``Conflict`` for one that has not ended, that cannot be sent again, or of which a
        retry is under way or has gone well, unless with *force*.
        """
        given = {"force": force or None}
        said = self._connection.request("POST", f"{self._path(id)}retry/", given)
        return str(said["data"]["task"]["id"])

    def retry_all(self, dry_run: bool = False, **wanted: Any) -> Answer:
        """Send all again that match: how many ``matched`` and were ``sent``, why others were
        ``left_out``, and the ``ids`` of the first new ones; with *dry_run* what would be done.
        """
        total: dict[str, Any] = {"matched": 0, "sent": 0, "left_out": {}, "ids": []}
        after: str | None = ""
        while after is not None:
            given = {**wanted, "dry_run": dry_run or None, "after": after or None}
            said = self._connection.request("POST", "/api/tasks/retry/", given)["data"]
            _add(total, said)
            # A broker that went away is not asked again and again.
            after = None if said["left_out"].get("not sent") else said["after"]
        return total

    def revoke(self, id: str, terminate: bool = False) -> None:
        """Have all workers leave it out; with *terminate* kill the process that runs it.

        ``Conflict`` for one that has ended.
        """
        given = {"terminate": terminate or None}
        self._connection.request("POST", f"{self._path(id)}revoke/", given, is_repeatable=True)

    def _path(self, id: str) -> str:
        return f"/api/tasks/{segment('task', id)}/"


def _add(total: dict[str, Any], said: Answer) -> None:
    for name in ("matched", "sent"):
        total[name] += said[name]
    for reason, count in said["left_out"].items():
        total["left_out"][reason] = total["left_out"].get(reason, 0) + count
    total["ids"] += said["ids"]
