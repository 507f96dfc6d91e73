"""All there is of a kind in the store in memory."""

from __future__ import annotations

from cyme_supd.domain.changes import Trace
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Branch, Status
from cyme_supd.testing.state import State


class MemoryWhole:
    _state: State

    def apps(self) -> list[App]:
        found = (app for _, app in sorted(self._state.apps.items()))
        return [each for each in found if not each.is_deleting]

    def queues(self) -> list[Queue]:
        names = {each.name for each in self.apps()}
        return [each for (app, _), each in sorted(self._state.queues.items()) if app in names]

    def instances(self, app: str | None = None, branch: str | None = None) -> list[Instance]:
        return [
            each
            for each in self._sorted()
            if app in (None, each.app) and branch in (None, each.branch)
        ]

    def statuses(self, branch: str | None = None) -> dict[str, Status]:
        return {
            name: status
            for name, status in self._state.statuses.items()
            if branch in (None, self._state.instances[name].branch)
        }

    def traces(self, branch: str | None = None) -> dict[str, Trace]:
        return {
            name: Trace(self._state.instances[name].app, status)
            for name, status in self.statuses(branch).items()
        }

    def branches(self) -> list[Branch]:
        return [each for _, each in sorted(self._state.branches.items())]

    def _sorted(self) -> list[Instance]:
        return [self._state.instances[name] for name in sorted(self._state.instances)]
