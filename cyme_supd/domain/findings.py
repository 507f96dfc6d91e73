"""What is found when a branch is looked over, and from when on it is an ill. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

_MIB = 1024 * 1024
#: Of a disk: what a burst of logs or tasks may take, and what a database needs to go on.
LITTLE_ROOM, NO_ROOM = 1024 * _MIB, 100 * _MIB
NO_FILES = 1000
#: Pauses, times in answers and tasks with an ETA are off by so much.
SKEWED_S, FAR_OFF_S = 5.0, 60.0
#: The first Redis with all the commands that requests of URLs are kept by.
OLDEST_REDIS = (6, 2)


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` was looked at, ``message`` is what it came to, ``hint`` what to do about it."""

    what: str
    level: Level
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "what": self.what,
            "level": str(self.level),
            "message": self.message,
            "hint": self.hint,
        }


def fine(what: str, message: str) -> Finding:
    return Finding(what, Level.OK, message)


def warning(what: str, message: str, hint: str) -> Finding:
    return Finding(what, Level.WARNING, message, hint)


def error(what: str, message: str, hint: str) -> Finding:
    return Finding(what, Level.ERROR, message, hint)


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(each.level is Level.ERROR for each in findings)


def room_on_disk(where: str, free: int, free_files: int | None) -> Finding:
    """*free* are bytes; *free_files* is ``None`` where the file system has no limit."""
    message = f"{free // _MIB} MiB are free on the disk of {where}"
    if free < NO_ROOM:
        return error("disk", message, "make room at once: nothing can be stored on a full disk")
    if free_files is not None and free_files < NO_FILES:
        return error(
            "disk",
            f"{free_files} more files fit on the disk of {where}",
            "remove files: it is full as it is, whatever room is left",
        )
    if free < LITTLE_ROOM:
        return warning("disk", message, "make room, or move the root directory to a larger one")
    return fine("disk", message)


def clock_beside(whose: str, ahead_s: float) -> Finding:
    """*ahead_s* is how far this host's clock is ahead of that one."""
    if abs(ahead_s) <= SKEWED_S:
        return fine("clock", f"it goes as that of {whose}")
    way = "ahead of" if ahead_s > 0 else "behind"
    make = error if abs(ahead_s) > FAR_OFF_S else warning
    message = f"this host's clock is {abs(ahead_s):.0f} s {way} that of {whose}"
    return make("clock", message, "have both set by NTP: timedatectl set-ntp true")


def redis_as_it_is(whose: str, version: str, limit: int, policy: str) -> Iterator[Finding]:
    """*limit* is in bytes, 0 for none; *policy* is what it does beyond that."""
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if found < OLDEST_REDIS:
        needed = ".".join(map(str, OLDEST_REDIS))
        yield error("broker", f"{whose} is a Redis {version}", f"{needed} or newer is needed")
    if limit and policy != "noeviction":
        yield error(
            "broker",
            f"{whose} drops tasks when its memory is full ({policy})",
            "set its maxmemory-policy to noeviction",
        )
