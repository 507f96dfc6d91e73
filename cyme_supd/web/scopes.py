"""Whose a route is, and how a request gets to all whom it concerns.

The views of a branch answer for that branch. Around each that has a scope is
put what asks the others. Where a branch is alone, and for a request that
another one has sent, the view is all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask, Response, request

from cyme_supd.domain.naming import listed
from cyme_supd.domain.placement import check_placement
from cyme_supd.errors import Conflict, NotFound, Unavailable
from cyme_supd.service import Fleet, NotQueuedHere, Replies
from cyme_supd.service.fleet import READ_S
from cyme_supd.web import gathering, wire
from cyme_supd.web.forwarding import (
    bodies,
    informed,
    is_forwarded,
    marked,
    question,
    response,
)
from cyme_supd.web.params import Params, read, read_body
from cyme_supd.web.paths import queue_name
from cyme_supd.web.schemas import Change, Waiting

View = Callable[..., Response]
Path = Mapping[str, Any]


#: Any branch by itself.
HERE = None


class Scope(Protocol):
    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        """What all whom the request at hand concerns say to it."""


def install(app: Flask, fleet: Fleet) -> None:
    """Have what is asked of *app* asked of all whom its routes' scopes name."""
    for endpoint, view in app.view_functions.items():
        scope = getattr(view, "scope", None)
        if scope is not None:
            app.view_functions[endpoint] = _scoped(scope, view, fleet)


def _scoped(scope: Scope, view: Any, fleet: Fleet) -> View:
    def answered(**path: Any) -> Response:
        if is_forwarded() or fleet.is_alone:
            made: Response = view(**path)
            return made
        # Whoever reads it next finds it there again.
        read_body(getattr(view, "params", Params), cache=True)
        if isinstance(scope, _ForAll) and _is_rehearsed(view):
            return Everyone(gathering.plan, on_host=True).answer(fleet, view, path)
        return scope.answer(fleet, view, path)

    answered.params = getattr(view, "params", None)  # type: ignore[attr-defined]
    answered.scope = scope  # type: ignore[attr-defined]
    return answered


@dataclass(frozen=True, slots=True)
class Owner:
    """The branch that has the instance which is called *key* in the path.

    With one store for all only what is *on_host* is its alone, and a dry run.
    """

    key: str = "name"
    on_host: bool = False

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        if fleet.is_shared and not (self.on_host or _is_rehearsed(view)):
            return and_tell(fleet, view(**path))
        name, reply = str(path[self.key]), None
        # It may have gone from where it was, and be somewhere else by now.
        for _ in range(2):
            owner = fleet.owner(name)
            if owner is None or owner == fleet.here:
                return view(**path)
            reply = fleet.ask(owner, question(), patience_s(view, path))
            if reply.status != 404:
                break
            fleet.forget(name)
        assert reply is not None
        return response(reply)


@dataclass(frozen=True, slots=True)
class NewInstance:
    """The branch that has the instance, or else the one that is to make it."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        name = path.get("name")
        if name is not None and fleet.owner_by_now(name) is not None:
            return Owner().answer(fleet, view, path)
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        target = fleet.place(sent.branch, check_placement(sent.placement))
        if target == fleet.here:
            return view(**path)
        if name is not None:
            fleet.learn(name, target)
        reply = fleet.ask(target, question(), patience_s(view, path))
        if reply.status == 404 and not fleet.is_shared:
            # What it does not know yet, it is told; if nobody does, it says so again.
            fleet.teach(target, str(path["app"]))
            reply = fleet.ask(target, question(), patience_s(view, path))
        return response(reply)


@dataclass(frozen=True, slots=True)
class OneBranch:
    """The branch that is called *key* in the path."""

    key: str = "id"

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        branch = str(path[self.key])
        if branch not in fleet.others():
            return view(**path)
        return response(fleet.ask(branch, question(), patience_s(view, path)))


@dataclass(frozen=True, slots=True)
class Someone:
    """Whoever knows of the task, where this branch does not."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        try:
            return view(**path)
        except NotFound as exc:
            replies = fleet.ask_all(question(), patience_s(view, path))
            known = [reply for reply in replies.replies.values() if reply.status != 404]
            if known:
                # Who cannot look it up does not know better than who can.
                return response(min(known, key=lambda reply: reply.status))
            if isinstance(exc, NotQueuedHere):
                _check_complete(replies)
            raise


@dataclass(frozen=True, slots=True)
class Names:
    """All of them: their lists of names become one, in pages."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        here = view(**path)
        if fleet.is_shared:
            return here
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        replies = informed(fleet.ask_all(question(), READ_S))
        others = [response(reply) for reply in replies.replies.values()]
        found = gathering.names(here.get_json(), bodies(replies.replies), replies.unknown)
        has_more = any("Link" in each.headers for each in (here, *others))
        return marked(wire.page_of(found, sent.limit, has_more), replies.unknown)


@dataclass(frozen=True, slots=True)
class Everyone:
    """All of them, each for itself; *merge* makes one of what they say."""

    merge: gathering.Merge
    on_host: bool = False

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        here = view(**path)
        if fleet.is_shared and not self.on_host:
            return here
        replies = informed(fleet.ask_all(question(), READ_S))
        merged = self.merge(here.get_json(), bodies(replies.replies), replies.unknown)
        return marked(wire.answer(merged, here.status_code), replies.unknown)


class _ForAll:
    """A change whose dry run all have to make."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class All(_ForAll):
    """A change that all make, each to its own; the one here says whether it can be."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        here = view(**path)
        if fleet.is_shared:
            return and_tell(fleet, here)
        return _worst(here, fleet.ask_all(question(), patience_s(view, path)))


@dataclass(frozen=True, slots=True)
class Entry(_ForAll):
    """A change of an app, or of the queue called *queue* in the path, that all get to know.

    With *has_to_wait* it is waited for what comes of it on all of them.
    """

    queue: str | None = None
    has_to_wait: bool = False

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        here = view(**path)
        if fleet.is_shared:
            return and_tell(fleet, here)
        told = fleet.publish(str(path["app"]), _queue(path, self.queue))
        if self.has_to_wait:
            return _worst(here, fleet.ask_all(question(), patience_s(view, path)))
        body = here.get_json()
        if isinstance(body, dict) and "restarting" in body:
            body["restarting"] = sorted({*body["restarting"], *told.restarting})
            here.set_data(wire.encoded(body))
        return marked(here, told.unknown)


@dataclass(frozen=True, slots=True)
class Removal(_ForAll):
    """A deletion of an app, or of a queue: all make it, and then all know of it."""

    queue: str | None = None

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        if fleet.is_shared:
            return and_tell(fleet, view(**path))
        app = str(path["app"])
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        if self.queue is None and not sent.force:
            _check_empty(fleet, app)
        here = view(**path)
        made = _worst(here, fleet.ask_all(question(), patience_s(view, path)))
        fleet.publish(app, _queue(path, self.queue))
        return made


@dataclass(frozen=True, slots=True)
class Parts(_ForAll):
    """A change that each makes of what it has; *merge* makes one of what they say."""

    merge: gathering.Merge

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        return Everyone(self.merge).answer(fleet, view, path)


@dataclass(frozen=True, slots=True)
class Rolling(_ForAll):
    """A rolling restart, of which each branch makes its own part.

    One that *begins* may do so where none is under way; another word is for
    whichever branch has stopped, if it is not this one.
    """

    begins: bool = False

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        app = str(path["app"])
        if self.begins and not fleet.is_shared:
            _check_rolled(fleet, app)
        try:
            return Entry().answer(fleet, view, path)
        except Conflict:
            replies = {} if self.begins else fleet.ask_all(question(), READ_S).replies
            made = [reply for reply in replies.values() if reply.status < 300]
            if not made:
                raise
            # The others hear of it by the next heartbeat.
            return response(made[0])


def _check_complete(replies: Replies) -> None:
    """Raise ``Unavailable`` where some did not say: not known is not absent."""
    if replies.unknown:
        raise Unavailable(
            "no branch that answers has queued that task; it may have been one that does not:"
            f" {', '.join(sorted(replies.unknown))}",
            "ask when that is back",
        )


def _check_rolled(fleet: Fleet, app: str) -> None:
    said = bodies(fleet.ask_all(question("GET"), READ_S).replies)
    for branch, each in sorted(said.items()):
        if each["state"] in ("running", "stopped"):
            raise Conflict(
                f"a rolling restart of {app!r} is {each['state']} on branch {branch!r}",
                f"POST /{app}/restart/resume/ or /{app}/restart/abort/",
            )


def _check_empty(fleet: Fleet, app: str) -> None:
    """Raise ``Conflict`` where others have instances of *app*, with those here."""
    said = bodies(fleet.ask_all(question("GET"), READ_S).replies)
    left = gathering.names([], {id: each["instances"] for id, each in said.items()}, {})
    if left:
        everywhere = sorted({*left, *fleet.names_here(app)})
        raise Conflict(
            f"app {app!r} has instances: {listed(everywhere)}",
            "delete them first, or add force=1 to stop and remove them too",
        )


def _queue(path: Path, key: str | None) -> str | None:
    return None if key is None else queue_name(str(path[key]))


def _is_rehearsed(view: View) -> bool:
    params = getattr(view, "params", None)
    sent: Any = read(params) if params is not None and issubclass(params, Change) else None
    return sent is not None and sent.dry_run


def and_tell(fleet: Fleet, here: Response) -> Response:
    """With one store the others see what was stored; that something was, they are told."""
    if request.method not in ("GET", "HEAD"):
        fleet.tell()
    return here


def _worst(here: Response, replies: Replies) -> Response:
    """The answer of whoever is furthest from having done it; who knows of nothing has."""
    others = [response(reply) for reply in replies.replies.values() if reply.status != 404]
    found = max((here, *others), key=lambda made: (made.status_code >= 300, made.status_code))
    if found.status_code == 201:
        found = here
    return marked(found, replies.unknown)


def patience_s(view: View, path: Path) -> float:
    """How long whoever is asked may take."""
    if path.get("nowait"):
        return READ_S
    params = getattr(view, "params", None)
    sent = read(params) if params is not None and issubclass(params, Waiting) else None
    return sent.timeout_s if isinstance(sent, Waiting) else READ_S
