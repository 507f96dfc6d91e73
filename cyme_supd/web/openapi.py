"""The interface as an OpenAPI 3.1 document: from its routes, their parameters, their words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask

from cyme_supd import __version__
from cyme_supd.domain.naming import NAME, NAME_HINT
from cyme_supd.domain.task import METHODS
from cyme_supd.web import words
from cyme_supd.web.forwarding import OUTPUT, UNKNOWN
from cyme_supd.web.jobparams import OutputQuery
from cyme_supd.web.operations import Operation, operations
from cyme_supd.web.schemas import LogQuery, Page, Waiting
from cyme_supd.web.shapes import Schema, Shapes, plain, statuses
from cyme_supd.web.statuses import ANSWERS, BODIES, EVENTS, TEXTS

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

#: Of the verbs that a queued URL may have, those that a document has a word for.
_VERBS = tuple(method for method in METHODS if method != "CONNECT")
_NAMED: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
#: What each part of a path is, its schema, and one for the reader.
_PARTS: Mapping[str, tuple[str, Schema, str]] = {
    "app": (f"The application: {NAME_HINT}.", _NAMED, "foo"),
    "name": (f"The instance: {NAME_HINT}.", _NAMED, "w1"),
    "instance": (f"The instance: {NAME_HINT}.", _NAMED, "w1"),
    "queue": (
        "The queue, percent-encoded; a slash, too.",
        {"type": "string", "minLength": 1, "maxLength": 128},
        "tasks",
    ),
    "url": (
        "The URL to request: as it stands, or percent-encoded as a whole.",
        {"type": "string", "pattern": "^https?://.+"},
        "http://example.com/people",
    ),
    "branches id": (f"The branch: {NAME_HINT}.", _NAMED, "b1"),
    "access name": (f"The user: {NAME_HINT}.", _NAMED, "boris"),
    "access id": (
        "The token: the first part of what its owner sends.",
        {"type": "string", "pattern": "^[0-9a-f]{12}$"},
        "0123456789ab",
    ),
    "jobs name": (f"The category: {NAME_HINT}.", _NAMED, "example"),
    "jobs id": (
        "The job, or the run: its uuid.",
        {"type": "string", "pattern": "^[0-9a-f-]{36}$"},
        "018bcfe5-6800-7000-8000-000000000000",
    ),
    "tracking id": (
        "The task: its id, as Celery or its producer made it.",
        {"type": "string", "minLength": 1},
        "018bcfe5-6800-7000-8000-000000000000",
    ),
    "tasks id": (
        "The task: its uuid, as it was given when it was queued.",
        {"type": "string", "minLength": 1},
        "018bcfe5-6800-7000-8000-000000000000",
    ),
}
_BATCH = [{"url": "http://example.com/people", "params": {"page": 2}}]
_READING = (400, 401, 403, 404, 429, 503, 504)
_CHANGING = (400, 401, 403, 404, 409, 413, 415, 429, 501, 502, 503, 504)
_HEADERS: Mapping[str, Schema] = {
    "Link": {
        "description": 'Leads to the next names, `rel="next"`, where there are more.',
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where its state is told.", "schema": {"type": "string"}},
    UNKNOWN: {
        "description": "The branches that the answer is without, where some did not say.",
        "schema": {"type": "string"},
    },
    OUTPUT: {
        "description": "Which bytes these are, and of how many: `bytes 0-9/9`.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
}


def document(app: Flask) -> dict[str, Any]:
    """The document of *app*; ``LookupError`` where an operation is not described."""
    undescribed = missing(app)
    if undescribed:
        raise LookupError("; ".join(undescribed))
    found = operations(app)
    shapes = Shapes(found)
    paths: dict[str, dict[str, Any]] = {}
    for each in found:
        item = paths.setdefault(template(each.path), {"parameters": list(_parts(each))})
        item.update(_operations(each, shapes))
    return {
        "openapi": "3.1.0",
        "info": {"title": "cyme-supd", "version": __version__, "description": plain(words.RULES)},
        "servers": [{"url": "/"}],
        "tags": [{"name": noun, "description": title} for noun, title in words.NOUNS.items()],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "responses": _refusals(),
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
        # Without anybody who is known, whoever is on the host needs none.
        "security": [{"token": []}, {"password": []}, {}],
    }


def missing(app: Flask) -> list[str]:
    """What *app* does and nobody describes, each with where it is to be described."""
    wanted = (
        ("words.py", words.ROUTES, "what it does"),
        ("statuses.py", ANSWERS, "what it answers"),
    )
    return [
        f"{each.key}: cyme_supd/web/{file} does not say {what}"
        for each in operations(app)
        for file, known, what in wanted
        if each.key not in known
    ]


def template(path: str) -> str:
    """A rule's *path* as the document has it: ``/{app}/``."""
    return path.replace("<", "{").replace(">", "}")


def _operations(each: Operation, shapes: Shapes) -> Iterator[tuple[str, Any]]:
    """*each* by its verbs."""
    described = _described(each, shapes)
    body = _body(each, shapes)
    for verb in _VERBS if each.methods == "VERB" else each.methods.split():
        said = {"operationId": _id(verb, each.path), **described}
        yield verb.lower(), said if verb in ("GET", "HEAD") or not body else {**said, **body}


def _described(each: Operation, shapes: Shapes) -> dict[str, Any]:
    text = plain(words.ROUTES[each.key])
    forms = {"x-asynchronous": template(each.later)} if each.later else {}
    return {
        "tags": [each.noun],
        "summary": summary(text),
        "description": " ".join([text, *_forms(each)]),
        "parameters": [
            {"name": name, "in": "query", **_of_query(field)}
            for name, field in shapes.fields(each.params).items()
        ],
        "responses": _responses(each, shapes),
        **forms,
    }


def summary(text: str) -> str:
    """The beginning of *text*, as far as a list of operations has room for it."""
    without = re.sub(r" \([^()]*\)", "", text)
    return re.split(r"[.:;](?=\s|$)", without)[0].replace("`", "")


def _forms(each: Operation) -> Iterator[str]:
    if each.later:
        yield f"Asynchronous: `{template(each.later)}`."
    if each.alias:
        yield f"Also: `{template(each.alias)}`."


def _of_query(field: Schema) -> Schema:
    schema = {name: value for name, value in field.items() if name != "description"}
    return {"description": field["description"], "schema": schema}


def _parts(each: Operation) -> Iterator[Schema]:
    for part in re.findall("<([^>]+)>", each.path):
        text, schema, example = _PARTS.get(f"{each.noun} {part}") or _PARTS[part]
        yield {
            "name": part,
            "in": "path",
            "required": True,
            "description": text,
            "schema": schema,
            "example": example,
        }


def _body(each: Operation, shapes: Shapes) -> dict[str, Any]:
    if each.key in BODIES:
        content = {JSON: {"schema": shapes.body(each), "example": _BATCH}}
        return {"requestBody": {"required": True, "content": content}}
    if each.methods == "VERB":
        return {"requestBody": {"description": "Sent as it is.", "content": {"*/*": {}}}}
    if not shapes.fields(each.params):
        return {}
    assert each.params is not None
    ref, name = "#/components/schemas/", each.params.__name__
    content = {
        JSON: {"schema": {"$ref": ref + name}},
        FORM: {"schema": {"$ref": f"{ref}{name}Form"}},
    }
    return {"requestBody": {"content": content}}


def _responses(each: Operation, shapes: Shapes) -> dict[str, Any]:
    refused = _READING if each.methods == "GET" else _CHANGING
    if each.params is not None and issubclass(each.params, Waiting):
        refused = (*refused, 408)
    if each.params is not None and issubclass(each.params, LogQuery):
        refused = (*refused, 501)
    found = {str(status): {"$ref": f"#/components/responses/{status}"} for status in refused}
    for status, kind in statuses(each).items():
        found[str(status)] = _answer(each, shapes, status, kind)
    default = {"default": {"$ref": "#/components/responses/default"}}
    return {**dict(sorted(found.items())), **default}


def _answer(each: Operation, shapes: Shapes, status: int, kind: Any) -> dict[str, Any]:
    if kind in TEXTS:
        # This version has no words for what comes bit by bit.
        text: Schema = {"schema": {"type": "string"}}
        content: Schema = {one: {} if one == EVENTS else text for one in kind.split()}
    else:
        schema = shapes.answer(each, status)
        if status == 503:
            schema = {"anyOf": [schema, {"$ref": "#/components/schemas/Refused"}]}
        content = {JSON: {"schema": schema}}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _headers(each)}
    return {"description": _phrase(status), "headers": headers, "content": content}


def _headers(each: Operation) -> Iterable[str]:
    if each.params is Page:
        yield "Link"
    if each.methods == "VERB":
        yield "Location"
    if each.params is OutputQuery:
        yield OUTPUT
    if each.methods != "VERB" and each.noun not in ("meta", "contract"):
        yield UNKNOWN


def _refusals() -> dict[str, Any]:
    """What may be refused, by status."""
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Refused"}}}
    found: dict[str, Any] = {"default": {"description": "An error.", "content": content}}
    for status in sorted({*_READING, *_CHANGING, 408}):
        found[str(status)] = {"description": _phrase(status), "content": content}
        if status in (429, 503):
            retry = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
            found[str(status)]["headers"] = retry
    return found


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _id(verb: str, path: str) -> str:
    """``post_app_instances_name_enable``."""
    return "_".join([verb.lower(), *re.findall(r"[a-z]+", path)])
