"""Jobs, their categories and their runs, over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import JobDetails, Service
from cyme_supd.web import jobscopes, jobwire, runs, wire
from cyme_supd.web.jobparams import CategoryEdit, JobQueryOne, JobsQuery
from cyme_supd.web.jobscopes import Holder, Keeper, Pages, page
from cyme_supd.web.jobwire import LogUrl
from cyme_supd.web.params import takes
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import Change, Nothing, Shown
from cyme_supd.web.scopes import Everyone


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("jobs", __name__)
    _add_category(Routes(noun, "/api/category/"), service)
    _add_categories(Routes(noun, "/api/categories/"), service)
    _add_jobs(Routes(noun, "/api/jobs/"), service)
    runs.add(noun, service)
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
        found = [jobwire.category(each) for each in jobs.categories()]
        return wire.answer({"data": {"categories": found}})

    @takes(Shown)
    def get_category(name: str, sent: Shown) -> Response:
        category, theirs = jobs.category(name)
        shown = [jobwire.job(each, wire.shows_secrets(sent)) for each in theirs]
        return wire.answer({"data": {"category": {**jobwire.category(category), "jobs": shown}}})

    routes.reading("", get_categories, Everyone(jobscopes.categories))
    routes.reading("<name>/", get_category, Holder())
    routes.only_synchronous()


def _add_jobs(routes: Routes, service: Service) -> None:
    jobs, log_url = service.jobs, service.runs.log_url

    @takes(JobsQuery)
    def get_jobs(sent: JobsQuery) -> Response:
        found = jobs.find(sent.query(more=1))
        secrets = wire.shows_secrets(sent)
        shown = [jobwire.job_with_runs(each, secrets, log_url) for each in found]
        return page("jobs", shown, sent)

    @takes(JobQueryOne)
    def get_job(id: str, sent: JobQueryOne) -> Response:
        return _one(jobs.get(id, sent.next or 0), wire.shows_secrets(sent), log_url)

    @takes(Change)
    def pause_job(id: str, nowait: bool, sent: Change) -> Response:
        return _one(jobs.pause(id), False, log_url)

    @takes(Change)
    def resume_job(id: str, nowait: bool, sent: Change) -> Response:
        return _one(jobs.resume(id), False, log_url)

    @takes(Change)
    def run_job(id: str, nowait: bool, sent: Change) -> Response:
        run = service.runs.start(id)
        return wire.answer({"data": {"run": jobwire.run(run, log_url(run))}}, 202)

    @takes(Nothing)
    def get_troubles(sent: Nothing) -> Response:
        found = [jobwire.trouble(each) for each in service.troubles.look()]
        return wire.answer({"data": {"troubles": found}})

    routes.reading("", get_jobs, Pages("jobs", jobscopes.job_order))
    routes.reading("troubles/", get_troubles, Everyone(jobscopes.troubles))
    routes.reading("<id>/", get_job, Holder())
    routes.acting("<id>/run/", run_job, ("POST",), Holder())
    routes.acting("<id>/pause/", pause_job, ("POST",), Holder())
    routes.acting("<id>/resume/", resume_job, ("POST",), Holder())
    routes.only_synchronous()


def _one(found: JobDetails, secrets: bool, log_url: LogUrl) -> Response:
    upcoming = [jobwire.time(at) for at in found.upcoming]
    shown = jobwire.job_with_runs(found, secrets, log_url)
    alone = {"upcoming": upcoming, "schedule_in_words": found.words}
    return wire.answer({"data": {"job": {**shown, **alone}}})
