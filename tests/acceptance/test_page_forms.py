"""What is added, edited and removed in a real browser, from an empty branch on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from cyme_supd.domain.job import job_id
from tests.acceptance.celeryside import ask_worker, worker_pid
from tests.acceptance.harness import BranchHost
from tests.acceptance.pages import (
    ADMIN,
    APP,
    PASSWORD,
    WITHIN_S,
    consumes,
    look,
    say_who,
    without_faults,
)
from tests.browser import Browser, browser
from tests.support import eventually

#: The first may have to fetch the browser.
pytestmark = pytest.mark.timeout(300)
#: As somebody else's program may have called it.
ODD = "a/b c#1"
APP_PAGE, W1_PAGE = f"/admin/apps/{APP}/", f"/admin/instances/{APP}/w1/"
JOBS = "/admin/jobs/"
NIGHTLY, GREETING = (job_id("example", name) for name in ("nightly", "greeting"))
#: Nobody consumes the queue of the first.
LIST = [
    {"name": "nightly", "schedule": "30 2 1 1 *", "command": "make backup", "routing_key": "idle"},
    {
        "name": "greeting",
        "schedule": "@yearly",
        "command": "echo hello; sleep 1; echo bye",
        "routing_key": "tasks",
        "app": APP,
    },
]
TASKS_PAGE = f"/admin/queues/{APP}/tasks/"
#: The page of what was deleted may hear of that before the next one is there.
ASKED_ONCE_MORE = "a status of 404 "


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    """A branch on which nobody has made anything yet."""
    with BranchHost("--sup-interval", "1") as host:
        yield host.start()


@pytest.fixture(scope="module")
def only(host: BranchHost) -> Iterator[Browser]:
    with browser(f"http://127.0.0.1:{host.port}") as made:
        yield made


@pytest.fixture
def page(only: Browser) -> Iterator[Browser]:
    yield from without_faults(only)


def said(page: Browser, text: str, within_s: float = WITHIN_S) -> None:
    """Wait for what is told of a change."""
    page.sees(text, within_s=within_s, of="#said")


def offers(page: Browser, queues: str) -> None:
    """Wait until the form has these: what it has already it does not send."""
    script = "return document.querySelector('#edit [name=queues]').defaultValue"
    eventually(lambda: page.run(script) == queues, WITHIN_S)


def instance(host: BranchHost, name: str = "w1") -> Any:
    return host.get(f"/{APP}/instances/{name}/")


@pytest.mark.parametrize("name", ["", "apps/", "instances/", "queues/", "jobs/", "users/"])
def test_where_there_is_nothing_yet(page: Browser, name: str) -> None:
    page.open(f"/admin/{name}")
    assert "yet" in page.text()
    look(page, f"empty-{name.strip('/') or 'fleet'}", f"/admin/{name}")


def test_an_app(page: Browser, host: BranchHost) -> None:
    page.open("/admin/apps/")
    page.send("add-app", "Add", name=APP, stop_timeout_s="soon")
    page.sees("a whole number is needed")
    page.fill("stop_timeout_s", "20", "#add-app")
    # No part of a password is shown, not even of one that should have been encoded.
    page.fill("broker", "amqp://boris:s3:cr/t@1@mq.example/v", "#add-app")
    assert '"amqp://boris:********@mq.example/v"' in page.text("#add-app [data-curl]")
    page.fill("broker", "", "#add-app")
    assert f"curl -X PUT '{page.origin}/{APP}/'" in page.text("#add-app [data-curl]")
    page.click("Add", within="#add-app")
    page.arrives(APP_PAGE)
    assert host.get(f"/{APP}/")["stop_timeout_s"] == 20
    page.send("edit", "Save", stop_timeout_s="30", environment='{"PLANTED": "x1"}')
    said(page, "stored")
    found = host.get(f"/{APP}/", secrets="1")
    assert (found["stop_timeout_s"], found["environment"]) == (30, {"PLANTED": "x1"})
    page.send("edit", "Save")
    page.sees("Nothing is changed")


@pytest.mark.parametrize("name", ["tasks", "mail", ODD])
def test_queues(page: Browser, host: BranchHost, name: str) -> None:
    page.open("/admin/queues/")
    page.send("declare", "Declare", app=APP, name=name, exchange_type="topic")
    page.arrives(f"/admin/queues/{APP}/{quote(name, safe='')}/")
    page.sees(f"{name} of {APP}", of="h1")
    assert host.get(f"/{APP}/queues/{quote(name, safe='')}/")["exchange_type"] == "topic"


def test_an_instance(page: Browser, host: BranchHost) -> None:
    page.open("/admin/instances/")
    page.send("add-instance", "What would that do?", app=APP, name="w1", queues="tasks")
    page.sees("start", of="#add-instance [data-said]")
    host.get(f"/{APP}/instances/w1/", 404)
    page.click("Add", within="#add-instance")
    page.arrives(W1_PAGE)
    eventually(lambda: consumes(host, "w1"), WITHIN_S)
    page.sees("Answering", "Ready", WITHIN_S)


def test_another_that_is_refused_first(page: Browser, host: BranchHost) -> None:
    page.expected = "a status of 404 "
    page.open("/admin/instances/")
    page.send("add-instance", "Add", app=APP, name="w2", queues="nowhere")
    page.sees("nowhere", of="#add-instance")
    page.fill("queues", "tasks, mail", "#add-instance")
    page.click("Add", within="#add-instance")
    page.arrives(f"/admin/instances/{APP}/w2/")
    eventually(lambda: host.is_ready(APP, "w2"), WITHIN_S)


def test_what_is_asked_of_an_instance(page: Browser, host: BranchHost) -> None:
    page.open(W1_PAGE)
    page.send("scale", "Set", max="3")
    eventually(lambda: ask_worker(host, "w1", "stats")["autoscaler"]["max"] == 3, WITHIN_S)
    page.send("consume", "Consume", queue="mail")
    eventually(lambda: consumes(host, "w1", "mail"), WITHIN_S)
    offers(page, "tasks, mail")
    page.click("Stop consuming")
    assert page.answer().startswith("Have w1 take nothing more from tasks")
    eventually(lambda: not consumes(host, "w1"), WITHIN_S)
    offers(page, "mail")
    page.send("edit", "Save", queues="tasks")
    eventually(lambda: consumes(host, "w1") and not consumes(host, "w1", "mail"), WITHIN_S)
    assert page.is_the_same


def test_a_pause_with_a_reason(page: Browser, host: BranchHost) -> None:
    page.open(W1_PAGE)
    page.send("pause", "Pause", reason="the night", until="3600")
    page.sees("the night.", of=".notice.held")
    assert instance(host)["pause"]["reason"] == "the night"
    eventually(lambda: not consumes(host, "w1"), WITHIN_S)
    page.click("Resume")
    eventually(lambda: consumes(host, "w1"), WITHIN_S)


def test_an_edit_that_takes_a_restart(page: Browser, host: BranchHost) -> None:
    before = worker_pid(host, "w1")
    page.open(W1_PAGE)
    page.send("edit", "What would that do?", arguments="--prefetch-multiplier 7")
    page.sees("w1: ", of="#edit [data-said]")
    assert worker_pid(host, "w1") == before
    page.click("Save", within="#edit")
    eventually(lambda: worker_pid(host, "w1") != before, WITHIN_S)
    page.sees("Answering", "Ready", WITHIN_S)
    assert ask_worker(host, "w1", "stats")["prefetch_count"] >= 7


def test_a_category_of_jobs(page: Browser, host: BranchHost) -> None:
    page.expected = "a status of 400 "
    page.open(JOBS)
    page.send("category", "Save", category="example", jobs='[{"name": "nightly"}]')
    page.sees("Job 'nightly': schedule: it is missing", of="#category")
    page.fill("jobs", json.dumps(LIST), "#category")
    page.click("Save", within="#category")
    page.arrives(JOBS)
    page.sees("in ", "nightly")
    look(page, "jobs", JOBS)
    look(page, "jobs-of-one", f"{JOBS}?category=example")


def test_a_job_is_run_by_hand_and_its_run_is_ended(page: Browser, host: BranchHost) -> None:
    page.open(JOBS)
    page.click("Run now", "nightly")
    page.sees("queued", "nightly")
    page.click("Pause", "nightly")
    assert "not run until" in page.answer()
    page.sees("paused", "nightly")
    page.click("Resume", "nightly")
    page.sees("in ", "nightly")
    (run,) = host.get(f"/api/runs/?job_id={NIGHTLY}")["data"]["runs"]
    look(page, "run", f"{JOBS}runs/{run['id']}/")
    page.click("Cancel")
    assert page.answer() == "End this run?"
    page.sees("cancelled")
    assert host.get(f"/api/runs/{run['id']}/")["data"]["run"]["status"] == "cancelled"


def test_what_a_job_prints_and_how_long_it_takes(page: Browser, host: BranchHost) -> None:
    page.open(f"{JOBS}{GREETING}/")
    page.sees("No run of it has ended yet")
    page.click("Run now")
    page.sees("succeeded", within_s=WITHIN_S)
    page.click("Run now")
    eventually(lambda: len(host.get(f"/api/runs/?job_id={GREETING}")["data"]["runs"]) > 1)
    (run, *_) = host.get(f"/api/runs/?job_id={GREETING}")["data"]["runs"]
    page.open(f"{JOBS}runs/{run['id']}/")
    page.sees("hello", within_s=WITHIN_S, of="#log")
    page.sees("succeeded", within_s=WITHIN_S)
    look(page, "run-of-worker", f"{JOBS}runs/{run['id']}/")
    page.click("greeting")
    page.sees("How long its runs took", of="#charts .plots")
    assert page.run("return document.querySelectorAll('#charts canvas').length") == 1
    look(page, "job", f"{JOBS}{GREETING}/")
    look(page, "runs", f"{JOBS}runs/")


def test_a_queue_s_page(page: Browser, host: BranchHost) -> None:
    page.open(TASKS_PAGE)
    page.send("pause", "Pause", reason="a flood")
    page.sees("a flood.", of=".notice.held")
    eventually(lambda: not consumes(host, "w1"), WITHIN_S)
    page.send("send", "Send", url="http://127.0.0.1:9/")
    said(page, "queued as")
    page.click("Purge")
    page.answer("1")
    eventually(lambda: host.get(f"/{APP}/queues/tasks/")["depth"] == 0)
    page.click("Resume")
    eventually(lambda: consumes(host, "w1"), WITHIN_S)
    page.open(f"/admin/queues/{APP}/{quote(ODD, safe='')}/")
    page.send("edit", "Save", routing_key="other", options='{"durable": false}')
    said(page, "stored")
    stored = host.get(f"/{APP}/queues/{quote(ODD, safe='')}/")
    assert (stored["routing_key"], stored["options"]["durable"]) == ("other", False)
    page.expected = ASKED_ONCE_MORE
    page.send("delete", "Delete")
    page.answer()
    page.arrives("/admin/queues/")
    host.get(f"/{APP}/queues/{quote(ODD, safe='')}/", 404)


LOOKS = {
    "apps": "/admin/apps/",
    "app": APP_PAGE,
    "plan": f"{APP_PAGE}plan/",
    "orphans": f"{APP_PAGE}orphans/",
    "queue": TASKS_PAGE,
}


@pytest.mark.parametrize("name", LOOKS)
def test_how_it_looks(page: Browser, name: str) -> None:
    look(page, name, LOOKS[name])


@pytest.mark.parametrize("path", ["instances/", W1_PAGE[7:], APP_PAGE[7:], TASKS_PAGE[7:]])
def test_how_its_forms_look(page: Browser, path: str) -> None:
    page.open(f"/admin/{path}")
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.screenshot(f"forms-{path.strip('/').replace('/', '-')}", scheme, width)
        assert page.sticks_out() == []


def test_a_rolling_restart_with_its_progress(page: Browser, host: BranchHost) -> None:
    before = {name: worker_pid(host, name) for name in ("w1", "w2")}
    page.open(APP_PAGE)
    page.send("restart", "Restart", max_unavailable="1")
    page.sees("Running: ", within_s=WITHIN_S)
    page.click("Restart no more")
    page.sees("Aborted: ", within_s=WITHIN_S)
    page.click("Go on")
    page.sees("Done: ", within_s=2 * WITHIN_S)
    assert all(worker_pid(host, name) != pid for name, pid in before.items())
    assert page.is_the_same


def test_all_of_an_app(page: Browser, host: BranchHost) -> None:
    page.open(APP_PAGE)
    page.click("Stop all")
    assert page.answer() == f"Stop the 2 instances of {APP}?"
    page.sees("STOPPED", "w2", WITHIN_S)
    page.sees("STOPPED", "w1", WITHIN_S)
    assert host.mains("w1") == host.mains("w2") == []
    page.click("Start all")
    eventually(lambda: host.is_ready(APP, "w1") and host.is_ready(APP, "w2"), WITHIN_S)
    page.send("pause", "Pause", reason="inventory")
    page.sees("inventory.", of=".notice.held")
    eventually(lambda: not consumes(host, "w2"), WITHIN_S)
    page.click("Resume", within="p.acts")
    eventually(lambda: consumes(host, "w2"), WITHIN_S)


def test_all_that_a_filter_shows(page: Browser, host: BranchHost) -> None:
    page.open("/admin/instances/?q=w")
    page.send("scale-all", "Set the concurrency of", max="2", min="1")
    assert page.answer() == "Set the concurrency of 2 instances: w1, w2?"
    page.sees("2 done, 0 failed", of=".round")
    page.click("Close", within=".round")
    for name in ("w1", "w2"):
        page.sees("1-2", name)
        assert instance(host, name)["max_concurrency"] == 2
    page.click("Stop", within="[data-matching] p.acts")
    assert page.answer() == "Stop 2 instances: w1, w2?"
    for name in ("w1", "w2"):
        page.sees("STOPPED", name, WITHIN_S)
    page.open("/admin/instances/?q=w2")
    page.click("Delete", within="[data-matching] p.acts")
    assert page.answer() == "Delete 1 instance: w2?"
    eventually(lambda: host.client.get(f"/{APP}/instances/w2/").status_code == 404, WITHIN_S)


def test_an_instance_is_deleted(page: Browser, host: BranchHost) -> None:
    page.open(W1_PAGE)
    page.expected = ASKED_ONCE_MORE
    page.send("delete", "Delete", force=True)
    assert "forget it?" in page.answer()
    page.arrives("/admin/instances/")
    eventually(lambda: host.client.get(f"/{APP}/instances/w1/").status_code == 404, WITHIN_S)


def test_a_branch(page: Browser, host: BranchHost) -> None:
    page.open("/admin/")
    page.click(host.id)
    page.arrives(f"/admin/branches/{host.id}/")
    look(page, "branch", page.path)
    page.appear()
    page.send("drain", "Drain")
    page.answer()
    page.sees("It gets no new instances")
    assert host.get(f"/branches/{host.id}/")["is_draining"] is True
    page.click("Give it instances again")
    eventually(lambda: host.get(f"/branches/{host.id}/")["is_draining"] is False)


def test_an_app_is_deleted(page: Browser, host: BranchHost) -> None:
    page.open(APP_PAGE)
    page.expected = ASKED_ONCE_MORE
    page.send("delete", "Delete")
    page.answer("something else")
    page.click("Delete", within="#delete")
    page.answer(APP)
    page.arrives("/admin/apps/")
    assert host.get("/") == []


def test_users_and_tokens(page: Browser, host: BranchHost) -> None:
    # From the first admin on everybody has to say who they are.
    page.expected = "a status of 401 "
    page.open("/admin/users/")
    page.send("add-user", "Add", name=ADMIN, password=PASSWORD, role="admin")
    # It looks again, as somebody whom nobody knows, and is sent away.
    say_who(page, ADMIN)
    page.arrives("/admin/users/")
    host.client.auth = (ADMIN, PASSWORD)
    assert host.get("/api/users/") == [ADMIN]
    page.send("add-user", "Add", name="vera", password=PASSWORD, role="viewer")
    page.sees("viewer", "vera")
    page.send("edit-user", "Change", name="vera", role="operator")
    page.sees("operator", "vera")

    page.send("add-token", "Make", label="for a script", role="viewer")
    page.sees("Copy it now")
    token = str(page.run("return document.querySelector('.once input').value"))
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{page.origin}/", headers=headers, trust_env=False).status_code == 200
    assert token not in page.driver.page_source
    page.click("I have it")
    look(page, "users", "/admin/users/")
    page.appear()
    page.click("Revoke", token.split("_")[1])
    page.answer()
    eventually(
        lambda: httpx.get(f"{page.origin}/", headers=headers, trust_env=False).status_code == 401
    )
    page.click("Remove", "vera")
    assert page.answer() == "Forget vera, and their tokens?"
    eventually(lambda: page.row("vera") == "")
    assert host.get("/api/users/") == [ADMIN]
