"""From when on something is an ill."""

from __future__ import annotations

import pytest

from cyme_supd.domain.findings import (
    Finding,
    Level,
    clock_beside,
    has_errors,
    redis_as_it_is,
    room_on_disk,
)

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("free", "files", "level"),
    [
        (5000 * MIB, None, Level.OK),
        (5000 * MIB, 10**6, Level.OK),
        (1000 * MIB, None, Level.WARNING),
        (99 * MIB, None, Level.ERROR),
        (0, 10**6, Level.ERROR),
        (5000 * MIB, 999, Level.ERROR),
        (5000 * MIB, 0, Level.ERROR),
    ],
)
def test_room_on_a_disk(free: int, files: int | None, level: Level) -> None:
    found = room_on_disk("there", free, files)
    assert (found.level, bool(found.hint)) == (level, level is not Level.OK)


@pytest.mark.parametrize(
    ("ahead_s", "level", "way"),
    [
        (0.0, Level.OK, ""),
        (-5.0, Level.OK, ""),
        (6.0, Level.WARNING, "6 s ahead of"),
        (-6.0, Level.WARNING, "6 s behind"),
        (-3600.0, Level.ERROR, "3600 s behind"),
    ],
)
def test_a_clock_beside_another(ahead_s: float, level: Level, way: str) -> None:
    found = clock_beside("the database", ahead_s)
    assert found.level is level
    assert way in found.message


@pytest.mark.parametrize(
    ("version", "limit", "policy", "said"),
    [
        ("6.2.0", 0, "noeviction", []),
        ("7.2.4", 100, "noeviction", []),
        ("7.2.4", 0, "allkeys-lru", []),
        ("7.2.4", 100, "allkeys-lru", ["drops tasks"]),
        ("6.0.16", 0, "noeviction", ["6.0.16"]),
        ("5.0", 100, "allkeys-lru", ["5.0", "drops tasks"]),
        ("", 0, "", ["Redis"]),
    ],
)
def test_a_redis(version: str, limit: int, policy: str, said: list[str]) -> None:
    found = list(redis_as_it_is("it", version, limit, policy))
    assert len(found) == len(said)
    assert all(words in each.message for words, each in zip(said, found, strict=True))
    assert has_errors(found) is bool(said)


def test_warnings_are_no_errors() -> None:
    assert not has_errors([Finding("x", Level.WARNING, "m"), Finding("x", Level.OK, "m")])
