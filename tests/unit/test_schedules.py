"""When schedules fire, beside a reference that is slow and obvious; and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyme_supd.domain.schedule import MAX_SCHEDULE, upcoming
from cyme_supd.errors import Invalid
from cyme_supd.schedules.parsing import parse_schedule
from cyme_supd.schedules.words import in_words

YEAR = 2025
QUARTER = timedelta(minutes=15)
#: An hour in March and October; half an hour; at a quarter to three; two hours.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll")
ALL = frozenset(range(24))
NOW = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(schedule: str, zone: str | None, after: datetime, count: int) -> list[datetime]:
    return upcoming(parse_schedule(schedule, zone), after, count)


def walk(schedule: str, zone: str) -> list[datetime]:
    """All of the year."""
    parsed, found = parse_schedule(schedule, zone), []
    moment = parsed.after(at(f"{YEAR}-01-01") - timedelta(microseconds=1))
    while moment is not None and moment.year == YEAR:
        found.append(moment)
        later = parsed.after(moment)
        assert later is None or later > moment
        moment = later
    return found


@cache
def shown(zone: str) -> list[tuple[datetime, datetime]]:
    """What the clocks show in every quarter of an hour of the year, and a little around it."""
    begin = at(f"{YEAR - 1}-12-30")
    moments = (begin + number * QUARTER for number in range(370 * 96))
    return [(each, each.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for each in moments]


def by_the_clock(zone: str, minutes: set[int], hours: frozenset[int]) -> list[datetime]:
    return _of_the_year(
        moment for moment, local in shown(zone) if local.minute in minutes and local.hour in hours
    )


def once_each(zone: str, minutes: set[int], hours: frozenset[int]) -> list[datetime]:
    first: dict[datetime, datetime] = {}
    for moment, local in shown(zone):
        first.setdefault(local, moment)
    after, found = None, set()
    for local in _quarters(max(first)):
        # From the last one on: what comes right after a time that is never shown.
        after = first.get(local)
        if after is None:
            later = local
            while later not in first:
                later += QUARTER
            after = first[later]
        if local.minute in minutes and local.hour in hours:
            found.add(after)
    return _of_the_year(sorted(found))


def _quarters(last: datetime) -> Iterator[datetime]:
    local = datetime(YEAR, 1, 1) - timedelta(days=1)
    while local < last:
        yield local
        local += QUARTER


def _of_the_year(moments: Iterator[datetime] | list[datetime]) -> list[datetime]:
    return [each for each in moments if each.year == YEAR]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("line", "minutes", "hours"),
    [
        ("0 * * * *", {0}, ALL),
        ("45 * * * *", {45}, ALL),
        ("*/15 * * * *", {0, 15, 30, 45}, ALL),
        ("30 */2 * * *", {30}, frozenset(range(0, 24, 2))),
    ],
)
def test_lines_that_go_by_the_clock(
    zone: str, line: str, minutes: set[int], hours: frozenset[int]
) -> None:
    assert walk(line, zone) == by_the_clock(zone, minutes, hours)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("line", "minutes", "hours"),
    [
        ("30 2 * * *", {30}, frozenset({2})),
        ("0 0 * * *", {0}, frozenset({0})),
        ("15,45 1-3 * * *", {15, 45}, frozenset({1, 2, 3})),
        ("*/15 2 * * *", {0, 15, 30, 45}, frozenset({2})),
        ("0 0-23 * * *", {0}, ALL),
    ],
)
def test_times_that_are_named_are_one_run_each(
    zone: str, line: str, minutes: set[int], hours: frozenset[int]
) -> None:
    assert walk(line, zone) == once_each(zone, minutes, hours)


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_of_an_interval_is_that_of_the_calendar(zone: str) -> None:
    found = walk(f"R/{YEAR - 1}-12-20T02:30:00/P1D", zone)
    assert found == once_each(zone, {30}, frozenset({2}))


def test_a_skipped_hour_and_a_repeated_one() -> None:
    # 02:00 to 03:00 on the 30th of March is not there, and on the 26th of October twice.
    spring, autumn = at("2025-03-29T12:00"), at("2025-10-25T12:00")
    berlin = "Europe/Berlin"
    assert fires("30 2 * * *", berlin, spring, 2) == [
        at("2025-03-30T01:00"),
        at("2025-03-31T00:30"),
    ]
    assert fires("30 2 * * *", berlin, autumn, 2) == [
        at("2025-10-26T00:30"),
        at("2025-10-27T01:30"),
    ]
    half_past = [at("2025-10-26T00:30"), at("2025-10-26T01:30"), at("2025-10-26T02:30")]
    assert fires("30 * * * *", berlin, at("2025-10-26T00:00"), 3) == half_past
    assert fires("30 * * * *", berlin, at("2025-03-30T00:00"), 2) == [
        at("2025-03-30T00:30"),
        at("2025-03-30T01:30"),
    ]


def test_a_whole_day_that_is_skipped() -> None:
    # Samoa had no 30th of December in 2011.
    found = fires("30 2 * * *", "Pacific/Apia", at("2011-12-29T10:00"), 3)
    local = [each.astimezone(ZoneInfo("Pacific/Apia")).isoformat()[:16] for each in found]
    assert local == ["2011-12-29T02:30", "2011-12-31T00:00", "2011-12-31T02:30"]


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["30 2 * * *", "20 * * * *", "R/2024-03-01T02:15/P1D", "R/2024-01-31/P1M"]),
    st.integers(0, 365 * 86400),
)
def test_a_fire_time_is_the_next_for_all_until_then(zone: str, line: str, second: int) -> None:
    schedule, moment = parse_schedule(line, zone), at(f"{YEAR}-01-01") + timedelta(seconds=second)
    found = schedule.after(moment)
    assert found is not None
    assert found > moment
    assert schedule.after(found - timedelta(microseconds=1)) == found
    assert schedule.after(moment + (found - moment) / 2) == found


def test_a_month_from_the_last_of_one() -> None:
    found = fires("R/2023-10-31T08:00:00/P1M", None, at("2023-10-31"), 6)
    days = [(each.month, each.day) for each in found]
    assert days == [(10, 31), (11, 30), (12, 31), (1, 31), (2, 29), (3, 31)]
    assert fires("R/2024-02-29/P1Y", None, at("2025-01-01"), 4)[3] == at("2028-02-29")


def test_as_often_as_it_says() -> None:
    assert fires("R2/2026-11-28T00:00:00/PT1H", None, NOW, 5) == [
        at("2026-11-28T00:00"),
        at("2026-11-28T01:00"),
    ]
    assert fires("R5/2013-05-29/P1D", None, NOW, 5) == []
    assert fires("R/9998-06-01/P1Y", None, NOW, 5) == [at("9998-06-01"), at("9999-06-01")]


def test_from_long_ago_at_once() -> None:
    # Every second of two thousand years, one after another, would take all day.
    assert fires("R/0013-05-29T00:00:00/PT1S", None, NOW, 1) == [at("2026-11-27T19:00:01")]
    assert fires("R/2013-05-29T00:00:00/PT1M", None, NOW, 1) == [at("2026-11-27T19:01:00")]


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("2026-11-28T06:00:00", None, "2026-11-28T06:00"),
        ("2026-11-28T06:00:00Z", None, "2026-11-28T06:00"),
        ("2026-11-28T06:00:00+02:00", None, "2026-11-28T04:00"),
        ("2026-11-28T06:00:00", "Europe/Berlin", "2026-11-28T05:00"),
        ("2026-11-28T06:00:00+02:00", "Europe/Berlin", "2026-11-28T04:00"),
        ("20261128T060000Z", "Europe/Berlin", "2026-11-28T06:00"),
        ("2026-11-28", "Asia/Tokyo", "2026-11-27T15:00"),
    ],
)
def test_where_it_starts(start: str, zone: str | None, expected: str) -> None:
    assert fires(f"R/{start}/P1D", zone, at("2026-11-01"), 1) == [at(expected)]


def test_the_calendar_is_that_of_the_zone_where_both_are_given() -> None:
    # Six in the morning in Berlin, in summer as in winter.
    found = fires("R/2026-01-01T05:00:00Z/P1D", "Europe/Berlin", at("2026-06-30T12:00"), 1)
    assert found == [at("2026-07-01T04:00")]


def test_from_one_time_to_another_again_and_again() -> None:
    assert fires("R/2026-11-27T18:00:00/2026-11-27T18:45:00", None, NOW, 2) == [
        at("2026-11-27T19:30"),
        at("2026-11-27T20:15"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@daily", "2026-11-28T00:00"),
        ("@weekly", "2026-11-29T00:00"),
        ("@monthly", "2026-12-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("0 9 * * mon-fri", "2026-11-30T09:00"),
        ("0 9 * JAN 7", "2027-01-03T09:00"),
        ("5-10/5 20 * * *", "2026-11-27T20:05"),
        ("0 0 13 * FRI", "2026-12-04T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
    ],
)
def test_lines(line: str, expected: str) -> None:
    assert fires(line, None, NOW, 1) == [at(expected)]


HOSTILE = [
    "R",
    "R/",
    "R//",
    "R/0000",
    "R0/2013-01-01/P1D",
    "R00/2013-01-01/P1D",
    "R-1/2013-01-01/P1D",
    "RR/2013-01-01/P1D",
    "R/2013-01-01/PT0S",
    "R/2013-01-01/P0D",
    "R/2013-01-01/P-1D",
    "R/2013-01-01/-P1D",
    "R/2013-01-01/PT0.5S",
    "R/2013-01-01/PT0.999999S",
    "R/2013-01-01/P",
    "R/2013-01-01/PT",
    "R/2013-01-01/P0.5M",
    "R/2013-01-01/P1.5D",
    "R/2013-01-01/PT1e9S",
    "R/2013-01-01/PTnanS",
    "R/2013-01-01/P99999999999999999999999Y",
    "R/2013-01-01/P1_0D",
    "R/2013-01-01/P101Y",
    "R/2013-02-30/P1D",
    "R/2013-13-01/P1D",
    "R/2013-01-01T25:00/P1D",
    "R/2013-01-01T00:00:00+25:00/P1D",
    "R/0001-01-01/P1D",
    "R/9999-12-31/P1D",
    "R/P1D/2013-01-01",
    "R/2013-01-02/2013-01-01",
    "R/2013-01-01/2013-01-01",
    "R/now/P1D",
    "R/2013-01-01/P1D/P1D",
    "R99999999999999999999999999/2013-01-01/P1D",
    "r/2013-01-01/P1D",
    "R/2013-01-01/P٣D",
    "R٣/2013-01-01/P1D",
    "@reboot",
    "@never",
    "daily",
    "",
    " ",
    "* * * *",
    "* * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * 32 * *",
    "* * * 13 *",
    "* * * * 8",
    "-1 * * * *",
    "*/0 * * * *",
    "5-1 * * * *",
    "1,,2 * * * *",
    "* * * * MON#6",
    "* * * * MON#1/2",
    "* * * * XYZ",
    "0 0 30 2 *",
    "0 0 31 2,4,6 *",
    "0 0 */20 * 1L",
    "٣ * * * *",
    "* * * * *\n* * * * *",
    "* * * * *\0",
    "* * * * * " + "x" * MAX_SCHEDULE,
    "*" * 1024 * 1024,
    "R/2013-01-01/P" + "1" * 1024 * 1024 + "D",
    "1/1" + "/1" * 100 + " * * * * *",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text)[:40])
def test_what_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(Invalid, match=r"^schedule: ") as refused:
        parse_schedule(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "right/UTC", "UTC\0", "ü"],
)
def test_a_zone_that_nobody_knows(name: str) -> None:
    with pytest.raises(Invalid, match=r"^timezone: "):
        parse_schedule("@daily", name)


@given(st.text(max_size=60), st.sampled_from(["", "R/", "R/2013-01-01/", "R/2013-01-01/P", "0 0 "]))
def test_anything_else_is_understood_or_refused(text: str, begin: str) -> None:
    try:
        parsed = parse_schedule(begin + text)
    except Invalid:
        return
    assert all(each > NOW for each in upcoming(parsed, NOW, 3))


@pytest.mark.parametrize(
    ("schedule", "zone", "words"),
    [
        ("R/2013-05-29T00:00:00/PT1M", None, "Every minute from 2013-05-29 00:00:00 UTC"),
        ("R5/2013-05-29/P1D", "Europe/Berlin",
         "Every day from 2013-05-29 00:00:00 Europe/Berlin, 5 times"),
        ("R/2013-05-31T10:00:00+02:00/P1Y2M", None,
         "Every 1 year 2 months from 2013-05-31 10:00:00 UTC+02:00"),
        ("R1/2013-05-29/P1DT2H0.5S", None,
         "Every 1 day 2 hours 0.5 seconds from 2013-05-29 00:00:00 UTC, 1 time"),
        ("30 2 * * MON-FRI", "Europe/Berlin", "At 02:30 on Monday through Friday, Europe/Berlin"),
        ("@daily", None, "At 00:00 every day, UTC"),
    ],
)  # fmt: skip
def test_in_words(schedule: str, zone: str | None, words: str) -> None:
    assert in_words(schedule, zone) == words
