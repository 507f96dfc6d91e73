"""The record of tasks over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from cyme_supd.domain.ledgerstore import TaskQuery, Tracked, cursor_text
from cyme_supd.errors import Unimplemented
from cyme_supd.service import Fleet, Service
from cyme_supd.service.fleet import READ_S
from cyme_supd.web import trackingwire, wire
from cyme_supd.web.forwarding import question, response
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing, Shown
from cyme_supd.web.scopes import HERE, Path, View
from cyme_supd.web.trackingparams import (
    FilterQuery,
    RefusalsQuery,
    RetryMany,
    RetryOne,
    Revoking,
    TasksQuery,
)

NDJSON = "application/x-ndjson"
#: Tasks of an export that are in memory at a time.
EXPORTED_AT_ONCE = 500
#: Longer than one request goes on sending tasks again.
RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Recorder:
    """The branch that keeps the record: where each has a store of its own, the first of them."""

    patience_s: float = READ_S

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        first = recorder(fleet)
        if first == fleet.here:
            return view(**path)
        return response(fleet.ask(first, question(), self.patience_s))


@dataclass(frozen=True, slots=True)
class RecorderItself:
    """The same for what is too long to be passed on."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        first = recorder(fleet)
        if first != fleet.here:
            raise Unimplemented(f"branch {first!r} keeps the record", "ask that one")
        return view(**path)


def recorder(fleet: Fleet) -> str:
    return fleet.here if fleet.is_shared else min([*fleet.others(), fleet.here])


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("tracking", __name__)
    tracking = service.tracking

    @takes(Shown)
    def join(app: str, sent: Shown) -> Response:
        return wire.answer(trackingwire.joining(tracking.get(app), wire.shows_secrets(sent)))

    Routes(noun, "/").reading("<app>/tracking/", join, HERE)
    routes = Routes(noun, "/api/tasks/")
    _add_reading(routes, service)
    _add_looking(routes, service)
    _add_changes(routes, service)
    routes.only_synchronous()
    return noun


def _query(service: Service, sent: FilterQuery, limit: int) -> TaskQuery:
    return sent.query(service.tracking.source_of(sent.app) if sent.app else None, limit)


def _add_reading(routes: Routes, service: Service) -> None:
    tracking = service.tracking

    @takes(TasksQuery)
    def get_tasks(sent: TasksQuery) -> Response:
        query = _query(service, sent, sent.limit)
        page, gaps = tracking.find(query)
        shown = {"tasks": [trackingwire.task(each) for each in page.tasks]}
        after = cursor_text(page.after) if page.after else None
        told = trackingwire.gaps(gaps, query.source)
        return wire.answer({"data": shown, "after": after, "gaps": told})

    @takes(Nothing)
    def get_task(id: str, sent: Nothing) -> Response:
        return wire.answer({"data": {"task": trackingwire.whole(tracking.one(id))}})

    @takes(TasksQuery)
    def export_tasks(sent: TasksQuery) -> Response:
        if sent.per_page is not None:
            return _page(service, _query(service, sent, sent.per_page))
        query = _query(service, sent, EXPORTED_AT_ONCE)
        return Response(_lines(service, query), mimetype=NDJSON)

    routes.reading("", get_tasks, Recorder())
    routes.reading("<id>/", get_task, Recorder())
    routes.reading("export/", export_tasks, RecorderItself())


def _page(service: Service, query: TaskQuery) -> Response:
    """So many of them, with a link to the next ones."""
    page, _ = service.tracking.find(query)
    made = Response(map(_line, page.tasks), mimetype=NDJSON)
    if page.after is not None:
        rest = {**request.args.to_dict(), "after": cursor_text(page.after)}
        made.headers["Link"] = f'<{request.path}?{urlencode(rest)}>; rel="next"'
    return made


def _line(task: Tracked) -> str:
    return json.dumps(trackingwire.alone(task), ensure_ascii=False) + "\n"


def _lines(service: Service, query: TaskQuery) -> Iterator[str]:
    """One task a line, as it is known when its page is read."""
    while True:
        page, _ = service.tracking.find(query)
        yield from map(_line, page.tasks)
        if page.after is None:
            return
        query = replace(query, after=page.after)


def _add_looking(routes: Routes, service: Service) -> None:
    tracking = service.tracking

    @takes(TasksQuery)
    def get_task_errors(sent: TasksQuery) -> Response:
        found = tracking.errors(_query(service, sent, sent.limit))
        return wire.answer({"data": {"errors": [trackingwire.error(each) for each in found]}})

    @takes(RefusalsQuery)
    def get_refusals(sent: RefusalsQuery) -> Response:
        source = tracking.source_of(sent.app) if sent.app else None
        secrets = wire.shows_secrets(sent)
        found = tracking.refusals(source, sent.limit)
        shown = [trackingwire.refusal(each, secrets) for each in found]
        return wire.answer({"data": {"refusals": shown}})

    routes.reading("errors/", get_task_errors, Recorder())
    routes.reading("refusals/", get_refusals, Recorder())


def _add_changes(routes: Routes, service: Service) -> None:
    retrying = service.retrying

    @takes(RetryOne)
    def retry_task(id: str, nowait: bool, sent: RetryOne) -> Response:
        new = retrying.one(id, sent.force, sent.dry_run)
        shown = {"id": None if sent.dry_run else new, "retry_of": id}
        return wire.answer({"data": {"task": shown}}, 200 if sent.dry_run else 201)

    @takes(RetryMany)
    def retry_tasks(nowait: bool, sent: RetryMany) -> Response:
        sent.check()
        done = retrying.many(_query(service, sent, 1), sent.dry_run)
        return wire.answer({"data": trackingwire.retried(done)})

    @takes(Revoking)
    def revoke_task(id: str, nowait: bool, sent: Revoking) -> Response:
        task = retrying.revoke(id, sent.terminate, sent.dry_run)
        shown = {"id": id, "state": task.record.state}
        # Workers do not answer: they tell when they have left it out.
        return wire.answer({"data": {"task": shown}}, 200 if sent.dry_run else 202)

    routes.acting("<id>/retry/", retry_task, ("POST",), Recorder())
    routes.acting("retry/", retry_tasks, ("POST",), Recorder(RETRY_S))
    routes.acting("<id>/revoke/", revoke_task, ("POST",), Recorder())
