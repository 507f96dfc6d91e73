"""What the store in memory knows of runs that are claimed; one at a time has it anyway."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.job import Job, Run, RunOutput, RunStatus
from cyme_supd.domain.running import UNDER_WAY
from cyme_supd.errors import Conflict
from cyme_supd.testing.state import State

_KEPT = ("job_id", "category", "name", "fire_at", "queued_at", "branch", "app", "wants_cancel")


class MemoryClaims:
    _state: State

    def run_output(self, run_id: str) -> RunOutput | None:
        return self._state.run_outputs.get(run_id)

    def withdrawn(self, nonces: Collection[str]) -> set[str]:
        return set(nonces) & self._state.withdrawals.keys()

    def silent_runs(
        self, before: datetime, limit: int, besides: Collection[str | None] = ()
    ) -> list[Run]:
        running = (each for each in self._under_way() if each.status == RunStatus.RUNNING)
        silent = [each for each in running if each.heard_at and each.heard_at < before]
        return [each for each in silent if each.app not in besides][:limit]

    def unwanted_runs(self, limit: int) -> list[Run]:
        return [each for each in self._under_way() if each.wants_cancel][:limit]

    def jobs_holding(self) -> list[str]:
        return sorted({each.job_id for each in self._under_way() if _is_held(each)})

    def held_runs(self, job_ids: Collection[str]) -> list[Run]:
        return [each for each in self._under_way() if _is_held(each) and each.job_id in job_ids]

    def busy_jobs(self, job_ids: Collection[str]) -> set[str]:
        busy = {each.job_id for each in self._under_way() if not _is_held(each)}
        return busy & set(job_ids)

    def apps_of_jobs(self) -> list[str]:
        wanted = {job.app for job in self._state.jobs.values()}
        wanted |= {run.app for run in self._under_way()}
        return sorted(self._state.apps.keys() & wanted)

    def _under_way(self) -> list[Run]:
        return [each for each in self._state.runs.values() if each.status in UNDER_WAY]


class MemoryClaimsEdit:
    _state: State

    def lock_runs(self, ids: Collection[str]) -> list[Run]:
        return [self._state.runs[id] for id in ids if id in self._state.runs]

    def lock_jobs(self, ids: Collection[str]) -> list[Job]:
        return [self._state.jobs[id] for id in ids if id in self._state.jobs]

    def save_claimed(self, changed: Iterable[Run]) -> None:
        for run in changed:
            if run.id in self._state.runs:
                own = self._state.runs[run.id]
                kept = {name: getattr(own, name) for name in _KEPT}
                self._state.runs[run.id] = replace(run, **kept)

    def save_outputs(self, outputs: Iterable[RunOutput]) -> None:
        for output in outputs:
            if output.run_id not in self._state.runs:
                raise Conflict("this collides with what is stored")
            self._state.run_outputs[output.run_id] = output

    def add_withdrawals(self, nonces: Collection[str], at: datetime) -> None:
        for nonce in nonces:
            self._state.withdrawals.setdefault(nonce, at)

    def forget_withdrawals(self, before: datetime) -> int:
        old = [nonce for nonce, at in self._state.withdrawals.items() if at < before]
        for nonce in old:
            del self._state.withdrawals[nonce]
        return len(old)


def _is_held(run: Run) -> bool:
    return run.status == RunStatus.QUEUED and run.order_at is None
