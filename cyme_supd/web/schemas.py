"""The parameters of every route, by name and type."""

from __future__ import annotations

from datetime import datetime
from io import StringIO
from typing import Any

from pydantic import Field

from cyme_supd.domain.audit import DEFAULT_SHOWN, KINDS, MOST_SHOWN, VERBS, Query
from cyme_supd.domain.naming import is_control
from cyme_supd.domain.placement import check_placement
from cyme_supd.domain.samples import Subject
from cyme_supd.domain.values import instant
from cyme_supd.errors import Invalid
from cyme_supd.web.params import Params

DEFAULT_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 60.0
MAX_PAGE = 100_000
DEFAULT_LOG_BYTES = 16384
MAX_LOG_BYTES = 1024 * 1024
DEFAULT_HISTORY, MAX_HISTORY = 50, 1000

Text = str | None
Whole = int | None
Flag = bool | None
Words = str | list[str] | None
Table = str | dict[str, Any] | None
Seconds = float | None


class Nothing(Params):
    """A route that takes no parameters."""


class Page(Params):
    limit: Whole = Field(default=None, ge=1, le=MAX_PAGE)
    after: Text = Field(default=None, max_length=1024)


class Shown(Params):
    secrets: Flag = None


class Waiting(Params):
    timeout: Seconds = Field(default=None, ge=0, le=MAX_TIMEOUT_S)

    @property
    def timeout_s(self) -> float:
        return DEFAULT_TIMEOUT_S if self.timeout is None else self.timeout


class Change(Waiting):
    """What every change takes: ``dry_run`` has it planned and not made."""

    # Not a Flag: left empty it would make the change that somebody wanted to look at.
    dry_run: bool = False

    def said(self) -> set[str]:
        """Names of what was sent about the thing itself."""
        return self.model_fields_set - {"timeout", "secrets", "dry_run"}


class Edit(Change, Shown):
    """What apps and instances have in common."""

    broker: Text = None
    arguments: Words = None
    extra_config: Table = None
    pool: Text = None
    stop_timeout_s: Whole = None
    hung_timeout_s: Whole = None

    def given(self) -> dict[str, Any]:
        """What was sent of the object itself; empty ones as ``None``."""
        return {name: getattr(self, name) for name in self.said()}


class AppEdit(Edit):
    hostname: Text = None
    port: Whole = None
    userid: Text = None
    password: Text = None
    virtual_host: Text = None
    vhost: Text = None
    transport: Text = None
    celery_app: Text = None
    directory: Text = None
    environment: Table = None
    user: Text = None
    command: Text = None
    result_backend: Text = None
    tracked: Flag = None

    def given(self) -> dict[str, Any]:
        values = super().given()
        if "tracked" in values:
            values["is_tracked"] = values.pop("tracked")
        if "vhost" in values:
            vhost = values.pop("vhost")
            if values.setdefault("virtual_host", vhost) != vhost:
                raise Invalid("vhost: differs from virtual_host", "they are the same; send one")
        return values


class InstanceEdit(Edit):
    max_concurrency: Whole = None
    min_concurrency: Whole = None
    queues: Words = None
    branch: Text = None
    placement: Text = None

    def given(self) -> dict[str, Any]:
        # Where it goes was settled by whoever has got the request first.
        check_placement(self.placement)
        return {name: value for name, value in super().given().items() if name != "placement"}


class QueueEdit(Change, Shown):
    exchange: Text = None
    exchange_type: Text = None
    routing_key: Text = None
    options: Table = None

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.said()}


class PauseEdit(Change):
    reason: Text = None
    until: str | float | None = None


class Restart(Change):
    max_unavailable: Whole = Field(default=None, ge=1, le=1000)


class Draining(Change):
    move: Flag = None


class Purge(Change):
    expect: Whole = Field(default=None, ge=0)


class QueueDeletion(Change):
    purge: Flag = None


class Deletion(Change):
    force: Flag = None


class Limits(Change):
    max: Whole = None
    min: Whole = None

    def given(self) -> dict[str, Any]:
        names = {"max": "max_concurrency", "min": "min_concurrency"}
        return {names[key]: getattr(self, key) for key in names if key in self.model_fields_set}


class StatsQuery(Waiting, Shown):
    pass


class AuditQuery(Params):
    since: Text = None
    before: Text = None
    actor: Text = Field(default=None, max_length=128)
    verb: Text = None
    kind: Text = None
    app: Text = Field(default=None, max_length=128)
    name: Text = Field(default=None, max_length=128)
    q: Text = Field(default=None, max_length=200)
    limit: Whole = Field(default=None, ge=1, le=MAX_PAGE)

    def query(self) -> Query:
        for name in ("actor", "kind", "app", "name", "q"):
            if any(is_control(char) for char in getattr(self, name) or ""):
                raise Invalid(f"{name}: there is a control character in it")
        for name, known in (("kind", KINDS), ("verb", VERBS)):
            if getattr(self, name) not in (None, *known):
                raise Invalid(f"{name}: {getattr(self, name)!r} is none", " ".join(known))
        return Query(
            since=None if self.since is None else instant("since", self.since),
            until=None if self.before is None else instant("before", self.before),
            actor=self.actor,
            verb=self.verb,
            kind=self.kind,
            app=self.app,
            name=self.name,
            text=self.q,
            limit=min(self.limit or DEFAULT_SHOWN, MOST_SHOWN),
        )


class SamplesQuery(Params):
    app: Text = Field(default=None, max_length=128)
    queue: Text = Field(default=None, max_length=128)
    instance: Text = Field(default=None, max_length=128)
    since: Text = None

    def subject(self) -> Subject:
        if (self.queue or self.instance) and not self.app:
            raise Invalid("app: is needed", "a queue and an instance are of an app")
        if self.queue and self.instance:
            raise Invalid("queue: there is an instance, too", "samples are of one of them")
        return Subject(self.app or "", self.queue or None, self.instance or None)

    def begin(self) -> datetime | None:
        return None if self.since is None else instant("since", self.since)


class HistoryQuery(Params):
    limit: Whole = Field(default=None, ge=1, le=MAX_PAGE)

    @property
    def most(self) -> int:
        return min(self.limit or DEFAULT_HISTORY, MAX_HISTORY)


class LogQuery(Params):
    bytes: Whole = Field(default=None, ge=1, le=MAX_LOG_BYTES)
    follow: Flag = None


class WorkerLogQuery(LogQuery):
    q: Text = Field(default=None, max_length=255)

    def lines(self, text: str) -> str:
        """Those of *text* that are wanted."""
        wanted = self.q
        if not wanted:
            return text
        # By what workers write at the end of each, and nothing else that may be in one.
        return "".join(line for line in StringIO(text) if wanted in line)


class UserEdit(Change):
    password: Text = None
    role: Text = None

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.said()}


class UserMaking(UserEdit):
    name: Text = None

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in super().given().items() if name != "name"}


class TokenMaking(Change):
    label: Text = None
    user: Text = None
    role: Text = None
    app: Text = None
    expires: str | float | None = None

    def given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.said()}
