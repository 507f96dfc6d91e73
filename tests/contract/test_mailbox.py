"""Branches that ask one another: in memory, on RabbitMQ, on Valkey."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from cyme_supd import errors
from cyme_supd.clock import SystemClock
from cyme_supd.domain.mailbox import Mailbox, Presence
from cyme_supd.domain.presence import Gathered
from cyme_supd.errors import Conflict, CymeError, Internal, NoAnswer, NotFound, Unavailable
from cyme_supd.mailbox.post import BranchPost
from cyme_supd.testing.mailbox import Handler, MemoryFleet
from tests.acceptance.harness import unique
from tests.mailboxes import BEAT_S, Posts, kill
from tests.support import eventually
from tests.unit.values import a_heartbeat

LONG_S, SHORT_S = 20.0, 0.4


class Port(Mailbox, Presence, Protocol):
    """Both, as every process has them."""


@dataclass(frozen=True)
class At:
    """The ports of a process, and how branches come and go."""

    port: Port
    join: Callable[..., Any]
    kill: Callable[[Any], None]

    def await_live(self, *ids: str) -> None:
        eventually(lambda: self.live() == set(ids))

    def live(self) -> set[str]:
        return {id for id, peer in self.port.peers().items() if peer.is_live}


@pytest.fixture(params=["memory", "rabbitmq", "valkey"])
def at(request: pytest.FixtureRequest) -> Iterator[At]:
    if request.param == "memory":
        fleet = MemoryFleet(SystemClock())

        def join(id: str, handlers: Mapping[str, Handler], **says: Any) -> Any:
            beat = {"interval_s": BEAT_S, "started_at": datetime.now(UTC), **says}
            return fleet.join(a_heartbeat(id, **beat), handlers)

        yield At(fleet, join, lambda branch: branch.kill())
        return
    url: str = request.getfixturevalue(f"{request.param}_url")
    with Posts(url, unique("f")) as posts:
        yield At(posts.asker(), posts.branch, kill)


def echo(arguments: Mapping[str, Any], deadline_s: float) -> Any:
    return {"had": arguments}


def fail(arguments: Mapping[str, Any], deadline_s: float) -> Any:
    raise getattr(errors, arguments["class"])("what", "do this")


def break_(arguments: Mapping[str, Any], deadline_s: float) -> Any:
    raise ZeroDivisionError


def who(id: str) -> dict[str, Handler]:
    return {"who": lambda arguments, deadline_s: id}


def test_what_a_branch_answers(at: At) -> None:
    at.join("b1", {"echo": echo})
    at.join("b2", {"echo": break_})
    at.await_live("b1", "b2")
    arguments = {"name": "ä\u2028", "list": [1, 2.5, None, True], "empty": {}}

    assert at.port.ask("b1", "echo", arguments, LONG_S) == {"had": arguments}


@pytest.mark.parametrize("cls", [Conflict, errors.ShuttingDown, errors.Timeout])
def test_an_error_arrives_as_what_it_is(at: At, cls: type[CymeError]) -> None:
    at.join("b1", {"fail": fail})
    at.await_live("b1")

    with pytest.raises(CymeError) as raised:
        at.port.ask("b1", "fail", {"class": cls.__name__}, LONG_S)
    assert type(raised.value) is cls
    assert (raised.value.message, raised.value.hint) == ("what", "do this")


def test_one_that_breaks_and_one_that_does_not_know_the_command(at: At) -> None:
    at.join("b1", {"break": break_, "odd": lambda arguments, deadline_s: object()})
    at.await_live("b1")

    for command, error in (("break", Internal), ("odd", Internal), ("unheard", NotFound)):
        with pytest.raises(error):
            at.port.ask("b1", command, {}, LONG_S)


def test_one_that_lives_and_does_not_answer(at: At) -> None:
    release = threading.Event()
    at.join("b1", {"slow": lambda arguments, deadline_s: release.wait(30), **who("b1")})
    at.await_live("b1")
    begun = time.monotonic()

    with pytest.raises(NoAnswer):
        at.port.ask("b1", "slow", {}, SHORT_S)
    assert time.monotonic() - begun < SHORT_S + 2.0
    release.set()

    # What it says too late is nobody's answer.
    assert at.port.ask("b1", "who", {}, LONG_S) == "b1"


def test_the_handler_knows_how_long_it_has(at: At) -> None:
    at.join("b1", {"left": lambda arguments, deadline_s: deadline_s})
    at.await_live("b1")

    assert 0 < at.port.ask("b1", "left", {}, LONG_S) <= LONG_S


def test_one_that_nobody_has_heard_of(at: At) -> None:
    at.join("b1", {})
    at.await_live("b1")
    with pytest.raises(Unavailable):
        at.port.ask("b2", "who", {}, LONG_S)


def test_one_that_ends_has_lapsed_at_once(at: At) -> None:
    at.join("b1", who("b1"))
    branch = at.join("b2", who("b2"))
    at.await_live("b1", "b2")
    branch.stop()
    at.await_live("b1")

    begun = time.monotonic()
    with pytest.raises(Unavailable):
        at.port.ask("b2", "who", {}, LONG_S)
    assert at.port.scatter("who", {}, LONG_S) == Gathered({"b1": "b1"}, {}, ("b2",))
    assert time.monotonic() - begun < 5.0
    assert not at.port.peers()["b2"].is_live


def test_one_that_is_killed_has_lapsed_after_three_beats(at: At) -> None:
    at.join("b1", who("b1"))
    branch = at.join("b2", who("b2"))
    at.await_live("b1", "b2")
    begun = time.monotonic()
    at.kill(branch)

    # Asked while nobody knows yet: no longer than that it is known.
    with pytest.raises((Unavailable, NoAnswer)):
        at.port.ask("b2", "who", {}, 3 * BEAT_S + 2.0)
    at.await_live("b1")
    assert time.monotonic() - begun < 3 * BEAT_S + 5.0


def test_what_everybody_answers(at: At) -> None:
    for id in ("b1", "b2", "b3"):
        at.join(id, {"fail" if id == "b3" else "who": lambda a, d, id=id: id, "echo": fail})
    at.await_live("b1", "b2", "b3")
    begun = time.monotonic()

    found = at.port.scatter("who", {}, LONG_S)
    assert found.answers == {"b1": "b1", "b2": "b2"}
    assert {id: type(error) for id, error in found.errors.items()} == {"b3": NotFound}
    assert found.silent == ()
    assert time.monotonic() - begun < LONG_S / 2


def test_what_some_answer(at: At) -> None:
    heard: set[str] = set()

    def hear(id: str) -> Handler:
        def handler(arguments: Mapping[str, Any], deadline_s: float) -> Any:
            heard.add(id)
            return arguments["n"]

        return handler

    for id in ("b1", "b2", "b3"):
        at.join(id, {"hear": hear(id)})
    at.await_live("b1", "b2", "b3")

    # One for each of a few, one for all but a few.
    for asked in (["b2"], ["b1", "b3"], ["b2", "b9"], []):
        heard.clear()
        found = at.port.scatter("hear", {"n": 7}, LONG_S, asked)
        there = {id for id in asked if id != "b9"}
        assert found == Gathered(dict.fromkeys(there, 7), {}, ("b9",) if "b9" in asked else ())
        assert heard == there


def test_who_has_not_answered_is_named(at: At) -> None:
    release = threading.Event()
    at.join("b1", who("b1"))
    at.join("b2", {"who": lambda arguments, deadline_s: release.wait(30)})
    at.await_live("b1", "b2")

    found = at.port.scatter("who", {}, SHORT_S)
    release.set()
    assert found == Gathered({"b1": "b1"}, {}, ("b2",))


def test_what_is_told_without_an_answer(at: At) -> None:
    heard: list[tuple[str, Any]] = []
    for id in ("b1", "b2"):
        at.join(id, {"hear": lambda arguments, _, id=id: heard.append((id, arguments["n"]))})
    at.await_live("b1", "b2")

    at.port.cast("hear", {"n": 1}, "b2")
    eventually(lambda: heard == [("b2", 1)])
    at.port.cast("hear", {"n": 2})
    eventually(lambda: sorted(heard) == [("b1", 2), ("b2", 1), ("b2", 2)])


def test_what_a_branch_says_of_itself(at: At) -> None:
    says = {
        "load_average": (0.5, 1.0, 2.0),
        "memory": {"total": 7, "available": 5},
        "disk_use": 12.5,
        "instances": 3,
        "room": 400,
        "is_draining": True,
        "moving": {"left": 3, "now": "w1", "to": "b2", "failed": {}, "reason": None},
        "digest": "d",
        "logfile": "/l",
        "started_at": datetime.now(UTC) - timedelta(hours=1),
    }
    at.join("b1", {}, **says)
    at.await_live("b1")

    peer = at.port.peers()["b1"]
    assert {name: getattr(peer.heartbeat, name) for name in says} == says
    assert timedelta(0) <= datetime.now(UTC) - peer.last_seen_at < timedelta(seconds=30)


def test_one_that_starts_again(at: At) -> None:
    branch: BranchPost = at.join("b1", who("old"))
    at.await_live("b1")
    at.kill(branch)
    at.join("b1", who("new"), instances=9)

    eventually(lambda: at.port.peers()["b1"].heartbeat.instances == 9)
    assert at.port.ask("b1", "who", {}, LONG_S) == "new"
