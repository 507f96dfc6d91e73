"""Which questions a branch answers, and which it drops."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from cyme_supd.mailbox.controllers import OVERDUE_S, Controllers
from cyme_supd.mailbox.line import Letter, Line
from cyme_supd.mailbox.wire import Kind, Message, Wire
from cyme_supd.testing.clock import FakeClock
from tests.support import eventually
from tests.unit.values import AT

CONTROLLERS = {"controller:1", "controller:quick"}


@dataclass
class House:
    """One controller, and what it would have the line say."""

    clock: FakeClock = field(default_factory=FakeClock)
    said: list[Letter] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    beats: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.controllers = Controllers(
            "b1",
            AT,
            {"note": self._note, "wait": lambda arguments, deadline_s: self.release.wait(30)},
            {"quick": lambda arguments, deadline_s: "at once"},
            1,
            cast(Line, self),
            Wire("amqp://h//", "cyme"),
            self.clock,
            self.beats.add,
        )
        self.controllers.start()

    def _note(self, arguments: Mapping[str, Any], deadline_s: float) -> int:
        self.asked.append((arguments["n"], deadline_s))
        return len(self.asked)

    def say(self, letter: Letter) -> None:
        self.said.append(letter)

    def ask(self, command: str, ticket: str = "t1", age_s: float = 0.0, **changes: Any) -> None:
        body = {
            "method": command,
            "arguments": {"n": 1},
            "others": [],
            "ticket": ticket,
            "reply_to": {"exchange": "", "routing_key": "a1"},
            **changes,
        }
        sent_at = self.clock.now().timestamp() - age_s
        headers = {"sender": "b2.1", "sent_at": sent_at, "timeout_s": 5.0}
        self.controllers.take(Message(Kind.QUESTION, json.dumps(body), headers))

    def answers(self) -> list[Any]:
        return [json.loads(letter.message.body).get("answer") for letter in self.said]

    def beating(self) -> set[str]:
        self.beats.clear()
        self.controllers.show_life()
        return self.beats


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.release.set()
    house.controllers.stop()
    eventually(lambda: not CONTROLLERS & {thread.name for thread in threading.enumerate()})


def test_an_answer_goes_to_who_asked_and_says_whose_it_is(house: House) -> None:
    house.ask("note")
    (letter,) = eventually(lambda: list(house.said))
    assert (letter.exchange, letter.routing_key) == ("", "a1")
    assert letter.message.headers == {
        "ticket": "t1",
        "branch": "b1",
        "started_at": AT.isoformat(),
    }
    assert house.asked == [(1, 5.0)]


def test_what_needs_no_answer_has_none(house: House) -> None:
    house.ask("note", reply_to=None)
    house.ask("quick", "t2")
    eventually(lambda: house.asked and house.said)
    assert house.answers() == ["at once"]


def test_one_that_comes_again_is_answered_once(house: House) -> None:
    for ticket in ("t1", "t1", "t2"):
        house.ask("note", ticket)
    eventually(lambda: house.answers() == [1, 2])


def test_one_that_is_too_old_is_dropped_and_one_that_is_older_has_less_time(house: House) -> None:
    house.ask("note", "t1")
    house.ask("note", "t2", age_s=6.0)
    house.ask("note", "t3", age_s=4.0)
    eventually(lambda: house.asked == [(1, 5.0), (1, pytest.approx(1.0))])


def test_one_that_has_waited_for_too_long_is_dropped(house: House) -> None:
    house.ask("wait", "t1")
    eventually(lambda: house.controllers._overdue_at)
    house.ask("note", "t2")
    house.clock.advance(6.0)
    house.release.set()
    house.ask("note", "t3")
    eventually(lambda: house.answers() == [True, 1])


def test_one_that_is_for_others_is_not_heard(house: House) -> None:
    house.ask("note", others=["b0", "b1"])
    house.ask("note", "t2", others=["b0"])
    eventually(lambda: house.answers() == [1])


def test_a_controller_that_works_lives_until_it_is_overdue(house: House) -> None:
    assert house.beating() == CONTROLLERS
    house.ask("wait")
    eventually(lambda: house.controllers._overdue_at)
    house.clock.advance(5.0 + OVERDUE_S - 1.0)
    assert house.beating() == CONTROLLERS
    house.clock.advance(2.0)
    assert house.beating() == {"controller:quick"}
    house.release.set()
    eventually(lambda: house.beating() == CONTROLLERS)
