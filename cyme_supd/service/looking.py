"""An instance as a reader sees it: desired and observed together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cyme_supd.domain import pause
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App, Instance, Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.errors import Conflict, NotFound, Unavailable
from cyme_supd.service.observed import ThisBranch, assemble, shown


@dataclass(frozen=True, slots=True)
class Details:
    """``status`` has ``None`` for what is not known any more; ``observed_at``
    is when its branch last looked."""

    worker: Worker
    status: Status | None
    observed_at: datetime | None

    @property
    def instance(self) -> Instance:
        return self.worker.instance


def instance_of(view: View, app: str | None, name: str) -> Instance:
    """The instance, which must be the app's; ``None`` is any app."""
    instance = view.instance(name)
    if app is not None and instance.app != app:
        view.app(app)
        raise NotFound(f"app {app!r} has no instance {name!r}")
    return instance


def details(view: View, instance: Instance, here: ThisBranch, now: datetime) -> Details:
    branch = branch_or_none(view, instance.branch)
    worker = assemble(pause.shown(instance, now), view.app(instance.app), here)
    status = shown(view.status(instance.name), branch, now)
    return Details(worker, status, branch.observed_at if branch else None)


def branch_or_none(view: View, id: str) -> Branch | None:
    try:
        return view.branch(id)
    except NotFound:
        return None


def check_alive(thing: App | Instance) -> None:
    """Raise ``Conflict`` where it is being deleted."""
    if thing.is_deleting:
        raise Conflict(f"{thing.name} is being deleted", "ask again when it is gone")


def check_room(view: View, id: str) -> None:
    """Raise ``Unavailable`` where the branch's supervisord can run no more workers."""
    branch = branch_or_none(view, id)
    supervisord = (branch.health.get("supervisord") or {}) if branch else {}
    room = supervisord.get("room")
    if room is not None and view.instance_count(id) >= room:
        raise Unavailable(
            f"branch {id!r} has room for {room} instances, and has them",
            "start cyme-branch again: it makes room where the limit of open files allows it",
        )
