"""Which workers get a new process for what came from another branch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import Worker
from cyme_supd.service.observed import needs_new_process


class Before:
    """The workers as they were before something changed."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def see(self, view: View, apps: Collection[str]) -> None:
        """Those of all instances of these *apps*; seen again, the first look counts."""
        names = {one.name for app in apps for one in view.instances(app)} - self._workers.keys()
        self._workers.update((each.name, each) for each in view.workers_named(names))

    def replaced(self, after: Iterable[Worker]) -> tuple[str, ...]:
        """Names of those that cannot go on as they are now wanted."""
        known = ((self._workers.get(each.name), each) for each in after)
        return tuple(now.name for was, now in known if was and _is_replaced(was, now))


def _is_replaced(was: Worker, now: Worker) -> bool:
    instance = now.instance
    if not instance.is_enabled or instance.is_deleting or instance.move is not None:
        return False
    declared = {queue.name: entry(queue) for queue in was.queues}
    is_declared_otherwise = any(
        entry(queue) != declared.get(queue.name, entry(queue)) for queue in now.queues
    )
    return is_declared_otherwise or needs_new_process(_in_place(was), _in_place(now))


def _in_place(worker: Worker) -> Worker:
    # A rolling restart takes its turns, and is asked for as such.
    return replace(worker, app=replace(worker.app, rollout=None))
