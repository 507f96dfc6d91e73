"""What changes, for all who wait for it: one look at the store, however many they are.

Nobody looks while nobody waits. Of those who do, whoever comes first when it
is time looks for all of them, and asks the other branches, each of which
looks at its own store when it is asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cyme_supd.domain.audit import APP, BRANCH, Query
from cyme_supd.domain.changes import ALL, MOST_TOLD, Change, Journal, Trace, changes, of_runs
from cyme_supd.domain.ports import View
from cyme_supd.domain.presence import growing_s
from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.errors import CymeError
from cyme_supd.service.context import Context

log = logging.getLogger(__name__)

#: The command of the mailbox.
WATCH = "watch"
#: How often the store is asked whether there is anything new, and others at the most.
LOOK_S, ASK_S = 0.1, 0.5
#: A look may take no more than this share of the time.
SHARE = 0.1
#: Of what happens to runs, so much in one look; the rest in the next.
MOST_NEWS = 1000


class Watching:
    """Safe to share between threads."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._mailbox = context.mailbox
        self._fleet = context.fleet
        self._clock = context.clock
        self._here = context.here
        self._journal = Journal(uuid4().hex)
        self._sight = _Sight(None if context.here.is_shared else context.here.id)
        #: By branch that lives, where its own journal has been read to.
        self._others: dict[str, str] = {}
        #: Held by whoever looks; and by who has to do with the journal.
        self._looking, self._lock = threading.Lock(), threading.Lock()
        self._version: int | None = None
        self._look_at = self._ask_at = float("-inf")

    def since(self, place: str = "") -> tuple[str, list[Change]]:
        """What has changed since *place*, and where that leads to.

        What nobody knows, as when there was no *place* yet, is told as ``ALL``.
        """
        if self._looking.acquire(blocking=False):
            try:
                self._look_around()
            finally:
                self._looking.release()
        return self._told_since(place)

    def answer(self, arguments: Mapping[str, Any], _left_s: float) -> dict[str, Any]:
        """To another branch that asks what has changed here since it asked last."""
        place = str(arguments.get("since", {}).get(self._here.id, ""))
        with self._looking:
            self._look()
        end, told = self._told_since(place)
        if len(told) > MOST_TOLD:
            told = [Change(ALL)]
        return {"end": end, "changes": [[each.kind, each.app, each.name] for each in told]}

    def _told_since(self, place: str) -> tuple[str, list[Change]]:
        with self._lock:
            return self._journal.end, self._journal.after(place)

    def _tell(self, told: list[Change]) -> None:
        with self._lock:
            self._journal.add(told)

    def _look_around(self) -> None:
        begun_at = self._clock.monotonic()
        if begun_at >= self._look_at:
            self._look()
            took_s = self._clock.monotonic() - begun_at
            self._look_at = begun_at + max(LOOK_S, took_s / SHARE)
        if begun_at >= self._ask_at:
            self._ask()

    def _look(self) -> None:
        try:
            # Asked before looking: what is committed in between is seen next time.
            version = self._store.version()
            if version != self._version:
                with self._store.reading() as view:
                    self._tell(self._sight.look(view))
            self._version = version
        except CymeError as exc:
            if self._version is not None:
                log.info("it is not known what changes: %s", exc)
                self._tell([Change(ALL)])
            self._version = None

    def _ask(self) -> None:
        others = self._fleet.others()
        self._ask_at = self._clock.monotonic() + growing_s(len(others), ASK_S)
        came_or_went = sorted(set(others) ^ self._others.keys())
        self._tell([Change(BRANCH, "", id) for id in came_or_went])
        self._others = {id: self._others.get(id, "") for id in others}
        if others and not self._here.is_shared:
            self._ask_those(others)

    def _ask_those(self, others: list[str]) -> None:
        try:
            said = self._mailbox.scatter(WATCH, {"since": self._others}, ASK_S, others).answers
        except CymeError as exc:
            log.debug("the others do not tell what changes: %s", exc)
            return
        told: dict[Change, None] = {}
        for id, each in said.items():
            self._others[id] = str(each["end"])
            told.update(dict.fromkeys(Change(*map(str, one)) for one in each["changes"]))
        self._tell(list(told))


class _Sight:
    """What was seen last, of *branch* or of all."""

    def __init__(self, branch: str | None) -> None:
        self._branch = branch
        self._traces: Mapping[str, Trace] = {}
        self._rollouts: list[RolloutStatus] = []
        self._newest: int | None = None
        self._news: int | None = None

    def look(self, view: View) -> list[Change]:
        """What is not as it was; of a first look nobody knows."""
        is_first = self._newest is None
        events = view.audit(Query(newer_than=self._newest, limit=1 if is_first else MOST_TOLD + 1))
        traces, rollouts = view.traces(self._branch), view.rollouts()
        told = changes(self._traces, traces, events)
        told += self._of_runs(view)
        told += [Change(APP, each.app, each.app) for each in rollouts if each not in self._rollouts]
        self._traces, self._rollouts = traces, rollouts
        self._newest = max((each.id for each in events), default=self._newest or 0)
        return [Change(ALL)] if is_first else told

    def _of_runs(self, view: View) -> list[Change]:
        before = self._news
        news = view.run_news(before, MOST_NEWS)
        # Where there was none at all yet, the first is new.
        self._news = max((each.id for each in news), default=before or 0)
        return [] if before is None else of_runs(each.job_id for each in news)
