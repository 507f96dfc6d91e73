"""What somebody may say of a job, and what becomes of a category for which it is said. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cyme_supd.domain.job import DEFAULT_QUEUE, CatchUp, Job, Overlap, due_at
from cyme_supd.domain.naming import (
    DIRECT_PREFIX,
    check_app_name,
    check_name,
    check_queue_name,
    is_control,
    nearest,
)
from cyme_supd.domain.parameters import read_environment, read_user, within
from cyme_supd.domain.schedule import Schedule
from cyme_supd.domain.values import refuse_unstorable, shown
from cyme_supd.errors import Invalid

MAX_JOBS = 10_000
MAX_NAME = 128
MAX_COMMAND = 64 * 1024
MAX_ARGV = 1000
MAX_RETRIES = 10
MAX_SECONDS = 7 * 86400
MAX_JITTER_S = 86400

Parse = Callable[[str, str | None], Schedule]
#: Of one that is there already they are computed anew when one of these is another.
_DECIDE_WHEN = ("schedule", "timezone", "jitter_s", "is_paused")


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of the jobs of a category: each is in one of these."""

    added: tuple[Job, ...]
    #: As they were, and as they are to be.
    changed: tuple[tuple[Job, Job], ...]
    unchanged: tuple[Job, ...]
    removed: tuple[Job, ...]


def check_category(name: object) -> str:
    return check_name("category", name)


def read_jobs(given: Sequence[Any]) -> list[dict[str, Any]]:
    """Fields of a :class:`Job` of each of *given*; those that are absent are left out.

    Raises ``Invalid`` naming the job and the field.
    """
    if len(given) > MAX_JOBS:
        raise Invalid(f"jobs: more than {MAX_JOBS} in one category", "use several")
    read: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(given):
        fields = _named(index, entry, _job)
        if fields["name"] in read:
            raise Invalid(f"job {shown(fields['name'])}: name: it is there twice")
        read[fields["name"]] = fields
    return list(read.values())


def settle(
    category: str,
    stored: Iterable[Job],
    given: Sequence[Mapping[str, Any]],
    now: datetime,
    parse: Parse,
) -> Settled:
    """What becomes of the *stored* jobs of *category* where it is to have those *given*."""
    known = {job.name: job for job in stored}
    added, changed, unchanged = [], [], []
    for fields in given:
        before = known.pop(fields["name"], None)
        wanted = _wanted(category, before, fields, now)
        schedule = _checked(wanted, parse)
        if before is None:
            added.append(planned(wanted, schedule, now))
        elif wanted == before:
            unchanged.append(before)
        elif any(getattr(wanted, name) != getattr(before, name) for name in _DECIDE_WHEN):
            changed.append((before, planned(wanted, schedule, now)))
        else:
            changed.append((before, wanted))
    return Settled(tuple(added), tuple(changed), tuple(unchanged), tuple(known.values()))


def planned(job: Job, schedule: Schedule, now: datetime) -> Job:
    """*job*, due at its first fire time after *now*."""
    fire_at = None if job.is_paused else schedule.after(now)
    return replace(job, next_fire_at=fire_at, due_at=due_at(job, fire_at))


def _wanted(category: str, before: Job | None, fields: Mapping[str, Any], now: datetime) -> Job:
    if before is None:
        return Job(category=category, created_at=now, **fields)
    # Somebody may hold it meanwhile, whom the list does not know of.
    kept = {"is_paused": before.is_paused, **fields}
    return Job(
        category=category,
        created_at=before.created_at,
        next_fire_at=before.next_fire_at,
        due_at=before.due_at,
        **kept,
    )


def _checked(job: Job, parse: Parse) -> Schedule:
    try:
        return parse(job.schedule, job.timezone)
    except Invalid as exc:
        raise Invalid(f"job {shown(job.name)}: {exc.message}", exc.hint) from None


# What is sent ----------------------------------------------------------


def _named(index: int, entry: Any, read: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Of what is wrong with *entry*, whose it is: by its name, or its place in the list."""
    try:
        return read(entry)
    except Invalid as exc:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        whose = f"job {shown(name)}" if name and isinstance(name, str) else f"jobs[{index}]"
        raise Invalid(f"{whose}: {exc.message}", exc.hint) from None


def _job(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise Invalid("no object", 'send {"name": "...", "schedule": "...", "command": "..."}')
    for name in entry:
        if name not in FIELDS:
            raise Invalid(f"unknown field {shown(name)}", nearest(name[:60], FIELDS))
    refuse_unstorable(entry)
    # What is empty has its default, as what is absent.
    said = {name: value for name, value in entry.items() if value not in (None, "", [], {})}
    for name in ("name", "schedule"):
        if name not in said:
            raise Invalid(f"{name}: it is missing")
    if ("command" in said) == ("argv" in said):
        raise Invalid("command: exactly one of command and argv is needed")
    fields = {name: FIELDS[name](name, value) for name, value in said.items()}
    if "paused" in fields:
        fields["is_paused"] = fields.pop("paused")
    return fields


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or len(value.encode()) > 255:
        raise Invalid(f"{name}: 1-{MAX_NAME} characters, at most 255 bytes")
    if any(is_control(char) for char in value) or value != value.strip():
        raise Invalid(f"{name}: a control character in it, or a space at an end of it")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name}: a string")
    return value


def _command(name: str, value: Any) -> str:
    if not _text(name, value).strip():
        raise Invalid(f"{name}: there is nothing in it")
    if len(value) > MAX_COMMAND:
        raise Invalid(f"{name}: longer than {MAX_COMMAND} characters", "put it into a file")
    return str(value)


def _argv(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Invalid(f"{name}: a list of strings")
    if len(value) > MAX_ARGV or sum(map(len, value)) > MAX_COMMAND:
        raise Invalid(f"{name}: more than {MAX_ARGV} words or {MAX_COMMAND} characters")
    if not value[0].strip():
        raise Invalid(f"{name}: its first word is the program")
    return tuple(value)


def _routing_key(name: str, value: Any) -> str:
    if check_queue_name("queue", value).startswith(DIRECT_PREFIX):
        raise Invalid(f"{name}: {shown(value)} is an instance's own queue", DEFAULT_QUEUE)
    return str(value)


def _app(name: str, value: Any) -> str:
    return check_app_name(value)


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in known:
            raise Invalid(f"{name}: one of {', '.join(known)}")
        return str(value)

    return read


def _environment(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{name}: an object of strings")
    return read_environment(name, value)


def _user(name: str, value: Any) -> str:
    return read_user(name, _text(name, value))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{name}: true or false")
    return value


#: By name, what a job may have.
FIELDS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": _name,
    "schedule": _text,
    "command": _command,
    "argv": _argv,
    "routing_key": _routing_key,
    "app": _app,
    "timezone": _text,
    "timeout_s": within(1, MAX_SECONDS),
    "overlap": _one_of(*Overlap),
    "catch_up": _one_of(*CatchUp),
    "deadline_s": within(1, MAX_SECONDS),
    "retries": within(0, MAX_RETRIES),
    "jitter_s": within(0, MAX_JITTER_S),
    "environment": _environment,
    "user": _user,
    "paused": _flag,
}
