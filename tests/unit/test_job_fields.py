"""What may be said of a job, and what becomes of a category for which it is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.job import Job, due_at, job_id, retry_after_s, run_id
from cyme_supd.domain.jobfields import (
    FIELDS,
    MAX_COMMAND,
    MAX_JOBS,
    Settled,
    check_category,
    read_jobs,
    settle,
)
from cyme_supd.errors import Invalid
from cyme_supd.schedules.parsing import parse_schedule

NOW = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ENTRY = {"name": "a", "schedule": "* * * * *", "command": "true"}


def settled(stored: tuple[Job, ...], *given: dict[str, Any], now: datetime = NOW) -> Settled:
    return settle("example", stored, read_jobs(list(given)), now, parse_schedule)


def made(**given: Any) -> Job:
    (job,) = settled((), {**ENTRY, **given}).added
    return job


def test_the_seeds_own() -> None:
    seed = {
        "name": "Test Job",
        "schedule": "R/2013-05-29T00:00:00/PT1M",
        "command": "sleep 10",
        "routing_key": "slow",
    }
    (job,) = settled((), seed).added
    assert (job.category, job.name, job.command, job.routing_key) == (
        "example",
        "Test Job",
        "sleep 10",
        "slow",
    )
    assert job.next_fire_at == job.due_at == NOW + MINUTE
    assert (job.overlap, job.catch_up, job.retries, job.is_paused) == ("allow", "one", 0, False)


def test_everything_that_may_be_said() -> None:
    said: dict[str, Any] = {
        "name": "b",
        "schedule": "30 2 * * *",
        "argv": ["echo", "a b"],
        "routing_key": "slow",
        "app": "foo",
        "timezone": "Europe/Berlin",
        "timeout_s": 60,
        "overlap": "queue",
        "catch_up": "all",
        "deadline_s": 30,
        "retries": 3,
        "jitter_s": 9,
        "environment": {"A": "b"},
        "user": "nobody",
        "paused": True,
    }
    assert said.keys() | {"command"} == FIELDS.keys()
    (job,) = settled((), said).added
    assert job == Job(
        category="example",
        created_at=NOW,
        is_paused=True,
        **{**{k: v for k, v in said.items() if k != "paused"}, "argv": ("echo", "a b")},
    )


def test_what_is_empty_has_its_default() -> None:
    assert made(routing_key="", app=None, argv=[], environment={}, timeout_s=None) == made()


def test_settled_together() -> None:
    a, b, c = settled((), *({**ENTRY, "name": name} for name in "abc")).added
    found = settled(
        (a, b, c),
        {**ENTRY, "name": "a"},
        {**ENTRY, "name": "b", "command": "false"},
        {**ENTRY, "name": "d"},
        now=NOW + 5 * MINUTE,
    )
    assert found.unchanged == (a,)
    assert found.changed == ((b, replace(b, command="false")),)
    assert found.removed == (c,)
    assert [each.name for each in found.added] == ["d"]


@pytest.mark.parametrize(
    ("said", "is_anew"),
    [
        ({"schedule": "*/2 * * * *"}, True),
        ({"timezone": "Asia/Tokyo"}, True),
        ({"jitter_s": 1}, True),
        ({"paused": True}, True),
        ({"command": "false"}, False),
        ({"retries": 1}, False),
    ],
)
def test_when_it_is_due_stays_where_that_was_not_changed(
    said: dict[str, Any], is_anew: bool
) -> None:
    before = made()
    later = NOW + 10 * MINUTE
    ((_, after),) = settled((before,), {**ENTRY, **said}, now=later).changed
    if is_anew:
        assert after.next_fire_at is None or after.next_fire_at > later
    else:
        assert (after.next_fire_at, after.due_at) == (before.next_fire_at, before.due_at)


def test_who_is_held_stays_so_until_the_list_says_otherwise() -> None:
    held = replace(made(), is_paused=True, next_fire_at=None, due_at=None)
    assert settled((held,), ENTRY).unchanged == (held,)
    ((_, free),) = settled((held,), {**ENTRY, "paused": False}).changed
    assert free == made()


def test_ids_follow_from_the_names() -> None:
    assert made().id == job_id("example", "a") != job_id("example", "b")
    assert len({job_id("a", "b/c"), job_id("ab", "/c"), job_id("b", "a/c")}) == 3
    assert run_id(made().id, NOW) == run_id(made().id, NOW) != run_id(made().id, NOW + MINUTE)


def test_jitter_is_the_same_for_all_and_within_its_bounds() -> None:
    job = replace(made(), jitter_s=60)
    times = [due_at(job, NOW + number * MINUTE) for number in range(200)]
    delays = [at - NOW - number * MINUTE for number, at in enumerate(times) if at]
    assert all(timedelta() <= each <= MINUTE for each in delays)
    assert max(delays) - min(delays) > MINUTE / 2
    assert due_at(job, NOW) == times[0]
    assert due_at(job, None) is None


def test_each_retry_waits_twice_as_long() -> None:
    assert [retry_after_s(attempt) for attempt in (1, 2, 3, 7, 10**9)] == [10, 20, 40, 600, 600]


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, r"jobs\[0\]: name"),
    ({"name": 7}, r"jobs\[0\]: name"),
    ({"name": "x" * 129}, "name: 1-128"),
    ({"name": "ü" * 128}, "255 bytes"),
    ({"name": "a\nb"}, "name: a control"),
    ({"name": " a"}, "name: a control character in it, or a space"),
    ({"name": "\ud800"}, "half a character"),
    ({"name": "a\0"}, "NUL"),
    ({"schedule": None}, "job 'a': schedule: it is missing"),
    ({"schedule": "R/0000"}, "job 'a': schedule: "),
    ({"schedule": "R/2013-05-29T00:00:00/PT0S"}, "job 'a': schedule: "),
    ({"schedule": "R/2013-05-29T00:00:00/P-1D"}, "job 'a': schedule: "),
    ({"schedule": 60}, "job 'a': schedule: a string"),
    ({"schedule": "x" * 2**20}, "job 'a': schedule: longer"),
    ({"timezone": "Mars/Olympus"}, "job 'a': timezone: "),
    ({"command": None}, "exactly one of command and argv"),
    ({"argv": ["true"]}, "exactly one of command and argv"),
    ({"command": " \n"}, "command: there is nothing"),
    ({"command": "x" * 2**20}, f"command: longer than {MAX_COMMAND}"),
    ({"command": ["true"]}, "command: a string"),
    ({"command": "a\0b"}, "NUL"),
    ({"command": None, "argv": "true"}, "argv: a list"),
    ({"command": None, "argv": ["a", 1]}, "argv: a list"),
    ({"command": None, "argv": [""]}, "argv: its first"),
    ({"command": None, "argv": ["a"] * 1001}, "argv: more than"),
    ({"command": None, "argv": ["a", "x" * 2**20]}, "argv: more than"),
    ({"routing_key": "dq.w1"}, "routing_key: "),
    ({"routing_key": "x" * 129}, "not a name for a queue"),
    ({"routing_key": 1}, "not a name for a queue"),
    ({"app": "../x"}, "not a name for an app"),
    ({"timeout_s": 0}, "timeout_s: not a whole number within 1-"),
    ({"timeout_s": -1}, "timeout_s: "),
    ({"timeout_s": True}, "timeout_s: "),
    ({"timeout_s": 1.5}, "timeout_s: "),
    ({"timeout_s": 2**80}, "64 bits"),
    ({"overlap": "maybe"}, "overlap: one of allow, skip, queue"),
    ({"overlap": ["allow"]}, "overlap: one of"),
    ({"catch_up": "two"}, "catch_up: one of none, one, all"),
    ({"deadline_s": "1"}, "deadline_s: "),
    ({"retries": 11}, "retries: "),
    ({"jitter_s": 86401}, "jitter_s: "),
    ({"environment": "A=b"}, "environment: an object"),
    ({"environment": {"A": 1}}, "environment: the value"),
    ({"environment": {"A=": "b"}}, "environment: "),
    ({"environment": {"A": "********"}}, "masked"),
    ({"user": "../root"}, "user: "),
    ({"user": 0}, "user: a string"),
    ({"paused": "yes"}, "paused: true or false"),
    ({"shedule": "x"}, "did you mean 'schedule'"),
    ({"x" * 2**20: 1}, "unknown field"),
    ({"is_paused": True}, "unknown field"),
]


@pytest.mark.parametrize(("said", "complaint"), HOSTILE)
def test_what_is_wrong_is_said_with_the_job_and_the_field(
    said: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Invalid, match=complaint) as refused:
        made(**said)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("entry", [None, 1, "a", [], [ENTRY]])
def test_what_is_no_job(entry: Any) -> None:
    with pytest.raises(Invalid, match=r"jobs\[1\]: no object"):
        settled((), ENTRY, entry)


def test_a_name_that_is_there_twice() -> None:
    with pytest.raises(Invalid, match="job 'a': name: it is there twice"):
        settled((), ENTRY, ENTRY)


def test_too_many() -> None:
    many = [{**ENTRY, "name": str(number)} for number in range(MAX_JOBS + 1)]
    assert len(settled((), *many[:-1]).added) == MAX_JOBS
    with pytest.raises(Invalid, match="more than 10000"):
        settled((), *many)


@pytest.mark.parametrize("name", ["", "a/b", "..", "!", " a", "x" * 129, "ü", None, 1])
def test_what_no_category_is_called(name: object) -> None:
    with pytest.raises(Invalid, match="not a name for a category"):
        check_category(name)


@given(st.sampled_from(sorted(FIELDS)), ANYTHING)
def test_anything_is_taken_or_refused(name: str, value: Any) -> None:
    try:
        job = made(**{name: value})
    except Invalid:
        return
    assert job.next_fire_at is None or job.next_fire_at > NOW
