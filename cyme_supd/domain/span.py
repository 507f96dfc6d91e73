"""Spans of time as somebody says them: ``90d``, ``36h``, ``30m``, ``45s``, or seconds. Pure."""

from __future__ import annotations

import re

from cyme_supd.domain.values import shown
from cyme_supd.errors import Invalid

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([0-9]{1,10})([smhd]?)", re.ASCII)
#: A hundred years.
MAX_SPAN_S = 36_525 * 86400


def parse_span(name: str, text: str) -> float:
    """In seconds; ``Invalid`` for what is none, or longer than a hundred years."""
    found = _SPAN.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else MAX_SPAN_S + 1
    if seconds > MAX_SPAN_S:
        raise Invalid(f"{name}: {shown(text)} is no span of time", "as 90d, 36h, 30m or 45s")
    return float(seconds)
