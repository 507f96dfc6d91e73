"""What the monitor makes of messages and events, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cyme_supd.domain.broker import MASK
from cyme_supd.domain.ledgerstore import EVENTS, Source
from cyme_supd.domain.taskmessage import Message, Redaction
from cyme_supd.monitor.reading import Letter, Reader, noted

HEADERS = {"task": "mail.send", "id": "t1", "argsrepr": "('ann',)", "kwargsrepr": "{}"}


def reader(**redaction: Any) -> Reader:
    return Reader("s", Redaction(**redaction))


def message(body: Any = b"[[], {}, {}]", **headers: Any) -> Letter:
    return Letter(Message(body, headers={**HEADERS, **headers}, routing_key="mail"))


def events(*told: dict[str, Any]) -> Letter:
    return Letter(Message(json.dumps(list(told))), is_event=True)


def event(kind: str, at: float = 1.0, **more: Any) -> dict[str, Any]:
    usual = {"uuid": "t1", "hostname": "w1@h", "pid": 7, "timestamp": at}
    return {"type": kind, **usual, **more}


def test_a_task_and_what_became_of_it_are_one_record() -> None:
    read = reader()
    read.read(events(event("task-started", 3.0), event("task-succeeded", 4.0, result="1")), 9.0)
    read.read(message(), 2.0)
    (record,) = read.batch.records.values()
    assert (record.state, record.get("name"), record.get("worker")) == (
        "SUCCESS",
        "mail.send",
        "w1@h",
    )
    again = json.loads(read.batch.messages["t1"])
    assert (again["headers"]["task"], again["body"]) == ("mail.send", "[[], {}, {}]")


def test_what_is_redacted_is_not_kept_to_be_sent_again_either() -> None:
    read = reader(tasks=("mail.*",))
    read.read(message(b'[["hunter2"], {}, {}]', argsrepr="('hunter2',)"), 2.0)
    assert read.batch.records["t1"].get("args") == MASK
    assert read.batch.messages == {}


def test_secrets_in_results_and_errors() -> None:
    read = reader()
    read.read(events(event("task-failed", exception="E('redis://u:hunter2@h/ token=abc')")), 2.0)
    told = str(read.batch.records["t1"])
    assert "hunter2" not in told
    assert "abc" not in told


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        (message(task=None), "no task"),
        (message(id="\0"), "no id"),
        (Letter(Message(b"x", "application/x-python-serialize", headers=HEADERS)), "content type"),
        (Letter(Message(b""), refused="body"), "body"),
        (events({"type": "task-started", "uuid": ["t1"], "timestamp": 1}), "event: no event"),
        (
            events({"type": "worker-online", "hostname": 1, "pid": 1, "timestamp": 1}),
            "event: no event",
        ),
        (Letter(Message(b"[1]"), is_event=True), "event: no event"),
        (Letter(Message(b"[" * 100_000), is_event=True), "event: body"),
        (Letter(Message(b"{}", "text/plain"), is_event=True), "event: content type"),
        (Letter(Message(b"9" * (5 * 1024 * 1024)), is_event=True), "event: body"),
    ],
)
def test_refused_and_kept_aside(letter: Letter, reason: str) -> None:
    read = reader()
    read.read(letter, 5.0)
    assert read.batch.refused == {reason: 1}
    (kept,) = read.batch.refusals
    assert (kept.reason, kept.at, len(kept.body) <= 4096) == (reason, 5.0, True)
    assert read.batch.records == {}


def test_events_that_went_missing() -> None:
    read = reader()
    for number in range(4):
        read.read(events(event("worker-heartbeat", float(number), processed=number)), 9.0)
        read.read(events(event("task-started", uuid=f"t{number}")), 9.0)
    assert read.batch.gaps == []
    # Two more have begun than were told of; that is known when the next one comes.
    read.read(events(event("worker-heartbeat", 5.0, processed=7)), 9.0)
    assert read.batch.gaps == []
    read.read(events(event("worker-heartbeat", 7.0, processed=7)), 9.0)
    (gap,) = read.batch.gaps
    assert (gap.what, gap.since, gap.until) == (EVENTS, 5.0, 7.0)
    assert "3 starts" in gap.reason
    # Known once is known.
    read.read(events(event("worker-heartbeat", 9.0, processed=7)), 9.0)
    assert len(read.batch.gaps) == 1


def test_a_worker_that_tells_of_no_task_misses_none() -> None:
    read = reader()
    for number in range(4):
        read.read(events(event("worker-heartbeat", float(number), processed=9 * number)), 9.0)
    assert read.batch.gaps == []


def test_what_is_known_of_workers() -> None:
    read, known = reader(), Source("s", "q", refused={"body": 1})
    read.read(events(event("worker-online", 10.0)), 10.0)
    read.read(message(task=None), 10.0)
    known = noted(known, read.batch, 11.0, "run")
    assert known.workers == {"w1@h": [0.0, 10.0, 7]}
    assert (known.refused, known.watched_at, known.server) == (
        {"body": 1, "no task": 1},
        11.0,
        "run",
    )
    read = reader()
    read.read(events(event("worker-online", 20.0, pid=8)), 20.0)
    known = noted(known, read.batch, 21.0, "run")
    assert known.workers == {"w1@h": [20.0, 20.0, 8]}
    read = reader()
    read.read(events(event("worker-offline", 30.0, pid=8)), 30.0)
    assert noted(known, read.batch, 31.0, "run").workers == {"w1@h": [20.0, 0.0, 8]}
    # After a week it is forgotten.
    assert noted(known, reader().batch, 10.0 + 8 * 86400, "run").workers == {}
