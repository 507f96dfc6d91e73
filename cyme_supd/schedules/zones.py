"""Time zones, by name."""

from __future__ import annotations

import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cyme_supd.domain.values import shown
from cyme_supd.errors import Invalid

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII)
#: Files that lie beside the zones on some hosts, and mean something else on each.
_NO_ZONES = ("posix/", "right/")
_NO_NAMES = ("localtime", "posixrules", "Factory")


@lru_cache(1024)
def zone_called(name: str) -> ZoneInfo:
    """The zone; raises ``Invalid`` where nobody knows it."""
    is_name = _NAME.fullmatch(name) and not name.startswith(_NO_ZONES) and name not in _NO_NAMES
    try:
        if is_name:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise Invalid(f"timezone: {shown(name)} is not known", "a name such as Europe/Berlin, or UTC")
