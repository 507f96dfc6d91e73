"""What all collections, and all things in them, have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.errors import NotFound

if TYPE_CHECKING:
    from datetime import datetime

#: Between a collection and what is in it, where an answer is not waited for.
NOWAIT = "!/"

Answer = dict[str, Any]


class Part:
    """A thing with a name, below a collection.

    What it is was last seen in an answer, and is asked for where none has
    been, or something was changed since. :meth:`refresh` asks anyway.
    """

    #: What errors call it.
    kind = ""

    def __init__(
        self,
        connection: Connection,
        collection: str,
        name: str,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection = connection
        self._collection = collection
        self._segment = segment(self.kind, name)
        self._seen: Answer | None = None if seen is None else shown(seen)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name!r}>"

    @property
    def info(self) -> Answer:
        """All that its route tells, with the broker as a URL."""
        if self._seen is None:
            self.refresh()
        assert self._seen is not None
        return self._seen

    def refresh(self) -> None:
        """See what it is now; raises ``NotFound`` where it is no more."""
        secrets = self._connection.secrets
        self._seen = shown(self._connection.read(self._path(), secrets=secrets))

    def _path(self, rest: str = "", nowait: bool = False) -> str:
        return f"{self._collection}{NOWAIT if nowait else ''}{self._segment}/{rest}"

    def _change(
        self,
        method: str,
        rest: str = "",
        nowait: bool = False,
        params: Mapping[str, Any] | None = None,
        is_repeatable: bool | None = None,
    ) -> Answer:
        """The answer to a change, after which what was seen is old."""
        self._seen = None
        path = self._path(rest, nowait)
        return self._connection.change(method, path, params, is_repeatable)

    def _act(
        self, rest: str, nowait: bool = False, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """A POST that asks for a state: twice is as once."""
        return self._change("POST", rest, nowait, params, is_repeatable=True)

    def pause(
        self,
        reason: str | None = None,
        until: datetime | str | float | None = None,
        nowait: bool = False,
    ) -> Answer:
        """Stay up and take no new work until somebody resumes, or *until* then.

        A number is of seconds from now, text is ISO 8601; without an offset it is UTC.
        """
        moment = until if until is None or isinstance(until, str | int | float) else str(until)
        return self._act("pause/", nowait, {"reason": reason, "until": moment})

    def resume(self, nowait: bool = False) -> Answer:
        """Take new work again."""
        return self._act("resume/", nowait)

    def _delete(self, nowait: bool, params: Mapping[str, Any]) -> Answer | None:
        answer = self._change("DELETE", nowait=nowait, params=params)
        return None if answer.get("ok") == "ok" else answer


PartT = TypeVar("PartT", bound=Part)


class Section(Generic[PartT]):
    """A collection of parts. It iterates, and prints, as a list of them.

    Only their names are fetched, a page at a time; what each of them is, when
    somebody wants to know.
    """

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._collection = path

    def _part(self, name: str, seen: Mapping[str, Any] | None = None) -> PartT:
        raise NotImplementedError

    def __iter__(self) -> Iterator[PartT]:
        return map(self._part, self._connection.names(self._collection))

    def __contains__(self, name: object) -> bool:
        try:
            self.get(name.name if isinstance(name, Part) else name)  # type: ignore[arg-type]
        except NotFound:
            return False
        return True

    def __bool__(self) -> bool:
        return next(self._connection.names(self._collection, limit=1), None) is not None

    def __repr__(self) -> str:
        return repr(list(self))

    def get(self, name: str) -> PartT:
        """The one of this *name*, as it is now; raises ``NotFound``."""
        part = self._part(name)
        part.refresh()
        return part

    def all(self) -> list[PartT]:
        return list(self)

    def all_names(self) -> list[str]:
        return list(self._connection.names(self._collection))

    def _put(self, name: str, nowait: bool, params: Mapping[str, Any]) -> PartT:
        """Make it, or edit it, by a PUT, which may be sent twice."""
        part = self._part(name)
        given = {"secrets": self._connection.secrets, **params}
        answer = part._change("PUT", nowait=nowait, params=given)
        return self._made(name, answer)

    def _made(self, name: str, answer: Answer) -> PartT:
        """The part that *answer* is about; some are just its name."""
        return self._part(name, answer if "created_at" in answer else None)


def shown(answer: Mapping[str, Any]) -> Answer:
    """*answer* with its broker as a URL."""
    broker = answer.get("broker")
    return {**answer, "broker": broker["url"]} if isinstance(broker, Mapping) else {**answer}
