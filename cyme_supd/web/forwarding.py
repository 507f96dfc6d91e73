"""A request as a message to another branch, and that branch's answer as ours."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from flask import Flask, Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from cyme_supd.domain.access import Role
from cyme_supd.domain.audit import Actor
from cyme_supd.service import Question, Replies, Reply
from cyme_supd.service.acting import acting
from cyme_supd.web.paths import ACTOR, FORWARDED, raw_uri

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: In an answer that has no room for it: the branches that it is without.
UNKNOWN = "Cyme-Unknown"
#: In an answer with what a run has printed: which bytes these are, of how many.
OUTPUT = "Cyme-Output"
#: Headers that belong to an answer; the others are those of whoever gives it.
_OWN = frozenset(
    {"content-type", "link", "location", "retry-after", "allow", UNKNOWN.lower(), OUTPUT.lower()}
)


def is_forwarded() -> bool:
    """Whether the request at hand goes no further."""
    return FORWARDED in request.environ


def question(method: str | None = None) -> Question:
    """The request at hand, for another branch; what its body says can still be read."""
    path, _, query = raw_uri(request.environ).partition("?")
    role = Role(g.role)
    if method is not None:
        return Question(method, path, role=role)
    body = request.get_data(cache=True).decode("latin-1")
    kind, actor = request.content_type or "", acting().as_dict()
    return Question(request.method, path, query, body, kind, role, actor)


def response(reply: Reply) -> Response:
    """Another branch's answer, as this one gives it."""
    kept = [(name, value) for name, value in reply.headers if name.lower() in _OWN]
    made = Response(reply.body.encode(), reply.status)
    made.headers.clear()
    made.headers.extend(kept)
    return made


def reply_of(made: AnyResponse) -> Reply:
    kept = tuple((name, value) for name, value in made.headers if name.lower() in _OWN)
    return Reply(made.status_code, kept, made.get_data(as_text=True))


def answerer(app: Flask) -> Callable[[Mapping[str, Any], float], dict[str, Any]]:
    """Answers questions by *app*: what another branch sends is put to it like a request."""

    def answer(arguments: Mapping[str, Any], _left_s: float) -> dict[str, Any]:
        environ = _environ(Question.of(arguments))
        made = Response.from_app(app, environ, buffered=True)
        return reply_of(made).as_dict()

    return answer


def _environ(asked: Question) -> WSGIEnvironment:
    return {
        **environ_of(asked),
        FORWARDED: asked.role,
        ACTOR: Actor(**{name: asked.actor.get(name, "") for name in Actor.__dataclass_fields__}),
    }


def environ_of(asked: Question) -> WSGIEnvironment:
    """That request, as a server hands one over."""
    body = asked.body.encode("latin-1")
    return {
        "REQUEST_METHOD": asked.method,
        "RAW_URI": f"{asked.path}?{asked.query}" if asked.query else asked.path,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(asked.path).decode("latin-1"),
        "QUERY_STRING": asked.query,
        "CONTENT_TYPE": asked.content_type,
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "branch",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def bodies(replies: Mapping[str, Reply]) -> dict[str, Any]:
    """What those said, by branch, that had what was asked for."""
    made = {branch: response(reply) for branch, reply in replies.items()}
    return {branch: each.get_json() for branch, each in made.items() if each.status_code == 200}


def informed(replies: Replies) -> Replies:
    """Without those that say neither what they have nor that they have nothing."""
    refused = {
        branch: f"it answers {reply.status}"
        for branch, reply in replies.replies.items()
        if reply.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
    }
    kept = {branch: each for branch, each in replies.replies.items() if branch not in refused}
    return Replies(kept, {**refused, **replies.unknown})


def marked(made: Response, unknown: Iterable[str]) -> Response:
    """*made*, which says whose answer it is without."""
    missing = ", ".join(sorted(unknown))
    if missing:
        made.headers[UNKNOWN] = missing
    return made
