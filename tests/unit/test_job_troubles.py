"""Which jobs need somebody, who is told of it, and when it is over."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cyme_supd.branch.retention import Retention
from cyme_supd.branch.runmeter import CountedRuns
from cyme_supd.config import Config
from cyme_supd.domain import alerts
from cyme_supd.domain.job import Job, Run, RunEvent, RunStatus, run_id
from cyme_supd.domain.jobstore import RunQuery
from cyme_supd.domain.jobtrouble import MOST, Trouble
from cyme_supd.domain.logurl import check_log_url
from cyme_supd.domain.span import parse_span
from cyme_supd.errors import Invalid
from cyme_supd.metrics import Metrics
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import START, World

DUE = START + timedelta(days=1)
A = Job("example", "a", "@daily", START, command="true", next_fire_at=DUE, due_at=DUE)
B = replace(A, name="b", due_at=None)


def keep(house: World, *jobs: Job) -> None:
    with house.store.writing() as tx:
        tx.add_category("example")
        tx.add_jobs(jobs)


def add(house: World, second: int, status: str, of: Job = A, **given: Any) -> Run:
    at = START + timedelta(seconds=second)
    run = replace(Run(run_id(of.id, at), of.id, of.category, of.name, at, status, at), **given)
    with house.store.writing() as tx:
        tx.add_runs([run])
    return run


def troubles(house: World) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in house.service.troubles.look()]


def test_a_job_that_nobody_takes(house: World) -> None:
    keep(house, replace(A, due_at=START), B)
    house.clock.elapsed = 60.0
    assert troubles(house) == [("overdue", "a")]
    house.clock.elapsed = 59.0
    assert troubles(house) == []


def test_a_run_that_no_runner_takes(house: World) -> None:
    keep(house, A)
    ordered: dict[str, Any] = {"order_at": START, "orders": 3}
    add(house, 2, RunStatus.QUEUED, **ordered)
    first = add(house, 1, RunStatus.QUEUED, **ordered)
    add(house, 3, RunStatus.QUEUED)
    assert troubles(house) == []
    house.clock.elapsed = 200.0
    (found,) = house.service.troubles.look()
    assert (found.kind, found.run_id, found.since) == ("unclaimed", first.id, first.queued_at)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["failed"], "failed"),
        (["timed_out"], "failed"),
        (["lost"], "failed"),
        (["skipped"], "missed"),
        (["failed", "succeeded"], None),
        (["succeeded", "failed"], "failed"),
        # What has not ended yet decides nothing, nor what somebody ended.
        (["failed", "queued"], "failed"),
        (["failed", "running", "cancelled"], "failed"),
        (["succeeded", "cancelled"], None),
        (["succeeded", "overlap"], None),
        (["failed", "overlap"], "failed"),
    ],
)
def test_the_latest_that_ended_decides(
    house: World, statuses: list[str], expected: str | None
) -> None:
    keep(house, A)
    for second, status in enumerate(statuses):
        if status == "overlap":
            add(house, second, "skipped", reason="another run of it is under way")
        else:
            add(house, second, status, exit_code=3)
    assert troubles(house) == ([(expected, "a")] if expected else [])


def test_it_is_told_for_a_week_and_of_jobs_that_are_there(house: World) -> None:
    keep(house, A)
    add(house, 0, RunStatus.FAILED, exit_code=3)
    (found,) = house.service.troubles.look()
    assert found.message == "failed: exit code 3"
    add(house, 0, RunStatus.FAILED, of=B)
    assert troubles(house) == [("failed", "a")]
    house.clock.elapsed = timedelta(days=8).total_seconds()
    assert ("failed", "a") not in troubles(house)


# Who is told


def a_trouble(kind: str, name: str = "a") -> Trouble:
    return Trouble(kind, "id", "example", name, START, "why")


def test_alerts_of_jobs_begin_and_end() -> None:
    found = alerts.of_jobs([a_trouble("failed"), a_trouble("missed", "b"), a_trouble("unclaimed")])
    kinds = {"JobFailed", "JobMissed", "JobUnclaimed"}
    assert {kind for kind, _ in found.firing} == kinds
    word = alerts.words({}, found)[0]
    assert alerts.message(word, "b1", START)["key"] == "JobFailed/example/a"
    over = alerts.words(dict(found.firing), alerts.of_jobs([]))
    assert {(each.alert.kind, each.is_over) for each in over} == {(kind, True) for kind in kinds}


def test_without_an_injector_there_is_one_alert() -> None:
    late = [a_trouble("overdue", str(number)) for number in range(MOST)]
    found = alerts.of_jobs(late)
    assert list(found.firing) == [("JobsOverdue", "jobs")]
    assert f"{MOST} or more jobs" in found.firing["JobsOverdue", "jobs"].message


def test_of_too_many_nobody_knows_that_one_is_over() -> None:
    told = alerts.of_jobs([a_trouble("failed", "x"), a_trouble("missed", "y")]).firing
    many = alerts.of_jobs([a_trouble("failed", str(number)) for number in range(MOST)])
    over = [each.alert.kind for each in alerts.words(told, many) if each.is_over]
    assert over == ["JobMissed"]


def test_what_is_measured(house: World) -> None:
    keep(house, replace(A, due_at=START), B)
    add(house, 0, RunStatus.RUNNING)
    add(house, 1, RunStatus.QUEUED, order_at=START, orders=3)
    add(house, 2, RunStatus.FAILED, of=B)
    house.clock.elapsed = 601.0
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        lines = client.get("/metrics/").get_data(as_text=True).splitlines()
    for line in (
        'cyme_runs{status="queued"} 1.0',
        'cyme_runs{status="running"} 1.0',
        "cyme_runs_oldest_seconds 600.0",
        "cyme_jobs_due 1.0",
        "cyme_jobs_lateness_seconds 601.0",
        'cyme_jobs_in_trouble{kind="overdue"} 1.0',
        'cyme_jobs_in_trouble{kind="unclaimed"} 1.0',
        'cyme_jobs_in_trouble{kind="failed"} 1.0',
        'cyme_jobs_in_trouble{kind="missed"} 0.0',
    ):
        assert line in lines


def test_what_happens_to_runs_is_counted_once_it_is_stored(house: World) -> None:
    keep(house, A)
    run, metrics = add(house, 0, RunStatus.RUNNING), Metrics()
    store = CountedRuns(house.store, metrics)
    events = [RunEvent(run.id, START, "starting"), RunEvent(run.id, START, "failed")]
    with store.recording() as tx:
        tx.add_run_events(events)
        assert tx.run(run.id) == run

    def fail() -> None:
        with store.writing() as tx:
            tx.add_run_events(events)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    name = "cyme_run_events_total"
    assert metrics.counts() == {(name, ("starting",)): (1.0,), (name, ("failed",)): (1.0,)}


# For how long


def test_runs_are_forgotten_in_time(house: World) -> None:
    config = Config("/r", "b1", "memory://", False, "", runs_keep=2, runs_expire_s=3600)
    for second in range(5):
        add(house, second, RunStatus.SUCCEEDED)
    retention, beats = Retention(config, house.store, house.clock), []

    def left() -> int:
        with house.store.reading() as view:
            return len(view.runs(RunQuery()))

    retention.forget(threading.Event(), lambda: beats.append(1))
    assert (left(), bool(beats)) == (2, True)
    house.clock.elapsed = 3700.0
    retention.forget(threading.Event(), lambda: None)
    assert left() == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 7776000), ("36h", 129600), ("5m", 300), ("7s", 7), (" 7 ", 7)]
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span("older", text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "1w", "٣d", "9999999999d", "1 d"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(Invalid, match="older: "):
        parse_span("older", text)


@pytest.mark.parametrize(
    "template",
    ["", "http://x/{run_id}", "https://x/?{job_id}{{}}&a={start_time}-{end_time}", "https://x/"],
)
def test_templates_of_log_urls(template: str) -> None:
    assert check_log_url("--run-log-url", template) == template


@pytest.mark.parametrize(
    "template",
    ["{run_id}", "ftp://x/{run_id}", "http://x/{run}", "http://x/{run_id.__class__}", "http://x/{}",
     "http://x/{0}", "http://x/{run_id!r}", "http://x/{run_id:>9}", "http://x/{", "http://x/\n",
     "javascript:alert({run_id})", "http:///{run_id}", "http://x/" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(Invalid, match="--run-log-url: "):
        check_log_url("--run-log-url", template)
