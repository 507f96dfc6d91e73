"""Use-cases of what one branch itself runs, whatever application it is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.spec import Instance, Worker
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.service.context import Context
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import why_broker_down
from cyme_supd.service.together import together

#: What it takes to connect to a broker, and to leave it.
LEAVE_S = 0.5


class Roster:
    def __init__(self, context: Context) -> None:
        self._context = context

    def workers(self) -> list[Worker]:
        """Of every instance of this branch that is not being deleted, by name."""
        with self._context.store.reading() as view:
            found = view.workers(self._context.here.id)
        return sorted(
            (each for each in found if not each.instance.is_deleting), key=lambda each: each.name
        )

    def find(self, name: str) -> Instance:
        """The one of that name; ``NotFound`` where this branch has none."""
        check_name("instance", name)
        here = self._context.here.id
        with self._context.store.reading() as view:
            found = view.instance(name)
        if found.branch != here or found.is_deleting:
            raise NotFound(f"branch {here!r} has no instance {name!r}")
        return found

    def stats(self, timeout_s: float) -> dict[str, Mapping[str, object]]:
        """Celery's own of those that are enabled, by name, all brokers asked at once.

        Whoever does not answer in time is left out, and so are all whose
        broker does not, or is known to be down.
        """
        questions = {
            broker: partial(self._context.questions.stats_of_all, workers, timeout_s)
            for broker, workers in self._by_broker().items()
        }
        answers = together(questions, timeout_s + LEAVE_S) if questions else {}
        found: dict[str, Mapping[str, object]] = {}
        for answer in answers.values():
            if not isinstance(answer, CymeError):
                found.update(answer)
        return found

    def _by_broker(self) -> dict[str, list[Worker]]:
        """Whom to ask."""
        with self._context.store.reading() as view:
            branch = branch_or_none(view, self._context.here.id)
        wanted: defaultdict[str, list[Worker]] = defaultdict(list)
        for worker in self.workers():
            if worker.instance.is_enabled:
                wanted[worker.broker].append(worker)
        now = self._context.clock.now()
        return {
            broker: workers
            for broker, workers in wanted.items()
            if not why_broker_down(branch, parse_broker(broker).key, now)
        }
