"""What was measured and how instances changed, kept as the database does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cyme_supd.domain.samples import FINE_FOR, KEPT_FOR, Point, Sample, Subject, point_of
from cyme_supd.domain.transitions import Transition
from cyme_supd.testing.state import State


class MemorySamples:
    _state: State

    def samples(self, subject: Subject, since: datetime) -> dict[str, list[tuple[datetime, Point]]]:
        found: dict[str, list[tuple[datetime, Point]]] = {}
        for (branch, at, app), sample in sorted(self._state.samples.items()):
            point = point_of(sample, subject)
            if app == subject.app and at >= since and point is not None:
                found.setdefault(branch, []).append((at, point))
        return found

    def transitions(self, name: str, limit: int) -> list[Transition]:
        theirs = [each for each in reversed(self._state.transitions) if each.name == name]
        return sorted(theirs, key=lambda each: each.at, reverse=True)[:limit]


class MemorySamplesEdit:
    _state: State

    def save_samples(self, branch: str, samples: Iterable[Sample]) -> None:
        fresh = {(branch, each.at, each.app): each for each in samples}
        ats = {at for _, at, _ in fresh}
        kept = {
            key: each
            for key, each in self._state.samples.items()
            if key[0] != branch or key[1] not in ats
        }
        self._state.samples = {**kept, **fresh}

    def remove_samples(self, branch: str, now: datetime) -> None:
        def is_kept(of: str, sample: Sample) -> bool:
            is_fine = of == branch and not sample.is_coarse
            return sample.at >= now - (FINE_FOR if is_fine else KEPT_FOR)

        self._state.samples = {
            key: each for key, each in self._state.samples.items() if is_kept(key[0], each)
        }

    def save_transitions(self, transitions: Iterable[Transition]) -> None:
        self._state.transitions = [*self._state.transitions, *transitions]

    def remove_transitions(self, before: datetime) -> None:
        self._state.transitions = [each for each in self._state.transitions if each.at >= before]
