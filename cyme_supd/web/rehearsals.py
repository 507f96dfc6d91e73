"""``dry_run`` on every route that changes something, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response

from cyme_supd.service import Rehearsal, Service
from cyme_supd.web import journal, wire
from cyme_supd.web.params import read
from cyme_supd.web.schemas import Change

Nouns = Callable[[Service], Iterable[Blueprint]]


def install(app: Flask, service: Service, nouns: Nouns) -> None:
    """Have the views of *app* that take ``dry_run`` mind it.

    *nouns* makes the views once more, over a service that changes nothing.
    """
    rehearsal = service.rehearsal()
    stage = _Stage("cyme_supd.web.rehearsals", static_folder=None, template_folder=None)
    for noun in nouns(rehearsal.service):
        stage.register_blueprint(noun)
    for endpoint, view in app.view_functions.items():
        if is_change(view):
            on_stage = stage.view_functions[endpoint]
            app.view_functions[endpoint] = _either(view, on_stage, rehearsal)


class _Stage(Flask):
    """Views by endpoint. No routes, of which each costs a compiler's run: the app has them."""

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *_: Any, **__: Any
    ) -> None:
        assert endpoint is not None
        self.view_functions[endpoint] = view_func


def is_change(view: Any) -> bool:
    return issubclass(getattr(view, "params", object), Change)


def _either(view: Any, on_stage: Any, rehearsal: Rehearsal) -> Callable[..., Any]:
    def minding(**path: Any) -> Any:
        sent: Any = read(view.params)
        if sent.dry_run:
            return _rehearsed(lambda: on_stage.bare(sent=sent, **path), rehearsal)
        return view.bare(sent=sent, **path)

    minding.params = view.params  # type: ignore[attr-defined]
    minding.scope = view.scope  # type: ignore[attr-defined]
    return minding


def _rehearsed(act: Callable[[], object], rehearsal: Rehearsal) -> Response:
    found = rehearsal.plan(act)
    journal.about("dry run")
    return wire.answer(wire.plan(found))
