"""What a look at the store has of all there is of a kind: a seam, as those in ``ports`` are."""

from __future__ import annotations

from typing import Protocol

from cyme_supd.domain.changes import Trace
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Status


class Whole(Protocol):
    """As many questions to the database, however many there are."""

    def apps(self) -> list[App]:
        """Those not being deleted, in the order of their names."""

    def queues(self) -> list[Queue]:
        """Of all apps not being deleted, in the order of apps and names."""

    def instances(self, app: str | None = None, branch: str | None = None) -> list[Instance]:
        """All, or those of the app, or of the branch, in the order of their names; those
        being deleted too."""

    def statuses(self, branch: str | None = None) -> dict[str, Status]:
        """Of the branch, or of all, by name."""

    def traces(self, branch: str | None = None) -> dict[str, Trace]:
        """Of those statuses, by name; cheaper, to be compared with earlier ones."""

    def branches(self) -> list[Branch]: ...
