"""The documents: well-formed, true to the code they were written from, and found."""

from __future__ import annotations

import io
import re
from pathlib import Path

import docutils.core
import pytest

from cyme_supd.web import words
from cyme_supd.web.parameterwords import PARAMETERS
from docs import reference

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.rst"), *(CHECKOUT / "docs").rglob("*.rst")])
#: Files and folders of the checkout, as the pages name them.
NAMED = re.compile(
    r"``((?:conf|cyme_supd|docs|templates|tests)/[\w./-]*|[A-Z]+\.rst)``|:: ([\w/-]+\.svg)$", re.M
)


def complaints(text: str) -> str:
    """What docutils has to say against *text*."""
    said = io.StringIO()
    strict = {"report_level": 2, "halt_level": 5, "warning_stream": said}
    docutils.core.publish_doctree(text, settings_overrides=strict)
    return said.getvalue()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_well_formed(path: Path) -> None:
    assert complaints(path.read_text()) == ""


def test_a_page_that_is_not() -> None:
    assert "Unknown target name" in complaints("See elsewhere_.\n")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_names_is_there(path: Path) -> None:
    for in_checkout, beside in NAMED.findall(path.read_text()):
        named = CHECKOUT / in_checkout if in_checkout else path.parent / beside
        assert named.exists(), f"{path.name} names {in_checkout or beside}"


def test_the_reference_is_that_of_this_code() -> None:
    written = reference.PATH.read_text()
    assert written == reference.reference(), "docs/reference.rst is old: make reference"


def test_every_word_is_of_something() -> None:
    found = reference.routes()
    assert {route.key for route in found} == words.ROUTES.keys()
    assert {route.noun for route in found} == words.NOUNS.keys()
    fields = {name for route in found if route.params for name in route.params.model_fields}
    assert fields == PARAMETERS.keys()


def test_a_change_of_a_route_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(words.ROUTES, "GET /<app>/queues/")
    with pytest.raises(LookupError, match="GET /<app>/queues/"):
        reference.reference()
