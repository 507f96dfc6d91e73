"""A batch of messages, read: what they say, and nothing of them that is not bounded."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cyme_supd.domain.ledger import Record, bounded, from_event, is_moment, merge
from cyme_supd.domain.ledgerstore import EVENTS, Gap, Refusal, Source
from cyme_supd.domain.taskmessage import MOST_BODY, Message, Redaction, Refused, parse
from cyme_supd.domain.tracking import MOST_WORKERS, Heartbeats

#: Longer events are refused; a message has up to 24 of them, with what tasks returned.
MOST_EVENT = 4 * 1024 * 1024
MOST_KEPT_ASIDE = 4096

#: Of a message that is sent again: its headers tell all but these anew.
_TOLD_ANEW = frozenset({"argsrepr", "kwargsrepr", "origin", "id", "root_id", "parent_id"})


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it came: of the platform queue, or events."""

    message: Message
    is_event: bool = False
    #: Of one that was no message at all, or too long to be looked at.
    refused: str = ""


@dataclass(slots=True)
class Batch:
    """What is to be committed at once, before any of it is acknowledged."""

    records: dict[str, Record] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    workers: dict[str, list[Any]] = field(default_factory=dict)
    message_at: float = 0.0
    event_at: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.records or self.refused or self.gaps)


class Reader:
    """Reads what comes from one source, whose workers it knows."""

    def __init__(self, source: str, redaction: Redaction) -> None:
        self._source = source
        self._redaction = redaction
        self._heartbeats = Heartbeats()
        self.batch = Batch()

    def missed_some(self) -> None:
        """Events went by: nothing can be concluded from their number."""
        self._heartbeats.forget()

    def read(self, letter: Letter, now: float) -> None:
        try:
            if letter.refused:
                raise Refused(letter.refused)
            if letter.is_event:
                self._events(letter.message, now)
            else:
                self._task(letter.message, now)
        except Refused as exc:
            self.refuse(letter, exc, now)

    def refuse(self, letter: Letter, why: Refused, now: float) -> None:
        batch, message = self.batch, letter.message
        reason = f"event: {why.reason}" if letter.is_event else why.reason
        batch.refused[reason] = batch.refused.get(reason, 0) + 1
        body = (
            message.body.encode(errors="replace") if isinstance(message.body, str) else message.body
        )
        batch.refusals.append(
            Refusal(
                self._source,
                now,
                reason[:32],
                bounded(str(why)),
                bounded(str(message.content_type), 255),
                bounded(_written(message.headers)),
                bytes(body[:MOST_KEPT_ASIDE]),
            )
        )

    def _task(self, message: Message, now: float) -> None:
        record = parse(message, now, self._redaction)
        self._add(record)
        self.batch.message_at = now
        name = str(record.get("name"))
        if not self._redaction.hides(name) and (again := _again(message)) is not None:
            self.batch.messages.setdefault(record.id, again)

    def _add(self, record: Record) -> None:
        known = self.batch.records.get(record.id)
        self.batch.records[record.id] = record if known is None else merge(known, record)

    def _events(self, message: Message, now: float) -> None:
        for event in _events_in(message):
            self.batch.event_at = now
            kind = str(event.get("type"))
            if kind.startswith("worker-"):
                self._worker(kind, event)
            elif kind.startswith("task-"):
                self._told(event)

    def _told(self, event: Mapping[str, Any]) -> None:
        record = from_event(self._redacted(event))
        if record is None:
            raise Refused("no event")
        self._add(record)
        if event.get("type") == "task-started" and isinstance(event.get("hostname"), str):
            self._heartbeats.started(event["hostname"], event.get("pid"))

    def _redacted(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        texts = {
            name: self._redaction.of(str(event.get("name", "")), event[name])
            for name in ("result", "exception", "traceback")
            if isinstance(event.get(name), str)
        }
        return {**event, **texts} if texts else event

    def _worker(self, kind: str, event: Mapping[str, Any]) -> None:
        name, pid, at = event.get("hostname"), event.get("pid"), event.get("timestamp")
        is_known = isinstance(name, str) and isinstance(pid, int) and is_moment(at)
        if not is_known or len(self.batch.workers) >= MOST_WORKERS:
            raise Refused("no event")
        assert isinstance(name, str)
        assert isinstance(at, int | float)
        self.batch.workers[bounded(name, 255)] = [pid, 0.0 if kind == "worker-offline" else at]
        begun = event.get("processed")
        if kind == "worker-heartbeat" and isinstance(begun, int):
            self._count(name, pid, float(at), begun)

    def _count(self, name: str, pid: Any, at: float, begun: int) -> None:
        missed = self._heartbeats.beat(name, pid, at, begun)
        if missed is not None:
            since, until, count = missed
            reason = f"{count} starts of tasks that {bounded(name, 255)} did not tell of"
            self.batch.gaps.append(Gap(self._source, EVENTS, since, until, reason))


def _events_in(message: Message) -> list[Mapping[str, Any]]:
    body: str | bytes = message.body
    if message.content_type not in ("application/json", "json"):
        raise Refused("content type", str(message.content_type))
    if len(body) > MOST_EVENT:
        raise Refused("body", f"{len(body)} bytes")
    try:
        if message.properties.get("body_encoding") == "base64":
            body = base64.b64decode(body, validate=True)
        said = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused("body", str(exc)) from None
    # Celery sends those of tasks together.
    found = said if isinstance(said, list) else [said]
    if not all(isinstance(each, dict) for each in found):
        raise Refused("no event")
    return found


def _again(message: Message) -> str | None:
    """All it takes to send it again; ``None`` where it is too long for that."""
    body = message.body
    text = body if isinstance(body, str) else _text(body)
    if text is None or len(text) > MOST_BODY or "\0" in text:
        return None
    headers = {name: value for name, value in message.headers.items() if name not in _TOLD_ANEW}
    kept = {
        "headers": headers,
        "body": text,
        "encoding": message.content_encoding,
        "priority": message.properties.get("priority"),
        "wrapped": message.properties.get("body_encoding"),
        "exchange": message.exchange,
        "routing_key": message.routing_key,
    }
    try:
        written = json.dumps(kept, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
    return written if len(written) <= 2 * MOST_BODY and "\\u0000" not in written else None


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _written(headers: Any) -> str:
    try:
        return json.dumps(headers, ensure_ascii=False, default=_kind)
    except (TypeError, ValueError, RecursionError):
        return _kind(headers)


def _kind(value: Any) -> str:
    return f"<{type(value).__name__}>"


def noted(known: Source, batch: Batch, now: float, server: str) -> Source:
    """What is known of the source when *batch* is committed."""
    refused = dict(known.refused)
    for reason, count in batch.refused.items():
        refused[reason] = refused.get(reason, 0) + count
    workers = {name: told for name, told in known.workers.items() if _is_kept(told, now)}
    for name, (pid, heard) in batch.workers.items():
        workers[name] = _heard(workers.get(name), pid, heard, now)
    return replace(
        known,
        watched_at=now,
        message_at=max(known.message_at, batch.message_at),
        event_at=max(known.event_at, batch.event_at),
        server=server,
        refused=refused,
        workers=workers,
    )


#: How long it is remembered that there was a worker.
_REMEMBERED_S = 7 * 86400.0


def _is_kept(told: Any, now: float) -> bool:
    return bool(now - max(told[0], told[1]) < _REMEMBERED_S)


def _heard(known: Any, pid: int, heard: float, now: float) -> list[Any]:
    """When it began, as far as that was noticed, when it was heard last, and its pid."""
    is_other = known is not None and known[2] != pid
    began = (heard or now) if is_other else known[0] if known is not None else 0.0
    return [began, heard, pid]
