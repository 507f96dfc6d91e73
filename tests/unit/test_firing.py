"""What becomes of fire times: on time, missed, too many, too late, and while clocks are put."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyme_supd.domain.firing import (
    MAX_HELD,
    ORDERED_WITHIN_S,
    Fired,
    UnderWay,
    due_times,
    ended,
    fire,
    order_again_at,
    stop,
)
from cyme_supd.domain.job import MAX_CATCH_UP, CatchUp, Job, Overlap, Run, RunStatus, run_id
from cyme_supd.domain.schedule import from_on, latest
from cyme_supd.schedules.parsing import parse_schedule

AT = datetime(2026, 3, 1, tzinfo=UTC)
EACH_MINUTE = "R/2026-03-01T00:00:00/PT1M"
NOTHING = UnderWay()
BERLIN_NIGHT = "30 2 * * *"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def job(schedule: str = EACH_MINUTE, at: datetime = AT, **given: Any) -> Job:
    """One that fires next at *at*, or then for the first time after it."""
    first = parse_schedule(schedule, given.get("timezone")).after(at - timedelta(microseconds=1))
    made = Job("example", "a", schedule, AT, command="true", next_fire_at=first, due_at=first)
    return replace(made, **given)


def fired(
    of: Job,
    now: datetime,
    under_way: UnderWay = NOTHING,
    known: tuple[datetime, ...] = (),
) -> Fired:
    due = due_times(of, parse_schedule(of.schedule, of.timezone), now)
    return fire(of, due, now, under_way, known, "b1")


def told(found: Fired) -> list[tuple[float, str]]:
    """Of each run, how many minutes after :data:`AT` its fire time is, and its status."""
    return [((run.fire_at - AT) / minutes(1), str(run.status)) for run in found.runs]


def test_one_that_is_due() -> None:
    found = fired(job(app="foo"), AT + seconds(0.01))
    (run,) = found.runs
    assert run.id == run_id(job().id, AT)
    assert (run.fire_at, run.status, run.app, run.branch) == (AT, "queued", "foo", "b1")
    assert run.order_at == AT + seconds(0.01 + ORDERED_WITHIN_S)
    assert found.job == job(app="foo", next_fire_at=AT + minutes(1), due_at=AT + minutes(1))
    assert [(each.run_id, each.type) for each in found.events] == [(run.id, "queued")]


def test_none_is_due() -> None:
    found = fired(job(), AT - seconds(1))
    assert found == Fired(job())


def test_nobody_was_there_for_two_minutes() -> None:
    found = fired(job(catch_up=CatchUp.NONE), AT + seconds(119))
    assert told(found) == [(0, "queued"), (1, "queued")]
    assert found.job.next_fire_at == AT + minutes(2)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.NONE, [(7, "skipped"), (8, "queued"), (9, "queued"), (10, "queued")]),
        (
            CatchUp.ONE,
            [(6, "skipped"), (7, "queued"), (8, "queued"), (9, "queued"), (10, "queued")],
        ),
        (CatchUp.ALL, [(minute, "queued") for minute in range(11)]),
    ],
)
def test_missed(catch_up: CatchUp, expected: list[tuple[float, str]]) -> None:
    found = fired(job(catch_up=catch_up), AT + minutes(10))
    assert told(found) == expected
    assert found.job.next_fire_at == AT + minutes(11)
    if catch_up == CatchUp.ONE:
        (skipped,) = (run for run in found.runs if run.status == RunStatus.SKIPPED)
        said = "7 fire times were missed, from 2026-03-01T00:00:00Z to 2026-03-01T00:06:00Z"
        assert skipped.reason == said
        assert skipped.finished_at == AT + minutes(10)
        assert [each.message for each in found.events][:2] == [
            said,
            "it was missed, and is caught up with",
        ]


def test_all_is_a_hundred_at_most() -> None:
    found = fired(job(catch_up=CatchUp.ALL), AT + minutes(200))
    queued = [run for run in found.runs if run.status == RunStatus.QUEUED]
    assert len(queued) == MAX_CATCH_UP + 3
    assert (found.runs[0].fire_at, found.runs[0].status) == (AT + minutes(97), "skipped")
    assert str(found.runs[0].reason).startswith("98 fire times")


@pytest.mark.parametrize(("catch_up", "queued"), [(CatchUp.ONE, 122), (CatchUp.ALL, 221)])
def test_a_month_of_seconds(catch_up: CatchUp, queued: int) -> None:
    now = AT + timedelta(days=30, seconds=0.5)
    found = fired(job("R/2026-03-01T00:00:00/PT1S", catch_up=catch_up), now)
    statuses = [run.status for run in found.runs]
    assert statuses.count(RunStatus.QUEUED) in (queued - 1, queued)
    assert statuses.count(RunStatus.SKIPPED) == 1
    assert "more than" in str(found.runs[0].reason)
    times = [run.fire_at for run in found.runs]
    assert times == sorted(set(times))
    # From the skipped one on there is no gap.
    assert times[-1] - times[0] == seconds(len(times) - 1)
    assert found.job.next_fire_at == times[-1] + seconds(1) > now


def test_missed_and_its_deadline_is_over() -> None:
    late = job(catch_up=CatchUp.ONE, deadline_s=90)
    found = fired(late, AT + minutes(10) + seconds(30))
    assert told(found) == [(8, "skipped"), (9, "queued"), (10, "queued")]
    assert str(found.runs[0].reason).startswith("9 fire times")
    assert told(fired(job(deadline_s=30), AT + seconds(50))) == [(0, "skipped")]


def test_a_run_that_is_there_is_not_made_again() -> None:
    found = fired(job(), AT + minutes(1), known=(AT,))
    assert told(found) == [(1, "queued")]
    # After all were run the clock was put back, and somebody applied the list again.
    everything = tuple(AT + minutes(each) for each in range(11))
    found = fired(job(), AT + minutes(10), known=everything)
    assert (found.runs, found.events) == ((), ())
    assert found.job.next_fire_at == AT + minutes(11)


@pytest.mark.parametrize(
    ("overlap", "count", "expected"),
    [
        (Overlap.ALLOW, 5, ["queued", "queued"]),
        (Overlap.SKIP, 0, ["queued", "skipped"]),
        (Overlap.SKIP, 1, ["skipped", "skipped"]),
        (Overlap.QUEUE, 0, ["queued", "held"]),
        (Overlap.QUEUE, 1, ["held", "held"]),
    ],
)
def test_while_another_run_is_under_way(overlap: Overlap, count: int, expected: list[str]) -> None:
    found = fired(job(overlap=overlap), AT + seconds(70), UnderWay(count))
    shown = ["held" if _is_held(run) else str(run.status) for run in found.runs]
    assert shown == expected


def _is_held(run: Run) -> bool:
    return run.status == RunStatus.QUEUED and run.order_at is None


def test_no_more_wait_than_a_hundred() -> None:
    found = fired(job(overlap=Overlap.QUEUE), AT + seconds(70), UnderWay(MAX_HELD, MAX_HELD - 1))
    assert told(found) == [(0, "queued"), (1, "skipped")]
    assert found.runs[0].order_at is None
    assert found.runs[1].reason == "another run had not ended, and 100 wait for it already"


def test_a_counted_schedule_ends() -> None:
    found = fired(job("R3/2026-03-01T00:00:00/PT1M"), AT + minutes(2))
    assert told(found) == [(0, "queued"), (1, "queued"), (2, "queued")]
    assert (found.job.next_fire_at, found.job.due_at) == (None, None)
    found = fired(job("R3/2026-03-01T00:00:00/PT1M"), AT + timedelta(days=9))
    assert told(found) == [(1, "skipped"), (2, "queued")]


def test_nothing_slips() -> None:
    current, now = job("R/2026-03-01T00:00:00/PT1S"), AT
    seen: list[datetime] = []
    for late_s in (0.3, 0.9, 4.2, 0.1, 31.7):
        now += seconds(late_s)
        found = fired(current, now)
        seen += [run.fire_at for run in found.runs]
        current = found.job
    assert seen == [AT + seconds(each) for each in range(len(seen))]
    assert now - seen[-1] < seconds(1)


def test_jitter_is_waited_for() -> None:
    wanted = job(jitter_s=30)
    first = fired(wanted, AT + seconds(-1)).job
    assert first.due_at is not None
    assert AT <= first.due_at < AT + seconds(30)
    assert fired(wanted, first.due_at - seconds(0.001)).runs == ()
    assert told(fired(wanted, first.due_at)) == [(0, "queued")]


def test_what_waited_behind_a_long_jitter_is_not_missed() -> None:
    wanted = job("R/2026-03-01T00:00:00/PT1S", jitter_s=3600, catch_up=CatchUp.NONE)
    current = fired(wanted, AT - seconds(1)).job
    made = 0
    while made < 2000:
        assert current.due_at is not None
        found = fired(current, current.due_at)
        assert {run.status for run in found.runs} == {RunStatus.QUEUED}
        made, current = made + len(found.runs), found.job


# Nights on which clocks are put --------------------------------------------


def night(zone: str, line: str, day: datetime) -> list[str]:
    """All fire times of a day and a half, one second late each, in local time."""
    current = job(line, day, timezone=zone)
    shown = []
    while current.due_at is not None and current.due_at < day + timedelta(hours=36):
        found = fired(current, current.due_at + seconds(1))
        zoned = [run.fire_at.astimezone(_zone(zone)) for run in found.runs]
        shown += [at.strftime("%d %H:%M%z") for at in zoned]
        current = found.job
    return shown


def _zone(name: str) -> Any:
    return parse_schedule(BERLIN_NIGHT, name).zone  # type: ignore[attr-defined]


def test_an_hour_that_is_skipped_and_one_that_comes_twice() -> None:
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert night("Europe/Berlin", BERLIN_NIGHT, spring) == ["29 03:00+0200"]
    assert night("Europe/Berlin", BERLIN_NIGHT, autumn) == ["25 02:30+0200"]
    twice = [each for each in night("Europe/Berlin", "30 * * * *", autumn) if " 02:" in each]
    assert twice == ["25 02:30+0200", "25 02:30+0100"]


def test_missed_in_the_night_of_the_change() -> None:
    day = datetime(2026, 3, 28, 12, tzinfo=UTC)
    found = fired(job(BERLIN_NIGHT, day, timezone="Europe/Berlin"), day + timedelta(days=3))
    assert [str(run.status) for run in found.runs] == ["skipped", "queued"]
    # The third one: 02:30, as it is in summer.
    assert found.runs[1].fire_at == datetime(2026, 3, 31, 0, 30, tzinfo=UTC)


# The clock -----------------------------------------------------------------


def test_put_forward_by_an_hour() -> None:
    found = fired(job(catch_up=CatchUp.ONE), AT + minutes(60))
    assert told(found)[:2] == [(56, "skipped"), (57, "queued")]
    assert len(found.runs) == 5


def test_put_back_by_an_hour() -> None:
    after = fired(job(), AT).job
    found = fired(after, AT - minutes(60))
    assert found == Fired(after)
    assert told(fired(after, AT + minutes(1))) == [(1, "queued")]


# The rest ------------------------------------------------------------------


def test_a_schedule_that_cannot_be_read_any_more() -> None:
    found = stop(job(), AT, "b1", "no such zone")
    assert told(found) == [(0, "failed")]
    assert (found.job.next_fire_at, found.job.due_at) == (None, None)
    assert found.runs[0].reason == "no such zone"


def test_ordered_again_less_and_less() -> None:
    after = [(order_again_at(orders, AT) - AT) / minutes(1) for orders in (0, 1, 2, 3, 6, 7, 99)]
    assert after == [1, 1, 2, 4, 32, 60, 60]


def test_nobody_will_begin_it() -> None:
    run, event = ended(fired(job(), AT).runs[0], RunStatus.CANCELLED, AT, "the job was removed")
    assert (run.status, run.order_at, run.finished_at) == ("cancelled", None, AT)
    assert (event.type, event.message) == ("cancelled", "the job was removed")


SCHEDULES = ["* * * * *", "*/7 1-3 * 1,6 *", "R/2025-12-31T00:00:00/P1M", "R/2026-01-01/PT7S"]


@given(
    schedule=st.sampled_from(SCHEDULES),
    back=st.integers(0, 20_000_000),
    count=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_latest_are_those_of_a_walk(schedule: str, back: int, count: int) -> None:
    parsed = parse_schedule(schedule)
    first = parsed.after(AT - seconds(min(back, 20_000 if "PT7S" in schedule else back)))
    if first is None or first > AT:
        return
    walked: list[datetime] = []
    for at in from_on(parsed, first):
        if at > AT or len(walked) > 10_000:
            break
        walked.append(at)
    if len(walked) <= 10_000:
        assert latest(parsed, first, AT, count) == walked[-count:]


@given(
    late_s=st.lists(st.integers(0, 20_000), min_size=1, max_size=5),
    catch_up=st.sampled_from(CatchUp),
    overlap=st.sampled_from(Overlap),
    deadline_s=st.none() | st.integers(1, 400),
    step_s=st.integers(1, 400),
)
@settings(max_examples=150, deadline=None)
def test_no_fire_time_is_passed_over_or_run_twice(
    late_s: list[int], catch_up: CatchUp, overlap: Overlap, deadline_s: int | None, step_s: int
) -> None:
    schedule = f"R/2026-03-01T00:00:00/PT{step_s}S"
    current = job(schedule, catch_up=catch_up, overlap=overlap, deadline_s=deadline_s)
    now, was_there = AT, False
    for each in late_s:
        earlier, now = now, now + seconds(each)
        times: list[datetime] = []
        # A look is at some hundred of them at most.
        while current.due_at is not None and current.due_at <= now:
            assert current.next_fire_at is not None
            found = fired(current, now)
            assert all(run.fire_at >= current.next_fire_at for run in found.runs)
            times += [run.fire_at for run in found.runs]
            current = found.job
        assert times == sorted(set(times))
        # On time are all of them, whatever was missed.
        on_time = {at for at in _all(step_s, now) if now - at <= minutes(2)}
        assert on_time - set(times) <= (_all(step_s, earlier) if was_there else set())
        was_there = True
    assert current.next_fire_at is not None
    assert current.next_fire_at > now >= current.next_fire_at - seconds(step_s)


def _all(step_s: int, now: datetime) -> set[datetime]:
    """All fire times up to *now*."""
    count = int((now - AT).total_seconds()) // step_s + 1
    return {AT + seconds(each * step_s) for each in range(count)}
