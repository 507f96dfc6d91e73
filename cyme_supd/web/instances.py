"""Instances over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from cyme_supd.errors import Invalid
from cyme_supd.service import InstanceReply, Outcome, Service
from cyme_supd.web import following, journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import (
    DEFAULT_LOG_BYTES,
    Change,
    Deletion,
    InstanceEdit,
    Limits,
    Nothing,
    Page,
    Shown,
    StatsQuery,
    WorkerLogQuery,
)
from cyme_supd.web.scopes import Names, NewInstance, Owner

Act = Callable[[str, str, float | None], Outcome]


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("instances", __name__)
    routes = Routes(noun, "/<app>/instances/", "/<app>/instance/")
    _add_reading(routes, service)
    _add_editing(routes, service)
    _add_acting(routes, service)
    routes.only_synchronous()
    _add_deletion_anywhere(Routes(noun, "/instances/", "/instance/"), service)
    return noun


def _add_reading(routes: Routes, service: Service) -> None:
    instances = service.instances

    @takes(Page)
    def names(app: str, sent: Page) -> Response:
        return wire.page(lambda after, limit: instances.names(app, after, limit), sent)

    @takes(Shown)
    def get(app: str, name: str, sent: Shown) -> Response:
        return wire.answer(wire.instance(instances.get(app, name), wire.shows_secrets(sent)))

    @takes(StatsQuery)
    def stats(app: str, name: str, sent: StatsQuery) -> Response:
        found = instances.stats(app, name, sent.timeout)
        return wire.answer(wire.stats(found, wire.shows_secrets(sent)))

    @takes(WorkerLogQuery)
    def log(app: str, name: str, sent: WorkerLogQuery) -> Response:
        if sent.follow:
            if sent.q:
                raise Invalid("q: all lines are followed", "leave one of the two out")
            instances.get(app, name)
            return following.follow(service, app, name, sent.bytes or DEFAULT_LOG_BYTES)
        end = instances.log(app, name, sent.bytes or DEFAULT_LOG_BYTES)
        text = sent.lines(end.decode("utf-8", "replace"))
        return Response(text.encode(), content_type="text/plain; charset=utf-8")

    @takes(Nothing)
    def limits(app: str, name: str, sent: Nothing) -> Response:
        spec = instances.get(app, name).instance
        return wire.answer({"max": spec.max_concurrency, "min": spec.min_concurrency})

    routes.reading("", names, Names())
    routes.reading("<name>/", get, Owner())
    routes.reading("<name>/stats/", stats, Owner())
    routes.reading("<name>/log/", log, Owner(on_host=True))
    routes.reading("<name>/autoscale/", limits, Owner())


def _add_editing(routes: Routes, service: Service) -> None:
    @takes(InstanceEdit)
    def put(app: str, nowait: bool, sent: InstanceEdit, name: str | None = None) -> Response:
        timeout_s = None if nowait else sent.timeout_s
        reply = service.instances.put(app, name, sent.given(), timeout_s)
        journal.about(reply.details.instance.name)
        return _put_answer(reply, nowait, wire.shows_secrets(sent))

    @takes(Limits)
    def scale(app: str, name: str, nowait: bool, sent: Limits) -> Response:
        timeout_s = None if nowait else sent.timeout_s
        reply = service.instances.autoscale(app, name, sent.given(), timeout_s)
        journal.about(name)
        if nowait and not reply.outcome.is_converged:
            return wire.accepted(name)
        spec = reply.details.instance
        limits = {"max": spec.max_concurrency, "min": spec.min_concurrency}
        return wire.settled(limits, reply.outcome)

    routes.acting("", put, PUT_POST, NewInstance())
    routes.acting("<name>/", put, PUT_POST, NewInstance())
    routes.acting("<name>/autoscale/", scale, ("POST",), Owner())


def _put_answer(reply: InstanceReply, nowait: bool, secrets: bool) -> Response:
    if nowait and not reply.outcome.is_converged:
        return wire.accepted(reply.details.instance.name)
    body = wire.instance(reply.details, secrets)
    if reply.is_new:
        return wire.settled(body, reply.outcome, 201)
    return wire.settled({**body, "restarting": list(reply.restarting)}, reply.outcome)


def _add_acting(routes: Routes, service: Service) -> None:
    instances = service.instances

    def post(act: Act) -> Callable[..., Response]:
        @takes(Change)
        def acted(app: str, name: str, nowait: bool, sent: Change) -> Response:
            outcome = act(app, name, None if nowait else sent.timeout_s)
            return _settled(name, outcome, nowait)

        return acted

    @takes(Deletion)
    def delete(app: str, name: str, nowait: bool, sent: Deletion) -> Response:
        timeout_s = None if nowait else sent.timeout_s
        return _settled(name, instances.delete(app, name, bool(sent.force), timeout_s), nowait)

    for word, act in (
        ("enable", instances.enable),
        ("disable", instances.disable),
        ("restart", instances.restart),
    ):
        routes.acting(f"<name>/{word}/", post(act), ("POST",), Owner())
    routes.acting("<name>/", delete, ("DELETE",), Owner())


def _add_deletion_anywhere(routes: Routes, service: Service) -> None:
    """The route that needs no app: names of instances are unique."""

    @takes(Deletion)
    def delete(name: str, nowait: bool, sent: Deletion) -> Response:
        timeout_s = None if nowait else sent.timeout_s
        outcome = service.instances.delete(None, name, bool(sent.force), timeout_s)
        return _settled(name, outcome, nowait)

    routes.acting("<name>/", delete, ("DELETE",), Owner())
    routes.only_synchronous()


def _settled(name: str, outcome: Outcome, nowait: bool) -> Response:
    journal.about(name)
    if nowait:
        return wire.accepted(name)
    body = wire.OK if outcome.is_converged else {"name": name}
    return wire.settled(body, outcome)
