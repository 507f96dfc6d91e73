"""Runs that runners claim, as rows that are locked while that is settled."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from cyme_supd.domain.job import Job, Run, RunOutput, RunStatus
from cyme_supd.store import jobs
from cyme_supd.store import models as m
from cyme_supd.store.engine import kind_of
from cyme_supd.store.jobs import batches

_RUN, _JOB = m.run.c, m.job.c
#: All of a run but what it is of, when, and whether somebody wants it cancelled.
_CHANGING = (
    "status", "started_at", "finished_at", "attempt", "exit_code", "signal", "host", "instance",
    "reason", "order_at", "orders", "nonce", "reply", "heard_at",
)  # fmt: skip
_FIELDS = tuple(each.name for each in fields(Run))
_UNDER_WAY = (str(RunStatus.QUEUED), str(RunStatus.RUNNING))


class SqlClaims:
    _connection: Connection

    def run_output(self, run_id: str) -> RunOutput | None:
        wanted = select(m.run_output).where(m.run_output.c.run_id == run_id)
        row = self._connection.execute(wanted).first()
        return None if row is None else RunOutput(**row._asdict())

    def withdrawn(self, nonces: Collection[str]) -> set[str]:
        found: set[str] = set()
        for batch in batches(list(nonces)):
            wanted = select(m.withdrawal.c.nonce).where(m.withdrawal.c.nonce.in_(batch))
            found.update(self._connection.scalars(wanted))
        return found

    def silent_runs(
        self, before: datetime, limit: int, besides: Collection[str | None] = ()
    ) -> list[Run]:
        is_silent = and_(_RUN.status == str(RunStatus.RUNNING), _RUN.heard_at < before)
        # No app has an empty name.
        app = func.coalesce(_RUN.app, "")
        is_asked = app.not_in([each or "" for each in besides])
        return self._runs(select(m.run).where(is_silent, is_asked).limit(limit))

    def unwanted_runs(self, limit: int) -> list[Run]:
        is_unwanted = and_(_RUN.status.in_(_UNDER_WAY), _RUN.wants_cancel)
        return self._runs(select(m.run).where(is_unwanted).limit(limit))

    def jobs_holding(self) -> list[str]:
        wanted = select(_RUN.job_id).where(_is_held()).distinct()
        return list(self._connection.scalars(wanted))

    def held_runs(self, job_ids: Collection[str]) -> list[Run]:
        found: list[Run] = []
        for batch in batches(list(job_ids)):
            found += self._runs(select(m.run).where(_RUN.job_id.in_(batch), _is_held()))
        return found

    def busy_jobs(self, job_ids: Collection[str]) -> set[str]:
        is_busy = and_(_RUN.status.in_(_UNDER_WAY), ~_is_held())
        found: set[str] = set()
        for batch in batches(list(job_ids)):
            wanted = select(_RUN.job_id).where(_RUN.job_id.in_(batch), is_busy).distinct()
            found.update(self._connection.scalars(wanted))
        return found

    def apps_of_jobs(self) -> list[str]:
        has_jobs = select(_JOB.id).where(_JOB.app == m.app.c.name).exists()
        under_way = select(_RUN.app).where(_RUN.status.in_(_UNDER_WAY), _RUN.app.is_not(None))
        wanted = select(m.app.c.name).where(or_(has_jobs, m.app.c.name.in_(under_way)))
        return list(self._connection.scalars(wanted.order_by(m.app.c.name)))

    def _runs(self, wanted: Select[Any]) -> list[Run]:
        return [Run(**row._asdict()) for row in self._connection.execute(wanted)]


class SqlClaimsEdit:
    _connection: Connection

    def lock_runs(self, ids: Collection[str]) -> list[Run]:
        found: list[Run] = []
        # Whoever locks several does it in this order: none waits for one that waits for it.
        for batch in batches(sorted(ids)):
            rows = self._connection.execute(_locking(m.run, batch, select(m.run)))
            found += [Run(**row._asdict()) for row in rows]
        return found

    def lock_jobs(self, ids: Collection[str]) -> list[Job]:
        for batch in batches(sorted(ids)):
            self._connection.execute(_locking(m.job, batch, select(_JOB.id))).close()
        return jobs.with_ids(self._connection, ids)

    def save_claimed(self, changed: Iterable[Run]) -> None:
        rows = [{name: getattr(run, name) for name in _FIELDS} for run in changed]
        for row in rows:
            row["status"] = str(row["status"])
        for batch in batches(rows):
            kind_of(self._connection.engine).update(self._connection, m.run, _CHANGING, batch)

    def save_outputs(self, outputs: Iterable[RunOutput]) -> None:
        wanted = {output.run_id: output for output in outputs}
        for batch in batches(list(wanted)):
            self._connection.execute(delete(m.run_output).where(m.run_output.c.run_id.in_(batch)))
        names = [each.name for each in m.run_output.c]
        rows = [{name: getattr(output, name) for name in names} for output in wanted.values()]
        if rows:
            self._connection.execute(insert(m.run_output), rows)

    def add_withdrawals(self, nonces: Collection[str], at: datetime) -> None:
        wanted = set(nonces)
        for batch in batches(list(wanted)):
            known = select(m.withdrawal.c.nonce).where(m.withdrawal.c.nonce.in_(batch))
            wanted -= set(self._connection.scalars(known))
        if wanted:
            rows = [{"nonce": nonce, "at": at} for nonce in sorted(wanted)]
            self._connection.execute(insert(m.withdrawal), rows)

    def forget_withdrawals(self, before: datetime) -> int:
        return self._connection.execute(
            delete(m.withdrawal).where(m.withdrawal.c.at < before)
        ).rowcount


def _is_held() -> ColumnElement[bool]:
    return and_(_RUN.status == str(RunStatus.QUEUED), _RUN.order_at.is_(None))


def _locking(table: Any, ids: Collection[str], wanted: Select[Any]) -> Select[Any]:
    # By the rows' keys: in a small table it would look at all of them, and lock those.
    by_key = wanted.where(table.c.id.in_(ids)).with_hint(table, "FORCE INDEX (PRIMARY)", "mysql")
    return by_key.order_by(table.c.id).with_for_update()
