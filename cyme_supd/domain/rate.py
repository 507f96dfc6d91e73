"""How often something may happen, as people write it: ``1/m``. Pure."""

from __future__ import annotations

import re

from cyme_supd.domain.values import shown
from cyme_supd.errors import Invalid

MAX_TIMES = 1000
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}

_RATE = re.compile(r"([1-9][0-9]{0,3})/([smh])", re.ASCII)


def parse_rate(name: str, rate: str) -> float:
    """Seconds that lie between two, at the least; *name* is what is being read.

    Raises ``Invalid`` for what is not ``N/s``, ``N/m`` or ``N/h``.
    """
    match = _RATE.fullmatch(rate)
    if match is None or int(match[1]) > MAX_TIMES:
        raise Invalid(
            f"{name}: {shown(rate)} is not N/s, N/m or N/h",
            f"such as 1/m; N is within 1-{MAX_TIMES}",
        )
    return UNITS_S[match[2]] / int(match[1])
