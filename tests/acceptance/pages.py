"""A branch for browsers to look at, and how people are let in to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.celeryside import queues
from tests.acceptance.harness import BranchHost
from tests.browser import NARROW, SCHEMES, WIDE, Browser
from tests.support import eventually

APP, BROKEN = "shop", "broken"
ADMIN, VIEWER = "alice", "vera"
PASSWORD = "staple-battery-7c1"
#: What the page of an instance is answered whose worker is just starting or ending.
IS_SILENT = re.compile(r"/(stats|tasks)/\?timeout=1 - .* a status of 503 ")
#: A worker's start takes most of it.
WITHIN_S = 90.0


@contextmanager
def branch_to_look_at(*workers: str) -> Iterator[BranchHost]:
    """With *workers* that consume from ``tasks``, one that dies at every start, and two users."""
    with BranchHost("--sup-interval", "1") as host:
        host.start()
        for name, role in ((ADMIN, "admin"), (VIEWER, "viewer")):
            host.post("/api/users/", 201, name=name, password=PASSWORD, role=role)
            # From the first on everybody has to say who they are.
            host.client.auth = (ADMIN, PASSWORD)
        host.post(f"/{BROKEN}/", 201, celery_app="nowhere.celery:app")
        host.post(f"/{BROKEN}/instances/!/bad/", 202)
        host.post(f"/{APP}/", 201)
        for queue in ("tasks", "mail"):
            host.post(f"/{APP}/queues/{queue}/", 201)
        for name in workers:
            host.post(f"/{APP}/instances/!/{name}/", 202, queues=["tasks"])
        for name in workers:
            eventually(lambda name=name: host.is_ready(APP, name), WITHIN_S)
        yield host


def sign_in(browser: Browser, name: str, password: str = PASSWORD) -> None:
    """As people do, who are sent to where they wanted to be."""
    browser.open("/admin/instances/")
    say_who(browser, name, password)
    browser.arrives("/admin/instances/")
    browser.sees(f"{name}, ", of=".whoami")


def say_who(browser: Browser, name: str, password: str = PASSWORD) -> None:
    """On the page that whoever is nobody is sent to."""
    browser.arrives("/admin/login")
    browser.fill("name", name)
    browser.fill("password", password)
    browser.click("Sign in")


def without_faults(browser: Browser) -> Iterator[Browser]:
    """For a test, after which nobody else was asked and nothing complained of."""
    browser.appear()
    browser.expected = ""
    yield browser
    browser.leave()
    faults = [each for each in browser.faults() if not IS_SILENT.search(each)]
    others = browser.asked_others()
    assert not faults, faults
    assert not others, others


def look(browser: Browser, name: str, path: str) -> None:
    """Keep how a page looks, and see that it fits."""
    browser.open(path)
    assert browser.text("h1")
    for scheme in SCHEMES:
        for width in (WIDE, NARROW):
            assert browser.screenshot(name, scheme, width).stat().st_size > 1000
            assert browser.sticks_out() == [], (scheme, width)


def consumes(host: BranchHost, instance: str, queue: str = "tasks") -> bool:
    """Whether the worker says so itself."""
    return queue in queues(host, instance)
