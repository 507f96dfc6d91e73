"""The table that is made of the fault suite's results."""

from __future__ import annotations

import docutils.core
import pytest

from docs import faults

ROW = {
    "fault": "worker killed",
    "broker": "Valkey",
    "limit_s": 10,
    "order": 1,
    "seconds": [3.0, 1.0, 2.0],
    "violations": [],
    "lost": None,
    "again": 0,
    "note": "",
}
PAGE = f"Title\n=====\n\n{faults.BEGIN}\n\nold\n\n{faults.END}\n\nThe end.\n"


def test_what_it_shows() -> None:
    note = {**ROW, "fault": "files", "broker": "", "seconds": [], "note": "3 of 3", "order": 0}
    page = faults.placed(PAGE, [ROW, note])
    assert "worker killed  Valkey  3     2.0  3.0  3.0  10     0           \\-    0\n" in page
    assert "- files: 3 of 3\n" in page
    assert "old" not in page
    assert page.endswith("The end.\n")
    docutils.core.publish_doctree(page, settings_overrides={"halt_level": 2})


def test_it_is_made_again_in_place() -> None:
    once = faults.placed(PAGE, [ROW])
    assert faults.placed(once, [ROW]) == once


def test_what_was_not_run_again_stays_as_it_was() -> None:
    other = {**ROW, "fault": "a worker: killed, twice", "order": 9, "note": "12 of 12"}
    both = faults.placed(PAGE, [ROW, other])
    again = faults.placed(both, [{**ROW, "seconds": [9.0], "note": "one"}])
    assert "worker killed            Valkey  1     9.0  9.0  9.0" in again
    assert "a worker: killed, twice  Valkey  3     2.0  3.0  3.0" in again
    assert "- a worker: killed, twice, Valkey: 12 of 12\n- worker killed, Valkey: one\n" in again
    docutils.core.publish_doctree(again, settings_overrides={"halt_level": 2})


def test_a_page_without_marks() -> None:
    with pytest.raises(LookupError):
        faults.placed("Title\n=====\n", [ROW])
