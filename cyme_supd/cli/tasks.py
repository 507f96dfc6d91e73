"""``cyme tasks...``: the record of tasks of applications that are tracked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.jobs import LIMIT, show_those
from cyme_supd.cli.output import show
from cyme_supd.errors import Invalid

_task = click.argument("id")


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which tasks are wanted; those of the application given with -a."""
    options = (
        click.option("--name", help="Of that name, as mail.send."),
        click.option("--state", help="In that state, as FAILURE; LOST are those thought lost."),
        click.option("--worker", help="Of that worker, as w1@b1."),
        click.option("--queue", help="Of that queue."),
        click.option("--error", help="That failed with an exception of that name."),
        click.option("--since", help="That began not before that: ISO 8601, in UTC."),
        click.option("--until", help="That began before that."),
        click.option("--with", "q", help="With that text in their arguments."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command("tasks", example="cyme tasks --state FAILURE --since 2026-01-31T08:00 -F table")
@_filters
@LIMIT
def tasks(wanted: Wanted, limit: int, **given: str | None) -> None:
    """List the tasks on record, those that began last first."""
    show_those(wanted, wanted.client.tracked.find(**_of(wanted, given)), limit, _in_short)


@command("tasks.get", example="cyme tasks.get 018bcfe5-6800-7000-8000-000000000000")
@_task
def get(wanted: Wanted, id: str) -> None:
    """Show a task, what became of it, and its children."""
    show(wanted, wanted.client.tracked.get(id))


@command("tasks.gaps", example="cyme -a shop tasks.gaps -F table")
def gaps(wanted: Wanted) -> None:
    """List the spans in which something was away that would have told of tasks."""
    show(wanted, wanted.client.tracked.gaps(app=wanted.app))


@command("tasks.errors", example="cyme tasks.errors --since 2026-01-31T08:00 -F table")
@_filters
def errors(wanted: Wanted, **given: str | None) -> None:
    """Count failed tasks by the kind of exception; LAST is the latest of them."""
    show(wanted, wanted.client.tracked.errors(**_of(wanted, given)))


@command("tasks.refusals", example="cyme -a shop tasks.refusals -F table")
@LIMIT
def refusals(wanted: Wanted, limit: int) -> None:
    """List messages in the platform queue that are not recorded as tasks."""
    show(wanted, wanted.client.tracked.refusals(wanted.app, limit))


@command("tasks.export", example="cyme tasks.export --state FAILURE >failed.jsonl")
@_filters
def export(wanted: Wanted, **given: str | None) -> None:
    """Print all that is known of each task: a JSON object a line."""
    for each in wanted.client.tracked.export(**_of(wanted, given)):
        click.echo(json.dumps(each, ensure_ascii=False))


@command("tasks.retry", example="cyme tasks.retry --error SMTPError --since 2026-01-31 --dry-run")
@click.argument("id", required=False)
@_filters
@click.option("--force", is_flag=True, help="Whatever became of other retries of it; of one alone.")
@click.option("--dry-run", is_flag=True, help="Say how many there would be; of many alone.")
def retry(wanted: Wanted, id: str | None, force: bool, dry_run: bool, **given: str | None) -> None:
    """Send a task again as a new one, or all that match."""
    filters = _of(wanted, given)
    if id is not None:
        if dry_run or any(each is not None for each in given.values()):
            raise Invalid("an id and a filter", "say the one or the other")
        show(wanted, {"id": wanted.client.tracked.retry(id, force)})
        return
    if force:
        raise Invalid("--force is for one task", "say which, by its id")
    show(wanted, wanted.client.tracked.retry_all(dry_run, **filters))


@command("tasks.revoke", example="cyme tasks.revoke 018bcfe5-6800-7000-8000-000000000000")
@_task
@click.option("--terminate", is_flag=True, help="Kill the process that runs it, too.")
def revoke(wanted: Wanted, id: str, terminate: bool) -> None:
    """Have all workers leave a task out."""
    wanted.client.tracked.revoke(id, terminate)
    show(wanted, {"ok": "ok"})


def _of(wanted: Wanted, given: Mapping[str, str | None]) -> dict[str, str | None]:
    return {"app": wanted.app, **given}


def _in_short(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": task["id"],
        "name": task["name"],
        "state": "LOST" if task["lost"] else task["state"],
        "began_at": task["began_at"],
        "queue": task["queue"],
        "worker": task["worker"],
        "error": task["error"],
    }


COMMANDS = (tasks, get, gaps, errors, refusals, export, retry, revoke)
