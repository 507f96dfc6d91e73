"""``cyme branches...`` and ``...-all``: what is about all of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cyme_supd.cli import completion, progress
from cyme_supd.cli.asking import APPS, BRANCHES, Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import JSON, cell, format_of, show, show_list
from cyme_supd.errors import Invalid

#: Of what is written down; where it is from would take too long to import.
_KINDS = ("app", "queue", "instance", "branch", "user", "token", "job", "run", "task")

_branch = click.argument(
    "id", shell_complete=completion.names(lambda wanted: wanted.names(*BRANCHES))
)
_yes = click.option("--yes", is_flag=True, help="Of the whole fleet, without a question.")
AUDIT = ("api", "audit")
_COLUMNS = ("id", "url", "version", "is_live", "instances", "load_average", "disk_use")


@command("branches", example="cyme branches -F table")
def branches(wanted: Wanted) -> None:
    """List the branches that live; as a table with how each is doing."""
    names = wanted.names(*BRANCHES)
    show_list(wanted, names, lambda id: wanted.read(BRANCHES, id), _COLUMNS)


@command("branches.get", example="cyme branches.get branch1")
@_branch
def get(wanted: Wanted, id: str) -> None:
    """Show what a branch says of itself and its host."""
    show(wanted, wanted.read(BRANCHES, id))


@command("branches.drain", example="cyme branches.drain branch1 --move")
@_branch
@click.option("--move", is_flag=True, help="Move its instances elsewhere, one by one.")
def drain(wanted: Wanted, id: str, move: bool) -> None:
    """Give a branch no new instances."""
    show(wanted, wanted.change("POST", BRANCHES, id, "drain", move=move or None))


@command("branches.undrain", example="cyme branches.undrain branch1")
@_branch
def undrain(wanted: Wanted, id: str) -> None:
    """Let a branch have new instances again."""
    show(wanted, wanted.change("POST", BRANCHES, id, "undrain"))


@command("audit", example="cyme audit --since 2026-01-31T08:00 -F table")
@click.option("--since", help="Not before that time: ISO 8601, in UTC.")
@click.option("--before", help="Before that time.")
@click.option("--actor", help="Of that user.")
@click.option("--kind", type=click.Choice(_KINDS))
@click.option("--name", help="Of what is called so.")
@click.option("-q", "--text", "q", help="With that text anywhere in it.")
@click.option("--limit", type=click.IntRange(1, 1000), help="So many at most; else 100.")
def audit(wanted: Wanted, **filters: Any) -> None:
    """Show who changed what, the newest first; of the app that -a names."""
    found = wanted.read(AUDIT, app=wanted.app, **filters)["data"]["events"]
    show(wanted, found if format_of(wanted) == JSON else [_in_short(one) for one in found])


def _in_short(event: Mapping[str, Any]) -> dict[str, str]:
    place = event["name"] if event["name"] == event["app"] else f"{event['app']}/{event['name']}"
    return {
        "at": event["at"][:19],
        "who": event["actor"] or event["address"] or event["branch"],
        "what": f"{event['verb']} {event['kind']} {place.lstrip('/')}",
        "change": _change(event["before"] or {}, event["after"] or {}),
    }


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What was edited, from what to what; of what is new or gone its name says all."""
    if "action" in after:
        return f"{after['action']}: {after['reason']}"
    both = sorted(before.keys() & after.keys())
    return ", ".join(f"{each}: {cell(before[each])} -> {cell(after[each])}" for each in both)


@command("start-all", example="cyme -a shop start-all")
@_yes
def start_all(wanted: Wanted, yes: bool) -> None:
    """Have all instances run: of an app, of this branch with -L, or of the fleet."""
    apps = _apps(wanted, "Start", yes)
    progress.conclude(wanted, [progress.each(wanted, "start", apps, "enable")])


@command("restart-all", example="cyme -a shop restart-all")
@_yes
def restart_all(wanted: Wanted, yes: bool) -> None:
    """Restart all instances, one after another: of an app, or of the fleet.

    With -L those of this branch, all at once.
    """
    apps = _apps(wanted, "Restart", yes)
    if wanted.nowait and not wanted.local:
        show(wanted, {app: wanted.change("POST", APPS, app, "restart") for app in apps})
    elif wanted.local:
        progress.conclude(wanted, [progress.each(wanted, "restart", apps, "restart")])
    else:
        progress.conclude(wanted, [progress.restart(wanted, app) for app in apps])


@command("shutdown-all", example="cyme shutdown-all --yes")
@_yes
def shutdown_all(wanted: Wanted, yes: bool) -> None:
    """Have all instances stopped, and stay so: of an app, of this branch, or of the fleet."""
    apps = _apps(wanted, "Stop", yes)
    progress.conclude(wanted, [progress.each(wanted, "stop", apps, "disable")])


def _apps(wanted: Wanted, verb: str, is_sure: bool) -> list[str]:
    """Whose instances; those of all are asked about first."""
    if wanted.app:
        return [wanted.app]
    if not (wanted.local or is_sure):
        if not sys.stdin.isatty():
            raise Invalid("this is about the whole fleet", "say --yes, or name an app with -a")
        click.confirm(f"{verb} all instances of all apps, on all branches?", abort=True, err=True)
    return wanted.names()


COMMANDS = (branches, get, drain, undrain, audit, start_all, restart_all, shutdown_all)
