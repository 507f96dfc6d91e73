"""A branch's side of supervisord's programs, without a supervisord."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from cyme_supd.errors import Conflict, CymeError, Unavailable
from cyme_supd.supervisord.client import Supervisord
from cyme_supd.supervisord.programs import SupervisordPrograms
from cyme_supd.supervisord.sections import SectionFiles


class PlayedSupervisord:
    """Says ``answer`` to who waits, and raises ``error`` for who applies."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.error: CymeError | None = None
        self.applied: list[str] = []

    def apply(self, names: Sequence[str]) -> None:
        self.applied.extend(names)
        if self.error is not None:
            raise self.error

    def changes(self, *_: object) -> dict[str, Any]:
        return self.answer


def answer(*groups: str, removed: Sequence[str] = (), is_full: bool = False) -> dict[str, Any]:
    programs = [{"name": f"{group}-1", "group": group, "ours": False} for group in groups]
    return {"programs": programs, "removed": list(removed), "full": is_full, "position": "1:1"}


@pytest.fixture
def supervisord() -> PlayedSupervisord:
    return PlayedSupervisord()


@pytest.fixture
def programs(supervisord: PlayedSupervisord, tmp_path: Path) -> SupervisordPrograms:
    sections = SectionFiles(tmp_path)
    sections.prepare()
    return SupervisordPrograms(cast(Supervisord, supervisord), sections)


def hear(programs: SupervisordPrograms, supervisord: PlayedSupervisord, news: Any) -> None:
    """Have the listener take *news*, and end."""
    supervisord.answer = news
    stop = threading.Event()
    turns = iter((False, True))
    stop.is_set = lambda: next(turns)
    programs.listen(stop, lambda _: None, lambda: None)


def test_what_an_unanswered_attempt_left_goes_with_the_refusal(
    programs: SupervisordPrograms, supervisord: PlayedSupervisord
) -> None:
    supervisord.error = Unavailable("no answer")
    with pytest.raises(Unavailable):
        programs.apply("theirs", 7)
    assert programs.sections() == {"theirs"}

    supervisord.error = Conflict("not Cyme's")
    with pytest.raises(Conflict):
        programs.apply("theirs", 7)

    assert programs.sections() == set()


def test_no_section_is_written_for_what_is_known_to_be_somebody_elses(
    programs: SupervisordPrograms, supervisord: PlayedSupervisord
) -> None:
    hear(programs, supervisord, answer("theirs", is_full=True))

    with pytest.raises(Conflict):
        programs.apply("theirs", 7)

    assert (programs.sections(), supervisord.applied) == (set(), [])


@pytest.mark.parametrize(
    "news", [answer(removed=["theirs"]), answer("others", is_full=True)], ids=["removed", "new"]
)
def test_a_name_that_is_free_again_may_be_used(
    programs: SupervisordPrograms, supervisord: PlayedSupervisord, news: Any
) -> None:
    hear(programs, supervisord, answer("theirs", is_full=True))
    hear(programs, supervisord, news)

    programs.apply("theirs", 7)

    assert supervisord.applied == ["theirs"]
