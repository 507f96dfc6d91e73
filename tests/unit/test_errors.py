"""Errors across the wire."""

from __future__ import annotations

import pytest

from cyme_supd import errors
from cyme_supd.errors import Conflict, CymeError, Internal, from_wire

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, CymeError) and each is not CymeError
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_arrives_as_one_of_its_code(cls: type[CymeError]) -> None:
    arrived = from_wire(cls("what", "do this").to_wire())

    assert issubclass(cls, type(arrived))
    assert (arrived.code, arrived.exit) == (cls.code, cls.exit)
    assert (arrived.message, arrived.hint) == ("what", "do this")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_between_branches_it_stays_what_it_is(cls: type[CymeError]) -> None:
    arrived = from_wire(cls("what", "do this").to_peer())

    assert type(arrived) is cls
    assert (arrived.message, arrived.hint) == ("what", "do this")


def test_a_class_that_is_not_there_or_of_another_code_is_what_its_code_is() -> None:
    body = Conflict("what").to_peer()

    assert type(from_wire({**body, "class": "NameTaken"})) is Conflict
    assert type(from_wire({**body, "class": "Invalid"})) is Conflict


@pytest.mark.parametrize("body", [{"code": "of_a_later_version", "message": "what"}, {}])
def test_a_code_nobody_knows_is_internal(body: dict[str, str]) -> None:
    arrived = from_wire(body)

    assert type(arrived) is Internal
    assert arrived.message == body.get("message", "")
