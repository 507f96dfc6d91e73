"""What was, of the store on a database: samples, and how instances changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from cyme_supd.domain.samples import Found, Sample, Subject
from cyme_supd.domain.transitions import Transition
from cyme_supd.store import samples, transitions


class SqlHistory:
    _connection: Connection

    def samples(self, subject: Subject, since: datetime) -> Found:
        return samples.find(self._connection, subject, since)

    def transitions(self, name: str, limit: int) -> list[Transition]:
        return transitions.find(self._connection, name, limit)


class SqlHistoryEdit:
    _connection: Connection

    def save_samples(self, branch: str, made: Iterable[Sample]) -> None:
        samples.save(self._connection, branch, made)

    def remove_samples(self, branch: str, now: datetime) -> None:
        samples.remove(self._connection, branch, now)

    def save_transitions(self, made: Iterable[Transition]) -> None:
        transitions.save(self._connection, made)

    def remove_transitions(self, before: datetime) -> None:
        transitions.remove(self._connection, before)
