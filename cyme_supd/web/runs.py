"""Runs of jobs over HTTP: what became of them, what they printed, and their end."""

from __future__ import annotations

from flask import Blueprint, Response

from cyme_supd.service import Printed, Service
from cyme_supd.web import jobscopes, jobwire, wire
from cyme_supd.web.forwarding import OUTPUT
from cyme_supd.web.jobparams import OutputQuery, Pruning, RunsQuery
from cyme_supd.web.jobscopes import Holder, Pages, Printer, page
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.runtails import follow
from cyme_supd.web.schemas import DEFAULT_LOG_BYTES, Change, Nothing
from cyme_supd.web.scopes import Parts


def add(noun: Blueprint, service: Service) -> None:
    routes = Routes(noun, "/api/runs/")
    _add_reading(routes, service)
    _add_output(routes, service)
    _add_changes(routes, service)
    routes.only_synchronous()


def _add_reading(routes: Routes, service: Service) -> None:
    runs = service.runs

    @takes(RunsQuery)
    def get_runs(sent: RunsQuery) -> Response:
        found = runs.find(sent.query(more=1))
        return page("runs", [jobwire.run(each, runs.log_url(each)) for each in found], sent)

    @takes(Nothing)
    def get_run(id: str, sent: Nothing) -> Response:
        return wire.answer({"data": {"run": jobwire.run_alone(runs.get(id))}})

    routes.reading("", get_runs, Pages("runs", jobscopes.run_order))
    routes.reading("<id>/", get_run, Holder())


def _add_output(routes: Routes, service: Service) -> None:
    @takes(OutputQuery)
    def get_output(id: str, sent: OutputQuery) -> Response:
        size = sent.bytes or DEFAULT_LOG_BYTES
        if sent.follow:
            return follow(service, id, size)
        return _text(service.runs.output(id, sent.begin, size))

    printer = Printer(service.runs.runner_elsewhere)
    routes.reading("<id>/output/", get_output, printer)


def _text(found: Printed) -> Response:
    text = found.data.decode("utf-8", "replace").encode()
    made = Response(text, content_type="text/plain; charset=utf-8")
    end = found.begin + len(found.data)
    made.headers[OUTPUT] = f"bytes {found.begin}-{end}/{found.size}"
    return made


def _add_changes(routes: Routes, service: Service) -> None:
    runs = service.runs

    @takes(Change)
    def cancel_run(id: str, nowait: bool, sent: Change) -> Response:
        run = runs.cancel(id)
        shown = {"data": {"run": jobwire.run(run, runs.log_url(run))}}
        # One that is under way ends when its runner has ended it.
        return wire.answer(shown, 200 if run.finished_at else 202)

    @takes(Pruning)
    def prune_runs(nowait: bool, sent: Pruning) -> Response:
        count, is_done = runs.prune(sent.keep, sent.older_s)
        return wire.answer({"runs": count, "is_done": is_done})

    routes.acting("<id>/cancel/", cancel_run, ("POST",), Holder())
    routes.acting("prune/", prune_runs, ("POST",), Parts(jobscopes.pruned))
