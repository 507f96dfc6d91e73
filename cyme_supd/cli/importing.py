"""``cyme import-supervisor``: workers of hand-written sections, as instances."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import show
from cyme_supd.client.calls import segment
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.importing import Planned, check, plan, runs_celery
from cyme_supd.domain.naming import check_name
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound

_MAKES_APP = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)*Celery\(", re.MULTILINE)


@dataclass
class Found:
    """What one section came to: instances of *app*, or the reason why not."""

    section: str
    app: str = ""
    planned: list[Planned] = field(default_factory=list)
    refused: str = ""
    made: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        if self.refused:
            made = _given(made=self.made, there=self.there)
            return {"section": self.section, "refused": self.refused, **made}
        first = self.planned[0]
        shown: dict[str, Any] = {
            "section": self.section,
            "app": {"name": self.app, **first.app},
            "instances": [{"name": each.name, **each.instance} for each in self.planned],
            "notes": list(first.notes),
        }
        return {**shown, **_given(made=self.made, there=self.there)}


@command("import-supervisor", "cyme -b amqp://rabbit/ import-supervisor celery.conf")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--apply", "is_applied", is_flag=True, help="Make them, too.")
def import_supervisor(wanted: Wanted, file: Path, is_applied: bool) -> int:
    """Show which instances do what the celery sections of FILE do.

    Section by section; one that Cyme cannot keep is refused with the reason, and
    the exit code tells that there are such. With --apply they are made: stop and
    remove the sections first, or both will run. Nothing is made twice.
    """
    found = list(read(file, wanted.broker))
    if is_applied:
        for each in found:
            _apply(wanted, each)
    show(wanted, [each.shown() for each in found])
    return Conflict.exit if any(each.refused for each in found) else 0


def read(file: Path, broker: str | None) -> Iterator[Found]:
    """What each section that runs Celery comes to; no other is spoken of."""
    # Loads supervisor, which no other command needs.
    from cyme_supd.supervisord.handwritten import read as sections

    apps: dict[str, Mapping[str, Any]] = {}
    for section, programs in sections(file):
        found = Found(section)
        if isinstance(programs, Invalid):
            found.refused = str(programs)
        elif not any(runs_celery(each) for each in programs):
            continue
        else:
            _plan(found, programs, broker, apps)
        yield found


def _plan(
    found: Found, programs: list[Any], broker: str | None, apps: dict[str, Mapping[str, Any]]
) -> None:
    try:
        found.planned = [plan(each, os.cpu_count() or 1, locate) for each in programs]
        for index, each in enumerate(found.planned):
            check_name("instance", each.name)
            if "broker" not in each.app:
                found.planned[index] = _at(broker, each)
            check(found.planned[index])
        found.app = _named(apps, found.planned[0])
    except CymeError as exc:
        found.refused, found.planned = str(exc), []


def _at(broker: str | None, planned: Planned) -> Planned:
    if broker is None:
        raise Invalid(
            "it does not say its broker, which its own settings may",
            "name it: cyme -b URL import-supervisor ...",
        )
    return replace(planned, app={**planned.app, "broker": broker})


def _named(apps: dict[str, Mapping[str, Any]], planned: Planned) -> str:
    """One app for all that have the same parameters, by its module's name."""
    base = str(planned.app["celery_app"]).partition(":")[0].partition(".")[0]
    number = 1
    name = base
    while apps.setdefault(name, planned.app) != planned.app:
        number += 1
        name = f"{base}-{number}"
    return name


def locate(name: str, directory: str | None) -> str:
    """``module:attribute`` for what Celery finds by *name* in *directory*."""
    if ":" in name:
        return name
    base = Path(directory or ".").joinpath(*name.split("."))
    for module, path in (
        (f"{name}.celery", base / "celery.py"),
        (name, base.with_name(f"{base.name}.py")),
        (name, base / "__init__.py"),
    ):
        made = _MAKES_APP.search(path.read_text("utf-8")) if path.is_file() else None
        if made is not None:
            return f"{module}:{made[1]}"
    raise Invalid(
        f"there is no application called {name!r} in {directory or 'this folder'}",
        "say -A module:attribute",
    )


# Making them


def _apply(wanted: Wanted, found: Found) -> None:
    if found.refused:
        return
    refused: list[str] = []
    try:
        _make_app(wanted, found.app, found.planned[0])
        for each in found.planned:
            # One that is another says nothing against the rest.
            with _collected(refused, Conflict):
                _make(wanted, found, each)
    except CymeError as exc:
        refused.append(str(exc))
    found.refused = "; ".join(refused)


@contextmanager
def _collected(refused: list[str], kind: type[CymeError]) -> Iterator[None]:
    try:
        yield
    except kind as exc:
        refused.append(str(exc))


def _make_app(wanted: Wanted, name: str, planned: Planned) -> None:
    there = _there(wanted, f"/{name}/")
    if there is None:
        wanted.client.request("PUT", f"/{name}/", **planned.app)
    else:
        _check_same(f"app {name!r}", planned.app, there)
    known = wanted.client.request("GET", f"/{name}/queues/")
    for queue in planned.queues:
        if queue not in known:
            wanted.client.request("PUT", f"/{name}/queues/{segment('queue', queue)}/")


def _make(wanted: Wanted, found: Found, planned: Planned) -> None:
    path = f"/{found.app}/instances/{planned.name}/"
    there = _there(wanted, path)
    if there is not None:
        _check_same(f"instance {planned.name!r}", planned.instance, there)
        found.there.append(planned.name)
        return
    wanted.client.request("PUT", path, **planned.instance)
    found.made.append(planned.name)


def _there(wanted: Wanted, path: str) -> dict[str, Any] | None:
    """What is there, with its passwords: whether they are the same is to be known."""
    try:
        return dict(wanted.client.request("GET", path, secrets=True))
    except NotFound:
        return None


def _check_same(what: str, planned: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Raise ``Conflict`` where it is not what is planned; without values, which may be secret."""
    differing = sorted(name for name in planned if _norm(planned, name) != _norm(there, name))
    if differing:
        raise Conflict(
            f"there is another {what}: it differs in {', '.join(differing)}",
            "edit or delete that one first",
        )


def _norm(values: Mapping[str, Any], name: str) -> Any:
    """A broker is its URL, with what is left out of one filled in; queues have no order."""
    value = values.get(name)
    if name == "broker" and value is not None:
        return parse_broker(value if isinstance(value, str) else value["url"]).url
    return sorted(value) if name == "queues" and value is not None else value


def _given(**lists: list[str]) -> dict[str, list[str]]:
    return {name: each for name, each in lists.items() if each}


COMMANDS = (import_supervisor,)
