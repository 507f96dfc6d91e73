"""Use-cases that act on tasks that are tracked: to send them again, and to revoke them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cyme_supd.domain.audit import CREATE, EDIT, TASK, Change
from cyme_supd.domain.ledgerstore import Cursor, TaskQuery, Tracked
from cyme_supd.domain.ports import View
from cyme_supd.domain.taskagain import (
    Again,
    LeftOut,
    again,
    announced,
    check_first,
    check_over,
    unsent,
)
from cyme_supd.domain.tracking import Place, tracked_places
from cyme_supd.errors import Conflict, CymeError, Unavailable
from cyme_supd.service.context import Context
from cyme_supd.service.tracking import latest

#: What one request sends at most, at once, and for how many seconds.
MOST, AT_ONCE, WITHIN_S = 10_000, 100, 20.0
#: Ids of new tasks that are told.
MOST_TOLD = 100
NO_APP, NOT_SENT = "no app", "not sent"


@dataclass(slots=True)
class Retried:
    """Of all that *matched*, how many were sent, and why others were left out.

    ``ids`` are those of the first new ones; ``after`` is where the next request goes on.
    """

    matched: int = 0
    sent: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    after: Cursor | None = None


class Retrying:
    def __init__(self, context: Context) -> None:
        self._context = context

    def one(self, id: str, force: bool = False, dry_run: bool = False) -> str:
        """Send it again; the id of the new task."""
        with self._context.store.reading() as view:
            task = latest(view, id)
            place = _place(self._context, view, task.source)
        letters, left = self._letters(place, [task], force, dry_run)
        for why in left:
            raise Conflict(why.message, why.hint)
        if not dry_run:
            self._send(place, letters)
            told = Change(CREATE, TASK, "", letters[0].id, None, {"retry_of": id})
            self._note(told)
        return letters[0].id

    def many(self, query: TaskQuery, dry_run: bool = False) -> Retried:
        """Send all again that match, those that began last first, as far as one request may.

        Those that begin while this goes on are not among them.
        """
        clock, done = self._context.clock, Retried()
        now, ends_at = clock.now().timestamp(), clock.monotonic() + WITHIN_S
        until = now if query.until is None else min(now, query.until)
        query = replace(query, until=until, limit=AT_ONCE)
        while True:
            with self._context.store.reading() as view:
                page = view.tracked(query)
            if not self._page(page.tasks, done, dry_run):
                # Whoever goes on begins with these.
                done.after = query.after
                break
            done.after = page.after
            if page.after is None or done.matched >= MOST or clock.monotonic() >= ends_at:
                break
            query = replace(query, after=page.after)
        if done.sent and not dry_run:
            asked = {name: value for name, value in _asked(query).items() if value is not None}
            self._note(Change(CREATE, TASK, "", "", None, {"tasks": done.sent, **asked}))
        return done

    def revoke(self, id: str, terminate: bool = False, dry_run: bool = False) -> Tracked:
        """Tell all workers to leave it out. ``Conflict`` for one that has ended."""
        context = self._context
        with context.store.reading() as view:
            task = latest(view, id)
            place = _place(context, view, task.source)
        if task.record.is_over:
            raise Conflict(f"task {id!r} has ended: it is {task.record.state}")
        if dry_run:
            return task
        context.task_broker.revoke(place, id, terminate)
        after = {"state": "revoking", "terminate": terminate}
        self._note(Change(EDIT, TASK, "", id, {"state": task.record.state}, after))
        return task

    def _page(self, tasks: Sequence[Tracked], done: Retried, dry_run: bool) -> bool:
        """Whether all of these were dealt with: a broker may go away."""
        for source in sorted({each.source for each in tasks}):
            own = [each for each in tasks if each.source == source]
            done.matched += len(own)
            try:
                with self._context.store.reading() as view:
                    place = _place(self._context, view, source)
            except Conflict:
                done.left_out[NO_APP] += len(own)
                continue
            letters, left = self._letters(place, own, False, dry_run)
            done.left_out.update(why.reason for why in left)
            sent = len(letters) if dry_run else self._sent(place, letters, done)
            done.sent += sent
            if not dry_run:
                done.ids += [each.id for each in letters[:sent]][: MOST_TOLD - len(done.ids)]
            if sent < len(letters):
                done.left_out[NOT_SENT] += len(letters) - sent
                return False
        return True

    def _sent(self, place: Place, letters: Sequence[Again], done: Retried) -> int:
        try:
            return self._send(place, letters)
        except Unavailable:
            if not done.sent:
                raise
            return 0

    def _letters(
        self, place: Place, tasks: Sequence[Tracked], force: bool, dry_run: bool
    ) -> tuple[list[Again], list[LeftOut]]:
        """A message for each that may be sent again, on record before it is sent.

        So whoever asks for the same at the same time finds that it is being done.
        """
        store, now = self._context.store, self._context.clock.now().timestamp()
        if dry_run:
            with store.reading() as view:
                pairs, left = self._made(view, place, tasks, force)
            return [letter for letter, _ in pairs], left
        with store.recording() as tx:
            # Others who observe the same source wait from here on.
            tx.observe(place.source, [])
            pairs, left = self._made(tx, place, tasks, force)
            tx.observe(place.source, [announced(*each, now) for each in pairs])
        return [letter for letter, _ in pairs], left

    def _made(
        self, view: View, place: Place, tasks: Sequence[Tracked], force: bool
    ) -> tuple[list[tuple[Again, Tracked]], list[LeftOut]]:
        kept = view.tracked_messages([each.number for each in tasks])
        retries = view.tracked_retries(place.source, [each.record.id for each in tasks])
        pairs: list[tuple[Again, Tracked]] = []
        left: list[LeftOut] = []
        for task in tasks:
            try:
                check_over(task)
                if not force:
                    check_first(task, retries.get(task.record.id, ()))
                pairs.append((self._letter(task, kept), task))
            except LeftOut as why:
                left.append(why)
        return pairs, left

    def _letter(self, task: Tracked, kept: Mapping[int, str]) -> Again:
        origin = f"cyme@{self._context.here.id}"
        return again(task, kept.get(task.number), str(uuid.uuid4()), origin)

    def _send(self, place: Place, letters: Sequence[Again]) -> int:
        """How many the broker has; what it has not is on record as that."""
        sent, why = 0, "the broker went away"
        try:
            sent = self._context.task_broker.send_again(place, letters) if letters else 0
        except CymeError as exc:
            why = exc.message
            raise
        finally:
            if sent < len(letters):
                self._take_back(place, letters[sent:], why)
        return sent

    def _take_back(self, place: Place, letters: Iterable[Again], why: str) -> None:
        now = self._context.clock.now().timestamp()
        with self._context.store.recording() as tx:
            tx.observe(place.source, [unsent(each, now, why) for each in letters])

    def _note(self, change: Change) -> None:
        with self._context.store.writing() as tx:
            tx.save_audit(self._context.audit.of([change]))


def _place(context: Context, view: View, source: str) -> Place:
    for place in tracked_places(view, context.here.broker):
        if place.source == source:
            return place
    raise Conflict(
        "no application is tracked any more at the broker that the task was seen at",
        "have one that uses it: POST /<app>/ with tracked=1",
    )


def _asked(query: TaskQuery) -> dict[str, str | None]:
    names = ("name", "state", "worker", "queue", "error", "text")
    return {name: getattr(query, name) for name in names}
