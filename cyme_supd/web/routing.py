"""Routes in all the forms the contract gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Flask
from werkzeug.routing import Rule

from cyme_supd.errors import Unimplemented
from cyme_supd.web.scopes import Scope

View = Callable[..., Any]
PUT_POST = ("PUT", "POST")


class _Matched(Rule):
    """Nobody builds a URL from an endpoint here: what would, werkzeug compiles for
    each rule, and that is most of what an app costs to make."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _not_built


class Router(Flask):
    """An app that only finds who answers a path."""

    url_rule_class = _Matched


class Routes:
    """Adds routes to a blueprint.

    Collections are the prefixes a noun is found under. ``acting`` routes
    exist under ``<collection>!/`` too; their views are told by ``nowait``.
    The *scope* says whose a route is; one of any branch by itself has none.
    """

    def __init__(self, blueprint: Blueprint, *collections: str) -> None:
        self._blueprint = blueprint
        self._collections = collections

    def reading(self, rest: str, view: View, scope: Scope | None) -> None:
        view.scope = scope  # type: ignore[attr-defined]
        for collection in self._collections:
            self._add(collection + rest, view, ("GET",))

    def acting(self, rest: str, view: View, methods: Sequence[str], scope: Scope | None) -> None:
        view.scope = scope  # type: ignore[attr-defined]
        for collection in self._collections:
            self._add(collection + rest, view, methods, nowait=False)
            self._add(collection + "!/" + rest, view, methods, nowait=True)

    def only_synchronous(self) -> None:
        """Refuse to GET anything asynchronously, in words."""
        for collection in self._collections:
            self._add(collection + "!/", _refuse, ("GET",))
            self._add(collection + "!/<path:rest>", _refuse, ("GET",))

    def _add(self, rule: str, view: View, methods: Sequence[str], **defaults: Any) -> None:
        # Werkzeug redirects between rules of one endpoint that differ in
        # their defaults; an endpoint for each rule leaves nothing to redirect.
        endpoint = f"{view.__name__} {rule} {' '.join(methods)}".replace(".", "")
        self._blueprint.add_url_rule(rule, endpoint, view, methods=list(methods), defaults=defaults)


def _refuse(**path: str) -> Any:
    raise Unimplemented("reading has no asynchronous form", "leave out the !/")


def _not_built(*_: Any, **__: Any) -> tuple[str, str]:
    raise NotImplementedError("no URL is built from an endpoint")
