"""What may be asked of an app: each route once, with the other forms that it has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Flask
from werkzeug.routing import Rule

from cyme_supd.web.params import Params

#: What browsers load for people; no program asks for it.
_PAGES = ("/admin/", "/static/", "/api/docs.css")
_SINGULAR, _PLURAL = "/instance/", "/instances/"


@dataclass(frozen=True)
class Operation:
    """One that a caller may take.

    ``methods`` are those it has, with spaces between them, or ``VERB`` for any.
    ``later`` is the path of its asynchronous form, ``alias`` another path to it.
    """

    noun: str
    methods: str
    path: str
    params: type[Params] | None
    later: str = ""
    alias: str = ""

    @property
    def key(self) -> str:
        return f"{self.methods} {self.path}"


def operations(app: Flask) -> list[Operation]:
    """Every operation of *app*, in the order of its routes."""
    found: dict[str, Operation] = {}
    for rule in app.url_map.iter_rules():
        if not is_described(app, rule):
            continue
        made = _operation(app, rule)
        before = found.setdefault(made.key, made)
        found[made.key] = replace(
            before, later=before.later or made.later, alias=before.alias or made.alias
        )
    return list(found.values())


def is_described(app: Flask, rule: Rule) -> bool:
    """Whether *rule* is for programs, and does more than to refuse what has no such form."""
    is_refusal = app.view_functions[rule.endpoint].__name__ == "_refuse"
    return not is_refusal and not f"{rule.rule}/".startswith(_PAGES)


def described_path(rule: Rule) -> str:
    """The path under which *rule* is described, whichever of its forms it is."""
    shown = rule.rule.replace("<path:rest>", "<url>").replace("/!/", "/")
    return shown.replace(_SINGULAR, _PLURAL)


def _operation(app: Flask, rule: Rule) -> Operation:
    view = app.view_functions[rule.endpoint]
    shown = rule.rule.replace("<path:rest>", "<url>")
    is_later, is_alias = "/!/" in shown, _SINGULAR in shown
    return Operation(
        noun=rule.endpoint.split(".")[0],
        methods=_verbs(rule.methods or set()),
        path=described_path(rule),
        params=getattr(view, "params", None),
        later=shown if is_later and not is_alias else "",
        alias=shown if is_alias and not is_later else "",
    )


def _verbs(methods: set[str]) -> str:
    """In the order of the contract; what takes all of them takes a VERB."""
    if "TRACE" in methods:
        return "VERB"
    return " ".join(sorted(methods - {"HEAD", "OPTIONS"}, reverse=True))
