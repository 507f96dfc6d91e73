"""Who is told of what, when, and that it is over: once each."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.branch.alerts import LONGEST_PAUSE_S, LOOK_EVERY_S, MOST_WORDS, AlertFile, Alerts
from cyme_supd.domain.alerts import (
    BRANCH_LAPSED,
    LAPSED_FOR,
    NOT_CONSUMING,
    NOT_CONSUMING_FOR,
    ORPHANS,
    QUEUE_DEEP,
    QUEUE_OLD,
    Alert,
    Found,
    check_webhook,
    of_ages,
    of_branches,
    of_instances,
    of_orphans,
    of_queues,
    together,
    words,
)
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.restarts import CRASH_LOOPING
from cyme_supd.domain.status import Condition, Status
from cyme_supd.errors import Invalid, Unavailable
from cyme_supd.testing.clock import FakeClock
from tests.unit.values import AT, a_heartbeat

URL = "https://hooks.example/s3cret"
LONG_AFTER = AT + timedelta(hours=1)
FIRING, UNKNOWN, NOTHING = "firing", "unknown", "nothing"


def verdict(found: Found, *key: str) -> str:
    if key in found.firing:
        return FIRING
    return UNKNOWN if key in found.unknown else NOTHING


def a_status(*conditions: tuple[str, bool | None, str]) -> Status:
    return Status("w1", 1, conditions=tuple(Condition(*each, "why", AT) for each in conditions))


# Instances

READY = ("Ready", True, "Answering")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], NOTHING),
        ([READY], NOTHING),
        ([READY, ("Consuming", True, "AsWanted")], NOTHING),
        ([READY, ("Consuming", False, "QueuesMissing")], FIRING),
        ([READY, ("Consuming", True, "AsWanted"), ("Progressing", False, "QueueGrows")], FIRING),
        ([READY, ("Consuming", False, "AppPaused"), ("Paused", True, "AppPaused")], NOTHING),
        ([("Ready", False, "Hung")], FIRING),
        ([("Ready", False, "Starting")], FIRING),
        ([("Ready", False, "Disabled")], NOTHING),
        ([("Ready", False, "Moving")], NOTHING),
        ([("Ready", False, "Conflict")], NOTHING),
        ([("Ready", None, "BrokerDown")], UNKNOWN),
        ([("Ready", False, "CrashLooping"), (CRASH_LOOPING, True, "RestartsTooOften")], NOTHING),
    ],
)
def test_who_does_not_consume_and_should(
    conditions: list[tuple[str, bool | None, str]], expected: str
) -> None:
    found = of_instances([a_status(*conditions)], LONG_AFTER)
    assert verdict(found, NOT_CONSUMING, "w1") == expected


def test_a_start_is_no_alert() -> None:
    starting = [a_status(("Ready", False, "Starting"))]
    least = NOT_CONSUMING_FOR
    found = of_instances(starting, AT + least - timedelta(seconds=1))
    assert verdict(found, NOT_CONSUMING, "w1") == UNKNOWN
    assert verdict(of_instances(starting, AT + least), NOT_CONSUMING, "w1") == FIRING


def test_who_crashes_again_and_again_is_told_at_once_with_the_reason() -> None:
    crashing = a_status(("Ready", False, "Backoff"), (CRASH_LOOPING, True, "RestartsTooOften"))
    found = of_instances([crashing], AT)
    assert list(found.firing.values()) == [
        Alert(CRASH_LOOPING, "w1", "instance w1: RestartsTooOften: why", AT)
    ]


# Branches and queues


@pytest.mark.parametrize(
    ("id", "changes", "age", "is_settled", "expected"),
    [
        ("b2", {}, LAPSED_FOR, True, FIRING),
        ("b2", {}, LAPSED_FOR / 2, True, UNKNOWN),
        ("b2", {}, LAPSED_FOR, False, UNKNOWN),
        ("b2", {"is_live": True}, LAPSED_FOR, True, NOTHING),
        ("b1", {}, LAPSED_FOR, True, NOTHING),
        ("b2", {"heartbeat": a_heartbeat("b2", is_leaving=True)}, LAPSED_FOR, True, NOTHING),
    ],
)
def test_branches_that_lapsed(
    id: str, changes: dict[str, Any], age: timedelta, is_settled: bool, expected: str
) -> None:
    peer = replace(Peer(a_heartbeat(id), AT, is_live=False), **changes)
    found = of_branches({id: peer}, "b1", AT + age, is_settled)
    assert verdict(found, BRANCH_LAPSED, id) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [(101, FIRING), (100, UNKNOWN), (81, UNKNOWN), (80, NOTHING), (0, NOTHING), (None, UNKNOWN)],
)
def test_queues_over_the_limit_until_they_are_well_below(
    messages: float | None, expected: str
) -> None:
    found = of_queues({("foo", "tasks"): messages}, 100, AT)
    assert verdict(found, QUEUE_DEEP, "foo/tasks") == expected


@pytest.mark.parametrize(
    ("age_s", "expected"), [(61.0, FIRING), (60.0, NOTHING), (0.0, NOTHING), (None, UNKNOWN)]
)
def test_queues_in_which_a_message_waits_too_long(age_s: float | None, expected: str) -> None:
    found = of_ages({("foo", "tasks"): age_s}, 60.0, AT)
    assert verdict(found, QUEUE_OLD, "foo/tasks") == expected
    for alert in found.firing.values():
        assert alert.since == AT - timedelta(seconds=61)
        assert "61 s in queue tasks of app foo" in alert.message


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"queues": 2, "tasks": 0}, FIRING),
        ({"queues": 0, "tasks": 0}, NOTHING),
        (None, UNKNOWN),
    ],
)
def test_what_is_nobodys(counts: dict[str, int] | None, expected: str) -> None:
    known = {} if counts is None else {"foo": counts}
    found = of_orphans(["foo"], known, AT)
    assert verdict(found, ORPHANS, "foo") == expected
    for alert in found.firing.values():
        assert "2 queues of app foo" in alert.message
    # One that is gone has none any more.
    assert of_orphans([], known, AT) == Found()


# What is told


def an_alert(subject: str = "w1", since: datetime = AT) -> Alert:
    return Alert(CRASH_LOOPING, subject, f"instance {subject}", since)


def found(*alerts: Alert, unknown: tuple[Alert, ...] = ()) -> Found:
    return Found({each.key: each for each in alerts}, frozenset(each.key for each in unknown))


def test_only_what_is_new_or_over_is_told_and_the_older_first() -> None:
    later, sooner, kept = (
        an_alert("w1", AT + timedelta(seconds=9)),
        an_alert("w2"),
        an_alert("w3", AT + timedelta(seconds=1)),
    )
    told = {each.key: each for each in (later, kept)}
    said = words(told, found(kept, sooner))
    assert [(word.alert, word.is_over) for word in said] == [(sooner, False), (later, True)]


def test_what_is_not_known_is_neither_told_nor_over() -> None:
    told = {an_alert().key: an_alert()}
    assert words(told, found(unknown=(an_alert(),))) == []
    assert words({}, found(unknown=(an_alert(),))) == []


def test_findings_go_together() -> None:
    one, two = an_alert("w1"), an_alert("w2")
    all_found = together([found(one), found(two, unknown=(an_alert("w3"),))])
    assert all_found == found(one, two, unknown=(an_alert("w3"),))


class Yard:
    """A webhook that takes what it is sent, or nothing while it ``is_down``."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.path = path
        self.clock = clock
        self.found: Found | None = found()
        self.is_down = False
        self.tries = 0
        self.posted: list[dict[str, Any]] = []
        self.alerts = self.started()

    def started(self, url: str = URL) -> Alerts:
        """Those of a branch that has just started."""
        return Alerts(lambda: self.found, self._post, AlertFile(self.path, url), "b1", self.clock)

    def _post(self, body: bytes) -> None:
        self.tries += 1
        if self.is_down:
            raise Unavailable("the alert webhook answers 500")
        self.posted.append(json.loads(body))

    def said(self) -> list[tuple[str, str]]:
        said = [(each["state"], each["subject"]) for each in self.posted]
        self.posted.clear()
        return said


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "alerts.json", FakeClock())


def test_each_is_told_once_and_that_it_is_over_once(yard: Yard) -> None:
    yard.found = found(an_alert())
    for _ in range(3):
        assert yard.alerts.look() == LOOK_EVERY_S
    assert yard.said() == [("firing", "w1")]
    yard.found = found()
    for _ in range(3):
        yard.alerts.look()
    assert yard.said() == [("resolved", "w1")]
    yard.found = found(an_alert())
    yard.alerts.look()
    assert yard.said() == [("firing", "w1")]


def test_what_a_message_has_in_it(yard: Yard) -> None:
    yard.found = found(an_alert())
    yard.alerts.look()
    assert yard.posted == [
        {
            "state": "firing",
            "kind": "CrashLooping",
            "subject": "w1",
            "key": "CrashLooping/w1",
            "branch": "b1",
            "message": "instance w1",
            "since": AT.isoformat(),
            "at": yard.clock.now().isoformat(),
            "text": "[firing] CrashLooping on b1: instance w1",
        }
    ]


def test_nothing_is_told_again_after_a_restart(yard: Yard) -> None:
    yard.found = found(an_alert("w1"), an_alert("w2"))
    yard.alerts.look()
    assert len(yard.said()) == 2
    yard.found = found(an_alert("w1"))
    yard.alerts = yard.started()
    yard.alerts.look()
    assert yard.said() == [("resolved", "w2")]
    assert URL not in yard.path.read_text()


def test_another_webhook_is_told_all(yard: Yard) -> None:
    yard.found = found(an_alert())
    yard.alerts.look()
    yard.started("https://other.example/").look()
    assert yard.said() == [("firing", "w1")] * 2


def test_it_is_tried_until_it_is_taken_and_ever_more_seldom(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.found, yard.is_down = found(an_alert("w1"), an_alert("w2")), True
    with caplog.at_level(logging.WARNING):
        pauses = [yard.alerts.look() for _ in range(12)]
    assert pauses[:3] == [2 * LOOK_EVERY_S, 4 * LOOK_EVERY_S, 8 * LOOK_EVERY_S]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert yard.tries == 12  # The first that is refused ends a round.
    assert [each.message for each in caplog.records] == ["the alert webhook answers 500"]
    yard.is_down = False
    assert yard.alerts.look() == LOOK_EVERY_S
    assert yard.said() == [("firing", "w1"), ("firing", "w2")]


def test_what_is_over_before_it_could_be_told_is_not_told(yard: Yard) -> None:
    yard.found, yard.is_down = found(an_alert()), True
    yard.alerts.look()
    yard.found, yard.is_down = found(), False
    yard.alerts.look()
    assert yard.said() == []


def test_nothing_is_over_while_nothing_is_known(yard: Yard) -> None:
    yard.found = found(an_alert())
    yard.alerts.look()
    yard.found = None
    yard.alerts.look()
    assert yard.said() == [("firing", "w1")]


def test_many_at_once_are_told_in_parts(yard: Yard) -> None:
    yard.found = found(*(an_alert(f"w{number}") for number in range(MOST_WORDS + 1)))
    yard.alerts.look()
    assert len(yard.said()) == MOST_WORDS
    yard.alerts.look()
    assert len(yard.said()) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"webhook": 1}', '{"told": [1]}'])
def test_a_file_that_cannot_be_read_is_not_used(yard: Yard, content: str) -> None:
    yard.path.write_text(content)
    yard.found = found(an_alert())
    yard.started().look()
    assert yard.said() == [("firing", "w1")]


def test_a_disk_that_refuses_keeps_nobody_from_being_told(yard: Yard) -> None:
    yard.path.mkdir()
    yard.found = found(an_alert())
    yard.alerts.look()
    yard.alerts.look()
    assert yard.said() == [("firing", "w1")]


# The setting


@pytest.mark.parametrize(
    "url", ["http://h/", "https://hooks.example:8443/a/b?c=d", "http://[::1]:1/"]
)
def test_webhooks(url: str) -> None:
    assert check_webhook(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h/",
        "http:///x",
        "http://h:x/",
        "http://u:s3cret@h/",
        "http://h/ s3cret",
        "http://h/\n",
        "http://\u00fc/",
        "http://[::/",
    ],
)
def test_what_is_no_webhook_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_webhook(url)
    assert "s3cret" not in str(refused.value)
    assert "--alert-webhook" in refused.value.hint
