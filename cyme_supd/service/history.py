"""What was: measured over the last hours, and of an instance."""

from __future__ import annotations

from datetime import datetime, timedelta

from cyme_supd.domain.naming import check_instance_name, check_name
from cyme_supd.domain.samples import COARSE_S, KEPT_FOR, Series, Subject, combined, series
from cyme_supd.domain.transitions import Transition
from cyme_supd.service.context import Context
from cyme_supd.service.looking import instance_of


class History:
    def __init__(self, context: Context) -> None:
        self._context = context

    def samples(self, subject: Subject, since: datetime | None = None) -> Series:
        """As this branch has measured; with one store for all, as all have."""
        oldest = self._context.clock.now() - KEPT_FOR
        begin = max(since or oldest, oldest)
        with self._context.store.reading() as view:
            if subject.app:
                view.app(check_name("app", subject.app))
            # The first rate is that since the sample before.
            found = view.samples(subject, begin - timedelta(seconds=COARSE_S))
        whole = combined(series(points) for points in found.values())
        kept = [number for number, at in enumerate(whole["at"]) if at and at >= begin.timestamp()]
        return {name: [values[number] for number in kept] for name, values in whole.items()}

    def changes(self, app: str, name: str, limit: int) -> list[Transition]:
        """How the state of an instance changed in the last days, the newest first."""
        check_name("app", app)
        check_instance_name(name)
        with self._context.store.reading() as view:
            instance_of(view, app, name)
            return view.transitions(name, limit)
