"""What is taken for a heartbeat, and how old a question is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cyme_supd.errors import Invalid
from cyme_supd.mailbox.ages import BELIEVED_S, MOST, Ages
from cyme_supd.mailbox.wire import Wire, heartbeat_message, heartbeat_of, read
from tests.unit.values import a_heartbeat

BEAT = a_heartbeat(
    "b1",
    load_average=(0.1, 0.2, 0.3),
    memory={"total": 2},
    disk_use=1,
    room=3,
    logfile="/l",
    moving={"left": 3, "now": "w1", "to": "b2", "failed": {}, "reason": None},
    address="cyme.1",
)


def said(**changes: Any) -> dict[str, Any]:
    return {**json.loads(heartbeat_message(BEAT).body), **changes}


def test_a_heartbeat_arrives_as_it_was_sent() -> None:
    assert heartbeat_of(read(heartbeat_message(BEAT).body)) == BEAT


def test_one_of_another_version_is_read_as_far_as_it_can_be() -> None:
    shorter = said(mood="well")
    for name in ("room", "digest", "is_draining", "moving"):
        del shorter[name]

    assert heartbeat_of(shorter).room is None


@pytest.mark.parametrize(
    ("changes", "kept"), [({"interval_s": 0}, 0.05), ({"interval_s": 1e9}, 3600.0)]
)
def test_how_often_it_beats_is_within_reason(changes: dict[str, Any], kept: float) -> None:
    assert heartbeat_of(said(**changes)).interval_s == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "a/b"},
        {"id": None},
        {"started_at": "yesterday"},
        {"started_at": 7},
        {"started_at": "2011-08-15T22:06:43"},
        {"interval_s": "2"},
        {"memory": [1]},
        {"load_average": ["x"]},
        {"is_leaving": 1},
    ],
)
def test_what_is_no_heartbeat(changes: dict[str, Any]) -> None:
    with pytest.raises((Invalid, TypeError, KeyError, ValueError)):
        heartbeat_of(said(**changes))


@pytest.mark.parametrize("body", ["", "[]", "7", b"\xff", '{"a": NaN}', "null"])
def test_what_is_no_message(body: str | bytes) -> None:
    with pytest.raises((Invalid, ValueError)):
        read(body)


def test_fleets_have_nothing_in_common() -> None:
    names = [
        {wire.presence.name, wire.everybody.name, *(each.name for each in wire.queues("a", True))}
        for wire in (Wire("amqp://h//", "cyme"), Wire("amqp://h//", "other"))
    ]
    assert names[0] & names[1] == {"a"}


def test_the_hosts_clocks_need_not_agree() -> None:
    ages = Ages()
    assert ages.age_s("late", sent_at=0.0, received_at=3600.0, now=1.0) == 0.0
    assert ages.age_s("early", sent_at=3600.0, received_at=0.0, now=1.0) == 0.0
    # Since then the one has lain at the broker for half a minute.
    assert ages.age_s("late", sent_at=10.0, received_at=3640.0, now=41.0) == 30.0
    assert ages.age_s("early", sent_at=3610.0, received_at=10.0, now=11.0) == 0.0


def test_a_clock_that_was_set_is_believed_after_a_while() -> None:
    ages = Ages()
    ages.age_s("b1", sent_at=100.0, received_at=100.0, now=1.0)
    assert ages.age_s("b1", sent_at=50.0, received_at=101.0, now=2.0) == 51.0
    assert ages.age_s("b1", sent_at=120.0, received_at=170.0, now=2.0 + BELIEVED_S) == 0.0


def test_no_more_senders_are_known_than_there_can_be() -> None:
    ages = Ages()
    for number in range(MOST + 1):
        ages.age_s(f"b{number}", 0.0, 0.0, 1.0)
    assert len(ages._least) <= MOST
