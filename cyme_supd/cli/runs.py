"""``cyme runs...`` and ``prune``: what became of jobs, and what they printed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.jobs import LIMIT, show_those
from cyme_supd.cli.output import harmless, show, show_text
from cyme_supd.domain.job import RunStatus
from cyme_supd.errors import Invalid

_run = click.argument("id")


@command("runs", example="cyme runs --status failed,lost -F table")
@click.option("--job", "job_id", help="Of the job with that id.")
@click.option("--category", help="Of that category.")
@click.option("--status", help=f"Of these, with commas: {', '.join(RunStatus)}.")
@click.option("--since", help="Of fire times not before that: ISO 8601, in UTC.")
@click.option("--before", help="Of fire times before that.")
@LIMIT
def runs(wanted: Wanted, limit: int, category: str | None, **given: str | None) -> None:
    """List runs, the latest first."""
    found = wanted.client.jobs.runs(category_name=category, **given)
    show_those(wanted, found, limit, _in_short)


@command("runs.get", example="cyme runs.get 018bcfe5-6800-7000-8000-000000000000")
@_run
def get(wanted: Wanted, id: str) -> None:
    """Show a run and what happened to it."""
    show(wanted, wanted.client.jobs.run(id))


@command("runs.output", example="cyme runs.output 018bcfe5-6800-7000-8000-000000000000 -f")
@_run
@click.option("--bytes", type=click.IntRange(1, 1024 * 1024), help="How much of the end (16384).")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
def output(wanted: Wanted, id: str, bytes: int | None, follow: bool) -> None:
    """Show the end of what a run has printed; with -f what it prints."""
    jobs = wanted.client.jobs
    if not follow:
        show_text(wanted, jobs.output(id, size=bytes))
        return
    for text in jobs.follow(id, size=bytes):
        click.echo(harmless(text) if sys.stdout.isatty() else text, nl=False)


@command("runs.cancel", example="cyme runs.cancel 018bcfe5-6800-7000-8000-000000000000")
@_run
def cancel(wanted: Wanted, id: str) -> None:
    """End a run: at once, or as soon as its runner has."""
    show(wanted, _in_short(wanted.client.jobs.cancel(id)))


@command("prune", example="cyme prune --runs --older 90d")
@click.option(
    "--runs", "of_runs", is_flag=True, help="Runs of jobs, which is all there is to prune."
)
@click.option("--keep", type=click.IntRange(0), help="All but the latest so many of each job.")
@click.option("--older", help="Those of fire times longer ago: 90d, 36h, 30m.")
def prune(wanted: Wanted, of_runs: bool, keep: int | None, older: str | None) -> None:
    """Forget what is old, now; a branch does so by itself, by --runs-keep and --runs-expire."""
    if not of_runs:
        raise Invalid("what is to be forgotten?", "say --runs")
    if keep is None and older is None:
        raise Invalid("--keep or --older is needed", "as --keep 100, or --older 90d")
    show(wanted, {"runs": wanted.client.jobs.prune(keep, older)})


def _in_short(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": run["id"],
        "category": run["category_name"],
        "job": run["job_name"],
        "fire_at": run["fire_at"],
        "status": run["status"],
        "exit_code": run["exit_code"],
        "host": run["host"],
    }


COMMANDS = (runs, get, output, cancel, prune)
