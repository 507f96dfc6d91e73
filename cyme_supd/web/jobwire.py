"""Jobs and runs as they go out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cyme_supd.clock import isoformat
from cyme_supd.domain.broker import MASK
from cyme_supd.domain.job import Category, Job, Run, RunEvent
from cyme_supd.domain.jobtrouble import Trouble
from cyme_supd.domain.masking import masked
from cyme_supd.service import JobDetails, RunDetails

LogUrl = Callable[[Run], str | None]


def category(found: Category) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "job_count": found.job_count}


def job(found: Job, secrets: bool) -> dict[str, Any]:
    hidden = _shown if secrets else masked
    argv = None if found.argv is None else hidden(list(found.argv))
    environment = dict(found.environment)
    return {
        "id": found.id,
        "name": found.name,
        "category_id": Category(found.category).id,
        "category_name": found.category,
        "schedule": found.schedule,
        "command": hidden(found.command),
        "argv": argv,
        "routing_key": found.routing_key,
        "app": found.app,
        "timezone": found.timezone,
        "timeout_s": found.timeout_s,
        "overlap": found.overlap,
        "catch_up": found.catch_up,
        "deadline_s": found.deadline_s,
        "retries": found.retries,
        "jitter_s": found.jitter_s,
        "environment": environment if secrets else dict.fromkeys(environment, MASK),
        "user": found.user,
        "paused": found.is_paused,
        "created_at": isoformat(found.created_at),
        "next_fire_at": time(found.next_fire_at),
    }


def job_with_runs(found: JobDetails, secrets: bool, log_url: LogUrl) -> dict[str, Any]:
    runs = [run(each, log_url(each)) for each in found.runs]
    return {**job(found.job, secrets), "runs": runs}


def run(found: Run, log_url: str | None) -> dict[str, Any]:
    return {
        "id": found.id,
        "job_id": found.job_id,
        "category_name": found.category,
        "job_name": found.name,
        "fire_at": isoformat(found.fire_at),
        "status": found.status,
        "queued_at": isoformat(found.queued_at),
        "started_at": time(found.started_at),
        "finished_at": time(found.finished_at),
        "attempt": found.attempt,
        "exit_code": found.exit_code,
        "signal": found.signal,
        "host": found.host,
        "branch": found.branch,
        "instance": found.instance,
        "app": found.app,
        "is_cancelling": found.wants_cancel and found.finished_at is None,
        "reason": found.reason,
        "log_url": log_url,
    }


def run_alone(found: RunDetails) -> dict[str, Any]:
    output = found.output
    return {
        **run(found.run, found.log_url),
        "events": [_event(each) for each in found.events],
        "output_size": output.size if output else 0,
        "is_output_truncated": output.is_truncated if output else False,
    }


def trouble(found: Trouble) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "job_id": found.job_id,
        "category_name": found.category,
        "job_name": found.name,
        "run_id": found.run_id,
        "since": isoformat(found.since),
        "message": found.message,
    }


def time(at: datetime | None) -> str | None:
    return None if at is None else isoformat(at)


def _shown(value: Any) -> Any:
    return value


def _event(event: RunEvent) -> dict[str, Any]:
    return {"at": isoformat(event.at), "type": event.type, "message": event.message}
