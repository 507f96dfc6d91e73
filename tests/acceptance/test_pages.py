"""Every page and every button, in a real browser, and what comes of it at real workers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.acceptance.celeryside import ask_worker, worker_pid
from tests.acceptance.harness import BranchHost
from tests.acceptance.pages import (
    ADMIN,
    APP,
    BROKEN,
    VIEWER,
    WITHIN_S,
    branch_to_look_at,
    consumes,
    look,
    sign_in,
    without_faults,
)
from tests.browser import Browser, browser
from tests.support import eventually

#: The first may have to fetch the browser.
pytestmark = pytest.mark.timeout(300)
FLEET, INSTANCES, QUEUES = "/admin/", "/admin/instances/", "/admin/queues/"
W1, W2, BAD = f"/{APP}/instances/w1/", f"/{APP}/instances/w2/", f"/{BROKEN}/instances/bad/"
PAGES = {
    "fleet": FLEET,
    "instances": INSTANCES,
    "instance": f"/admin/instances/{APP}/w1/",
    "instance-ill": f"/admin/instances/{BROKEN}/bad/",
    "instance-missing": f"/admin/instances/{APP}/none/",
    "queues": QUEUES,
    "decisions": "/admin/decisions/",
    "audit": "/admin/audit/",
    "audit-none": "/admin/audit/?q=nobody",
}
#: Those that the forms' tests look at.
OTHERS = ("apps", f"apps/{APP}", f"apps/{APP}/plan", f"apps/{APP}/orphans", f"queues/{APP}/tasks")


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with branch_to_look_at("w1", "w2") as host:
        yield host


@pytest.fixture(scope="module")
def both(host: BranchHost) -> Iterator[tuple[Browser, Browser]]:
    """Two that know nothing of one another: an admin's and a viewer's."""
    with ExitStack() as ends:
        pair = []
        for name in (ADMIN, VIEWER):
            made = ends.enter_context(browser(f"http://127.0.0.1:{host.port}"))
            sign_in(made, name)
            pair.append(made)
        yield pair[0], pair[1]


@pytest.fixture
def hers(both: tuple[Browser, Browser]) -> Iterator[Browser]:
    yield from without_faults(both[0])


@pytest.fixture
def viewers(both: tuple[Browser, Browser]) -> Iterator[Browser]:
    yield from without_faults(both[1])


def details(host: BranchHost, path: str = W1) -> Any:
    return host.get(path)


# How they look


@pytest.mark.parametrize("name", PAGES)
def test_a_page(hers: Browser, name: str) -> None:
    hers.expected = "a status of 404 " if name == "instance-missing" else ""
    look(hers, name, PAGES[name])


def test_who_is_ill_is_first_and_says_why(hers: Browser) -> None:
    hers.open(FLEET)
    hers.sees("CrashLooping", "bad", WITHIN_S)
    hers.click("bad")
    hers.sees("CrashLooping", within_s=WITHIN_S)
    assert hers.path == PAGES["instance-ill"]
    assert "No module named 'nowhere'" in hers.text("pre")


def test_from_page_to_page(hers: Browser) -> None:
    hers.open(FLEET)
    for word, path in (("Instances", INSTANCES), ("Queues", QUEUES), ("Audit", PAGES["audit"])):
        hers.click(word)
        hers.arrives(path)
        assert hers.text("h1") == hers.text("[aria-current]") == word


def test_some_of_the_instances(hers: Browser) -> None:
    hers.open(INSTANCES)
    hers.fill("app", BROKEN)
    hers.click("Show")
    hers.sees("1 of them")
    assert (bool(hers.row("bad")), hers.row("w1")) == (True, "")
    hers.open(INSTANCES)
    hers.fill("q", "W2")
    hers.press(Keys.ENTER)
    hers.sees("1 of them")
    assert (bool(hers.row("w2")), hers.row("w1")) == (True, "")


# What the buttons do


def test_pause_and_resume(hers: Browser, host: BranchHost) -> None:
    hers.open(PAGES["instance"])
    hers.click("Pause")
    assert hers.answer(agrees=False) == "Have it take no new work?"
    hers.click("Pause")
    hers.answer()
    eventually(lambda: not consumes(host, "w1"), WITHIN_S)
    hers.click("Resume")
    eventually(lambda: consumes(host, "w1"), WITHIN_S)
    hers.sees("AsWanted", "Consuming", WITHIN_S)
    assert hers.is_the_same


def test_grow_and_shrink(hers: Browser, host: BranchHost) -> None:
    def most() -> Any:
        return ask_worker(host, "w1", "stats")["autoscaler"]["max"]

    hers.open(PAGES["instance"])
    hers.click("Grow")
    eventually(lambda: most() == 2, WITHIN_S)
    hers.click("Shrink")
    eventually(lambda: most() == 1, WITHIN_S)
    assert hers.is_the_same


def test_restart(hers: Browser, host: BranchHost) -> None:
    before = worker_pid(host, "w1")
    hers.open(PAGES["instance"])
    hers.click("Restart")
    assert hers.answer() == "Restart w1?"
    eventually(lambda: worker_pid(host, "w1") != before, WITHIN_S)
    hers.sees(f"process {worker_pid(host, 'w1')}")
    hers.sees("Answering", "Ready")


def test_stop_and_start(hers: Browser, host: BranchHost) -> None:
    hers.open(INSTANCES)
    hers.click("Stop", "w2")
    assert hers.answer() == "Stop w2?"
    hers.sees("STOPPED", "w2", WITHIN_S)
    assert host.mains("w2") == []
    hers.click("Start", "w2")
    hers.sees("well", "w2", WITHIN_S)
    assert len(host.mains("w2")) == 1


def test_an_app_is_paused_and_restarted_as_a_whole(hers: Browser, host: BranchHost) -> None:
    before = {name: worker_pid(host, name) for name in ("w1", "w2")}
    hers.open(FLEET)
    hers.click("Pause", APP)
    assert hers.answer() == "Have all of shop take no new work?"
    eventually(lambda: not any(consumes(host, name) for name in before), WITHIN_S)
    hers.click("Resume", APP)
    eventually(lambda: all(consumes(host, name) for name in before), WITHIN_S)
    hers.click("Rolling restart", APP)
    hers.answer()
    eventually(lambda: host.get(f"/{APP}/restart/")["state"] == "done", WITHIN_S)
    assert all(worker_pid(host, name) != pid for name, pid in before.items())


def test_a_queue_is_paused_and_purged(hers: Browser, host: BranchHost) -> None:
    def depth() -> Any:
        return host.get(f"/{APP}/queues/mail/")["depth"]

    for _ in range(3):
        host.post(f"/{APP}/queue/mail/http://127.0.0.1:9/", 202)
    hers.open(QUEUES)
    hers.sees("3", "mail")
    hers.click("Purge", "mail")
    assert "Type how many there are" in hers.answer("2")
    hers.click("Purge", "mail")
    hers.answer(agrees=False)
    assert depth() == 3
    hers.click("Purge", "mail")
    hers.answer("3")
    eventually(lambda: depth() == 0)
    hers.click("Pause", "tasks")
    hers.answer()
    eventually(lambda: not consumes(host, "w1"), WITHIN_S)
    hers.click("Resume", "tasks")
    eventually(lambda: consumes(host, "w1"), WITHIN_S)


def test_what_was_done_and_who_did_it(hers: Browser) -> None:
    hers.open(f"{PAGES['audit']}?name=w1&q=pause")
    hers.sees(ADMIN)
    hers.open(f"{PAGES['decisions']}?name=w2")
    hers.sees("stop: ")


# Live


def test_what_others_do_is_on_an_open_page(hers: Browser, host: BranchHost) -> None:
    hers.open(INSTANCES)
    host.post(f"{W2}autoscale/", max=3, min=1)
    hers.sees("1-3", "w2")
    host.post(f"{W2}autoscale/", max=1, min=1)
    hers.sees("1-1", "w2")
    assert hers.is_the_same


def test_two_browsers_see_one_another(hers: Browser, viewers: Browser) -> None:
    viewers.open(INSTANCES)
    hers.open(PAGES["instance"])
    hers.click("Pause")
    hers.answer()
    viewers.sees("held", "w1", WITHIN_S)
    hers.click("Resume")
    viewers.sees("well", "w1", WITHIN_S)
    assert hers.is_the_same
    assert viewers.is_the_same


def test_it_asks_where_it_is_told_nothing(hers: Browser, host: BranchHost) -> None:
    hers.expected = "ERR_BLOCKED_BY_CLIENT"
    hers.block("*/api/events/*")
    try:
        hers.open(INSTANCES)
        hers.sees("every 2 s", of="#live")
        host.post(f"{W2}autoscale/", max=4, min=1)
        hers.sees("1-4", "w2")
        assert hers.is_the_same
    finally:
        hers.block()
    host.post(f"{W2}autoscale/", max=1, min=1)
    hers.sees("1-1", "w2")
    hers.sees("live", of="#live")


def test_what_a_worker_does_and_says(hers: Browser, host: BranchHost) -> None:
    hers.open(PAGES["instance"])
    hers.sees("None: it is idle.", of="#running")
    # One that takes the request, and its time.
    with socket.create_server(("127.0.0.1", 0)) as target:
        host.post(f"/{APP}/queue/tasks/http://127.0.0.1:{target.getsockname()[1]}/", 202)
        for name in ("w1", "w2"):
            host.post(f"/{APP}/instances/{name}/resume/")
        takers = [f"/admin/instances/{APP}/{name}/" for name in ("w1", "w2")]

        def is_shown() -> bool:
            """By whichever of them has it."""
            hers.open(takers[0])
            takers.reverse()
            hers.sees("cyme.request", within_s=2.0, of="#running")
            return True

        eventually(is_shown, WITHIN_S)
        taker = hers.path
        look(hers, "instance-busy", taker)
    hers.appear()
    hers.sees("cyme.request", of="#log")
    before = hers.text("#log").count("Canceling queue")
    hers.click("Pause")
    hers.answer()
    eventually(lambda: hers.text("#log").count("Canceling queue") > before, WITHIN_S)
    hers.click("Resume")
    hers.sees("How its state changed")
    assert hers.is_the_same


def test_what_was_measured_is_drawn(hers: Browser, host: BranchHost) -> None:
    eventually(lambda: host.get("/api/samples/")["data"]["at"], 70.0, every_s=0.5)
    for name, told in (("fleet", "Concurrency now "), ("instance", "Concurrency")):
        hers.open(PAGES[name])
        hers.sees(told, of="#charts .plots")
        assert hers.run("return document.querySelectorAll('#charts canvas').length") > 1
        hers.click("6 h")
        pressed = hers.run("return document.querySelector('[aria-pressed=true]').innerText")
        assert pressed == "6 h"
        look(hers, f"{name}-drawn", PAGES[name])


# Who may only look


def test_a_viewer_has_no_buttons_and_is_refused(
    hers: Browser, viewers: Browser, host: BranchHost
) -> None:
    before = {path: details(host, path) for path in (W1, W2)}
    pages = [path for name, path in PAGES.items() if name != "instance-missing"]
    pages += [f"/admin/{place}/" for place in OTHERS]
    requests = set()
    for path in pages:
        hers.open(path)
        requests |= {
            tuple(each)
            for each in hers.run(
                "return [...document.querySelectorAll('[data-path]')]"
                ".map((e) => [e.dataset.path, e.dataset.method])"
            )
        }
        viewers.open(path)
        assert set(viewers.buttons()) <= {"Show", "1 h", "6 h", "24 h"}, path
        assert viewers.run("return document.querySelectorAll('[data-path]').length") == 0
    assert len(requests) > 30
    viewers.expected = "a status of 403 "
    assert {viewers.fetch(*each) for each in requests} == {403}
    assert viewers.fetch("/admin/users/", "GET") == 403
    for path, found in before.items():
        for key in ("pid", "is_enabled", "max_concurrency", "generation"):
            assert details(host, path)[key] == found[key]


def test_in_and_out(viewers: Browser) -> None:
    viewers.open(FLEET)
    viewers.click("Sign out")
    viewers.arrives("/admin/login")
    look(viewers, "login", "/admin/login")
    viewers.expected = "a status of 401 "
    viewers.fill("name", VIEWER)
    viewers.fill("password", "something else")
    viewers.press(Keys.ENTER)
    viewers.sees("wrong", of="[role=alert]")
    assert viewers.text("form") != ""
    viewers.open(QUEUES)
    viewers.arrives("/admin/login")
    sign_in(viewers, VIEWER)


# Without a mouse


def test_by_keyboard(hers: Browser, host: BranchHost) -> None:
    hers.open(PAGES["instance"])
    hers.press(Keys.TAB)
    assert hers.focused() == "To the content"
    hers.press(Keys.ENTER)
    for _ in range(10):
        hers.press(Keys.TAB)
        if hers.focused() == "Grow":
            break
    for most in (2, 3):
        # Its button says another number each time.
        assert hers.focused() == "Grow"
        hers.press(Keys.ENTER)
        hers.sees(f"max_concurrency\n{most}")
    assert details(host)["max_concurrency"] == 3


def test_what_one_deletes_is_gone_for_the_other(
    hers: Browser, viewers: Browser, host: BranchHost
) -> None:
    path = f"/admin/instances/{APP}/w2/"
    hers.expected = viewers.expected = "a status of 404 "
    viewers.open(path)
    hers.open(path)
    hers.send("delete", "Delete")
    assert hers.answer() == "Stop w2 and forget it?"
    hers.arrives(INSTANCES)
    viewers.sees("There is no instance 'w2'", within_s=WITHIN_S)
    assert viewers.is_the_same
    assert host.mains("w2") == []
