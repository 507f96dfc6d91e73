"""Whose a category, a job and a run are, where each branch has a store of its own.

Jobs belong to the branch that holds their category. A new one is held by whoever is
asked for it; nobody else may have it then, or each of its jobs would run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from flask import Response, g, request

from cyme_supd.domain.access import Role
from cyme_supd.domain.jobstore import MAX_PAGE
from cyme_supd.errors import CymeError, Invalid, Unavailable
from cyme_supd.service import Fleet, NotHeldHere, Question, Replies, Reply
from cyme_supd.service.fleet import READ_S
from cyme_supd.web import gathering, wire
from cyme_supd.web.forwarding import bodies, informed, marked, question, response
from cyme_supd.web.jobparams import Paged
from cyme_supd.web.params import read
from cyme_supd.web.scopes import Path, View, and_tell, patience_s

Key = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Keeper:
    """The branch that has the category called ``name`` in the path, or this one if none has."""

    has: Callable[[str], bool]

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        name = str(path["name"])
        if fleet.is_shared or self.has(name):
            return and_tell(fleet, view(**path)) if fleet.is_shared else view(**path)
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        where = f"/api/categories/{quote(name, safe='')}/"
        replies = informed(fleet.ask_all(Question("GET", where, role=Role(g.role)), READ_S))
        for branch, reply in sorted(replies.replies.items()):
            if reply.status == 200:
                return response(fleet.ask(branch, question(), patience_s(view, path)))
        if not sent.force:
            _check_complete(replies, "add force=1 to keep it here whoever else has it")
        return view(**path)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever has it, where this branch has not."""

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        try:
            return and_tell(fleet, view(**path)) if fleet.is_shared else view(**path)
        except NotHeldHere:
            if fleet.is_shared:
                raise
            replies = fleet.ask_all(question(), patience_s(view, path))
            found = [each for each in replies.replies.values() if each.status != 404]
            if found:
                return response(min(found, key=lambda reply: reply.status))
            _check_complete(replies, "ask when that is back")
            raise


@dataclass(frozen=True, slots=True)
class Printer:
    """Whoever has all that a run printed; else its end, by whoever has the run.

    *runner* says which instance that is, where it is not on this host.
    """

    runner: Callable[[str], str | None]

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        reply = None if sent.follow or not fleet.is_shared else self._asked(fleet, str(path["id"]))
        if reply is not None and reply.status == 200:
            return response(reply)
        return Holder().answer(fleet, view, path)

    def _asked(self, fleet: Fleet, id: str) -> Reply | None:
        try:
            instance = self.runner(id)
            owner = fleet.owner(instance) if instance else None
            if owner in (None, fleet.here):
                return None
            return fleet.ask(str(owner), question(), READ_S)
        except CymeError:
            # The end of it is better than nothing; what is wrong with the run is said here.
            return None


@dataclass(frozen=True, slots=True)
class Pages:
    """All of them: what each has under *key*, in the order of *order*, as one list in pages."""

    key: str
    order: Callable[[Any], Key]

    def answer(self, fleet: Fleet, view: View, path: Path) -> Response:
        if fleet.is_shared:
            return view(**path)
        sent: Any = read(view.params)  # type: ignore[attr-defined]
        wanted = sent.number * sent.limit
        if wanted > MAX_PAGE:
            raise Invalid(
                f"page: of several branches' {self.key} only the first {MAX_PAGE} are gathered",
                "narrow them down, or give the branches one database",
            )
        # Of each the first so many may be those that are wanted of all.
        words = dict(parse_qsl(request.environ.get("QUERY_STRING", ""), keep_blank_values=True))
        query = urlencode({**words, "page": 1, "per_page": wanted})
        request.environ["QUERY_STRING"] = query
        here = view(**path).get_json()
        replies = informed(fleet.ask_all(replace(question(), query=query), READ_S))
        everybody = [here["data"], *(each["data"] for each in bodies(replies.replies).values())]
        found = [each for data in everybody for each in data[self.key]]
        found.sort(key=self.order(sent))
        page = {
            self.key: found[sent.offset : wanted],
            "page": sent.number,
            "per_page": sent.limit,
            "has_more": len(found) > wanted or any(data["has_more"] for data in everybody),
        }
        return marked(wire.answer({"data": page}), replies.unknown)


def page(key: str, found: Sequence[Mapping[str, Any]], sent: Paged) -> Response:
    """What was *found*, with one more than fits where there is another page."""
    shown = {
        key: found[: sent.limit],
        "page": sent.number,
        "per_page": sent.limit,
        "has_more": len(found) > sent.limit,
    }
    return wire.answer({"data": shown})


def job_order(sent: Any) -> Key:
    """As the store has them: what has no time comes last, whichever way."""
    query = sent.query()
    if query.sort == "name":
        name: Key = lambda job: (job["category_name"], job["name"])  # noqa: E731
        return _Backwards.by(name) if query.is_descending else name
    time: Key = lambda job: (job["next_fire_at"] or "", job["id"])  # noqa: E731
    by_time = _Backwards.by(time) if query.is_descending else time
    return lambda job: (job["next_fire_at"] is None, by_time(job))


def run_order(_: Any) -> Key:
    return _Backwards.by(lambda run: (run["fire_at"], run["id"]))


def categories(here: Any, others: gathering.Answers, unknown: gathering.Unknown) -> Any:
    everybody = [here, *others.values()]
    found = {each["name"]: each for one in everybody for each in one["data"]["categories"]}
    return {"data": {"categories": [found[name] for name in sorted(found)]}}


def troubles(here: Any, others: gathering.Answers, unknown: gathering.Unknown) -> Any:
    everybody = [here, *others.values()]
    found = [each for one in everybody for each in one["data"]["troubles"]]
    return {"data": {"troubles": sorted(found, key=lambda each: str(each["since"]))}}


def pruned(here: Any, others: gathering.Answers, unknown: gathering.Unknown) -> Any:
    everybody = [here, *others.values()]
    return {
        "runs": sum(each["runs"] for each in everybody),
        "is_done": all(each["is_done"] for each in everybody),
    }


class _Backwards:
    """A key of texts, the greatest first."""

    def __init__(self, key: Any) -> None:
        self._key = key

    @classmethod
    def by(cls, key: Key) -> Key:
        return lambda one: cls(key(one))

    def __lt__(self, other: _Backwards) -> bool:
        return bool(other._key < self._key)


def _check_complete(replies: Replies, hint: str) -> None:
    """Raise ``Unavailable`` where some did not say: not known is not absent."""
    if replies.unknown:
        raise Unavailable(
            f"not here, and these branches, which may have it, did not say:"
            f" {', '.join(sorted(replies.unknown))}",
            hint,
        )
