"""Jobs, their categories and their runs, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Blueprint, Response

from cyme_supd.clock import isoformat
from cyme_supd.domain.broker import MASK
from cyme_supd.domain.job import Category, Job, Run, RunEvent
from cyme_supd.domain.masking import masked
from cyme_supd.service import JobDetails, RunDetails, Service
from cyme_supd.web import jobscopes, wire
from cyme_supd.web.jobparams import CategoryEdit, JobQueryOne, JobsQuery, Paged, RunsQuery
from cyme_supd.web.jobscopes import Holder, Keeper, Pages
from cyme_supd.web.params import takes
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import Change, Nothing, Shown
from cyme_supd.web.scopes import Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("jobs", __name__)
    _add_category(Routes(noun, "/api/category/"), service)
    _add_categories(Routes(noun, "/api/categories/"), service)
    _add_jobs(Routes(noun, "/api/jobs/"), service)
    _add_runs(Routes(noun, "/api/runs/"), service)
    return noun


def _add_category(routes: Routes, service: Service) -> None:
    jobs = service.jobs

    @takes(CategoryEdit)
    def put_category(name: str, nowait: bool, sent: CategoryEdit) -> Response:
        made = jobs.replace(name, sent.given(name), bool(sent.force))
        names = {key: list(getattr(made, key)) for key in ("added", "changed", "removed")}
        return wire.answer({"status": "success", **names})

    @takes(Change)
    def delete_category(name: str, nowait: bool, sent: Change) -> Response:
        jobs.remove(name)
        return wire.answer(wire.OK)

    routes.acting("<name>/", put_category, PUT_POST, Keeper(jobs.has_category))
    routes.acting("<name>/", delete_category, ("DELETE",), Holder())
    routes.only_synchronous()


def _add_categories(routes: Routes, service: Service) -> None:
    jobs = service.jobs

    @takes(Nothing)
    def get_categories(sent: Nothing) -> Response:
        found = [_category(each) for each in jobs.categories()]
        return wire.answer({"data": {"categories": found}})

    @takes(Shown)
    def get_category(name: str, sent: Shown) -> Response:
        category, theirs = jobs.category(name)
        shown = [_job(each, wire.shows_secrets(sent)) for each in theirs]
        return wire.answer({"data": {"category": {**_category(category), "jobs": shown}}})

    routes.reading("", get_categories, Everyone(jobscopes.categories))
    routes.reading("<name>/", get_category, Holder())
    routes.only_synchronous()


def _add_jobs(routes: Routes, service: Service) -> None:
    jobs = service.jobs

    @takes(JobsQuery)
    def get_jobs(sent: JobsQuery) -> Response:
        found = jobs.find(sent.query(more=1))
        secrets = wire.shows_secrets(sent)
        return _page("jobs", [_with_runs(each, secrets) for each in found], sent)

    @takes(JobQueryOne)
    def get_job(id: str, sent: JobQueryOne) -> Response:
        return _one(jobs.get(id, sent.next or 0), wire.shows_secrets(sent))

    @takes(Change)
    def pause_job(id: str, nowait: bool, sent: Change) -> Response:
        return _one(jobs.pause(id), False)

    @takes(Change)
    def resume_job(id: str, nowait: bool, sent: Change) -> Response:
        return _one(jobs.resume(id), False)

    routes.reading("", get_jobs, Pages("jobs", jobscopes.job_order))
    routes.reading("<id>/", get_job, Holder())
    routes.acting("<id>/pause/", pause_job, ("POST",), Holder())
    routes.acting("<id>/resume/", resume_job, ("POST",), Holder())
    routes.only_synchronous()


def _add_runs(routes: Routes, service: Service) -> None:
    jobs = service.jobs

    @takes(RunsQuery)
    def get_runs(sent: RunsQuery) -> Response:
        found = jobs.runs(sent.query(more=1))
        return _page("runs", [_run(each) for each in found], sent)

    @takes(Nothing)
    def get_run(id: str, sent: Nothing) -> Response:
        found: RunDetails = jobs.run(id)
        events = [_event(each) for each in found.events]
        return wire.answer({"data": {"run": {**_run(found.run), "events": events}}})

    routes.reading("", get_runs, Pages("runs", jobscopes.run_order))
    routes.reading("<id>/", get_run, Holder())
    routes.only_synchronous()


def _page(key: str, found: Sequence[Mapping[str, Any]], sent: Paged) -> Response:
    page = {
        key: found[: sent.limit],
        "page": sent.number,
        "per_page": sent.limit,
        "has_more": len(found) > sent.limit,
    }
    return wire.answer({"data": page})


def _one(found: JobDetails, secrets: bool) -> Response:
    upcoming = [_time(at) for at in found.upcoming]
    return wire.answer({"data": {"job": {**_with_runs(found, secrets), "upcoming": upcoming}}})


def _with_runs(found: JobDetails, secrets: bool) -> dict[str, Any]:
    return {**_job(found.job, secrets), "runs": [_run(each) for each in found.runs]}


def _job(job: Job, secrets: bool) -> dict[str, Any]:
    seen = job if secrets else _without_secrets(job)
    return {
        "id": job.id,
        "name": job.name,
        "category_id": Category(job.category).id,
        "category_name": job.category,
        "schedule": job.schedule,
        "command": seen.command,
        "argv": None if seen.argv is None else list(seen.argv),
        "routing_key": job.routing_key,
        "app": job.app,
        "timezone": job.timezone,
        "timeout_s": job.timeout_s,
        "overlap": job.overlap,
        "catch_up": job.catch_up,
        "deadline_s": job.deadline_s,
        "retries": job.retries,
        "jitter_s": job.jitter_s,
        "environment": dict(seen.environment),
        "user": job.user,
        "paused": job.is_paused,
        "created_at": isoformat(job.created_at),
        "next_fire_at": _time(job.next_fire_at),
    }


def _without_secrets(job: Job) -> Job:
    return replace(
        job,
        command=masked(job.command),
        argv=None if job.argv is None else tuple(masked(job.argv)),
        environment=dict.fromkeys(job.environment, MASK),
    )


def _category(category: Category) -> dict[str, Any]:
    return {"id": category.id, "name": category.name, "job_count": category.job_count}


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "job_id": run.job_id,
        "category_name": run.category,
        "job_name": run.name,
        "fire_at": isoformat(run.fire_at),
        "status": run.status,
        "queued_at": isoformat(run.queued_at),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "attempt": run.attempt,
        "exit_code": run.exit_code,
        "host": run.host,
        "branch": run.branch,
        "instance": run.instance,
        "reason": run.reason,
    }


def _event(event: RunEvent) -> dict[str, Any]:
    return {"at": isoformat(event.at), "type": event.type, "message": event.message}


def _time(at: datetime | None) -> str | None:
    return None if at is None else isoformat(at)
