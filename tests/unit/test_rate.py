"""Rates as people write them."""

from __future__ import annotations

import pytest

from cyme_supd.domain.rate import parse_rate
from cyme_supd.errors import Invalid


@pytest.mark.parametrize(
    ("rate", "seconds"), [("1/m", 60.0), ("6/m", 10.0), ("1/s", 1.0), ("2/h", 1800.0)]
)
def test_seconds_between_two(rate: str, seconds: float) -> None:
    assert parse_rate("rate", rate) == seconds


@pytest.mark.parametrize(
    "rate", ["", "1", "0/m", "1/d", "-1/m", "1.5/m", "1/m ", "1001/s", "1/m\n"]
)
def test_all_else_is_refused(rate: str) -> None:
    with pytest.raises(Invalid, match="--rate"):
        parse_rate("--rate", rate)
