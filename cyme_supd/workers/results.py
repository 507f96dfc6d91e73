"""The branch's side of results: from the brokers into the store, which keeps the first word."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.task import Task, TaskState, results_queue
from cyme_supd.domain.values import load_json
from cyme_supd.errors import Invalid
from cyme_supd.workers import inbox
from cyme_supd.workers.inbox import Post

log = logging.getLogger(__name__)

Save = Callable[[Sequence[Task]], None]
IsGiven = Callable[[str, str], bool]


class Inboxes(inbox.Inboxes[Task]):
    """One thread a broker, each taking results from the branch's own queue there.

    ``save`` stores what came; ``is_given(app, id)`` says whether that id was
    given to a task of that app.
    """

    def __init__(
        self,
        branch: str,
        clock: Clock,
        save: Save,
        is_given: IsGiven,
        beat: Callable[[str], None],
        retire: Callable[[str], None],
    ) -> None:
        self._is_given = is_given
        post = Post("results", results_queue(branch), self._read, save)
        super().__init__(lambda url: post, clock, beat, retire)

    def _read(self, body: Any) -> list[Task]:
        """The tasks that a message is about: one, or a list of them."""
        try:
            said = load_json(body)
        except (TypeError, ValueError, Invalid) as exc:
            log.warning("a message among the results is none: %s", exc)
            return []
        each_said = said if isinstance(said, list) else [said]
        return [task for each in each_said if (task := self._known(each))]

    def _known(self, said: Any) -> Task | None:
        try:
            task = _task(said)
            if not self._is_given(task.app, task.id):
                raise ValueError("its id was given to nobody")
            return task
        except (TypeError, KeyError, ValueError, Invalid) as exc:
            log.warning("what is said of a result cannot be: %s", exc)
            return None


def _task(said: Any) -> Task:
    """What a worker says; any kind of ``ValueError`` or ``TypeError`` if it cannot be that."""
    task = Task(
        id=str(said["id"]),
        app=str(said["app"]),
        state=TaskState(said["state"]),
        result=said["result"],
        error=said["error"],
        finished_at=datetime.fromisoformat(said["at"]),
    )
    has_kinds = isinstance(task.result, dict | None) and isinstance(task.error, str | None)
    if not has_kinds or task.finished_at.tzinfo is None or task.state == TaskState.PENDING:
        raise ValueError("it says nothing of an end")
    return task
