"""What was changed, by whom and from where, and what it was before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from cyme_supd.domain.access import Token, User
from cyme_supd.domain.broker import MASK
from cyme_supd.domain.job import Job
from cyme_supd.domain.masking import masked
from cyme_supd.domain.spec import App, Instance, Queue

APP, QUEUE, INSTANCE, BRANCH = "app", "queue", "instance", "branch"
USER, TOKEN, JOB, RUN, TASK = "user", "token", "job", "run", "task"
CREATE, EDIT, DELETE, PURGE = "create", "edit", "delete", "purge"
#: What a branch does to a worker, to make it what is asked for.
ACT = "act"
#: Of people: who signed in to the pages, who was not let in, who signed out.
LOGIN, REFUSE, LOGOUT = "login", "refuse", "logout"
VERBS = (CREATE, EDIT, DELETE, PURGE, ACT, LOGIN, REFUSE, LOGOUT)
KINDS = (APP, QUEUE, INSTANCE, BRANCH, USER, TOKEN, JOB, RUN, TASK)

#: For so long it is known what branches did of themselves; what people did, for good.
DECISIONS_KEPT = timedelta(days=90)
#: The logger that every change is told to, once it is stored.
AUDIT_LOG = "cyme_supd.audit"
MOST_SHOWN = 1000
DEFAULT_SHOWN = 100
#: Their values are whatever somebody has put there.
_HIDDEN = frozenset({"environment", "result_backend", "password_hash", "digest"})
#: Counted by the store, and no part of what somebody asked for.
_COUNTED = frozenset({"generation"})
#: They follow from what is asked for, and from the time.
_COMPUTED = frozenset({"next_fire_at", "due_at"})
#: Of a command that is longer the rest is not kept, nor are more words.
_MOST_TEXT, _MOST_WORDS = 1000, 30
_LONG = frozenset({"command", "argv"})

Spec = App | Queue | Instance | User | Token | Job


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something. *name* is empty where nobody has said it, *address* where it
    was this host itself; *agent* is the program that was used."""

    name: str = ""
    address: str = ""
    agent: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "address": self.address, "agent": self.agent}


@dataclass(frozen=True, slots=True)
class Event:
    """``before`` and ``after`` have what is not the same in both, without secrets; ``None``
    where there was nothing, or is nothing any more. ``app`` is empty for a branch.
    ``id`` is given by the store."""

    at: datetime
    actor: Actor
    branch: str
    verb: str
    kind: str
    app: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """Which events are wanted, the newest first; ``until`` is not among them, ``text`` is
    anywhere in them, and ``newer_than`` the id of one that was stored before them."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    verb: str | None = None
    kind: str | None = None
    app: str | None = None
    name: str | None = None
    text: str | None = None
    newer_than: int | None = None
    limit: int = DEFAULT_SHOWN


@dataclass(frozen=True, slots=True)
class Change:
    """An event before it is known whose it is."""

    verb: str
    kind: str
    app: str
    name: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def by(self, actor: Actor, branch: str, at: datetime) -> Event:
        return Event(
            at, actor, branch, self.verb, self.kind, self.app, self.name, self.before, self.after
        )


def change(before: Spec | None, after: Spec | None) -> Change | None:
    """What is different between the two; ``None`` where nothing is that anybody asked for."""
    spec = after if after is not None else before
    assert spec is not None
    was, now = _described(before), _described(after)
    if was is not None and now is not None:
        names = {name for name in now if was[name] != now[name]} - _COUNTED
        if not names:
            return None
        names |= {"category"} & now.keys()
        was, now = ({name: each[name] for name in sorted(names)} for each in (was, now))
    kind, app, name = _place(spec)
    return Change(_verb(before, after), kind, app, name, _shown(was), _shown(now))


def _verb(before: Spec | None, after: Spec | None) -> str:
    if before is None:
        return CREATE
    # It is gone when its workers are.
    is_going = getattr(after, "is_deleting", after is None)
    return DELETE if is_going else EDIT


def _place(spec: Spec) -> tuple[str, str, str]:
    """Kind, app and name."""
    match spec:
        case App():
            return APP, spec.name, spec.name
        case User():
            return USER, "", spec.name
        case Token():
            return TOKEN, spec.app or "", spec.id
        case Job():
            return JOB, spec.app or "", spec.name
    return (QUEUE if isinstance(spec, Queue) else INSTANCE), spec.app, spec.name


def _described(spec: Any) -> dict[str, Any] | None:
    if spec is None:
        return None
    names = [each.name for each in fields(spec) if each.name not in _COMPUTED]
    return {name: _plain(getattr(spec, name)) for name in names}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return _described(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value


def _shown(described: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """That a secret was changed shows; what it is does not."""
    if described is None:
        return None
    hidden = {name: _hidden(described[name]) for name in _HIDDEN & described.keys()}
    # First cut: who masks goes through all of it.
    short = {name: _cut(each) if name in _LONG else each for name, each in described.items()}
    return {**masked(short), **hidden}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return value[:_MOST_TEXT] + "..."
    if isinstance(value, list) and (len(value) > _MOST_WORDS or len(str(value)) > _MOST_TEXT):
        return [word[: _MOST_TEXT // _MOST_WORDS] for word in value[:_MOST_WORDS]] + ["..."]
    return value


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, MASK)
    return MASK if value else value
