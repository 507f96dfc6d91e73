"""``cyme jobs...``: what is run on a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import JSON, format_of, show
from cyme_supd.domain.job import job_id
from cyme_supd.errors import Invalid

_job = click.argument("id", metavar="ID|CATEGORY/NAME")
_file = click.argument("file", type=click.File("rb"))
LIMIT = click.option("--limit", type=click.IntRange(1), default=100, help="At most so many (100).")


@command("jobs", example="cyme jobs --category example -F table")
@click.option("--category", help="Of that category.")
@click.option("--due", is_flag=True, help="Those that are due first at the top.")
@LIMIT
def jobs(wanted: Wanted, category: str | None, due: bool, limit: int) -> None:
    """List the scheduled jobs, with when each is due and how it went last."""
    sort = "next_fire_at" if due else None
    show_those(
        wanted, wanted.client.jobs.find(category_name=category, sort=sort), limit, _job_in_short
    )


@command("jobs.get", example="cyme jobs.get 3af3717f-58d7-5035-adcd-909e0fd43b89 --next 10")
@_job
@click.option("--next", "count", type=click.IntRange(0), help="So many of its next fire times.")
def get(wanted: Wanted, id: str, count: int | None) -> None:
    """Show a job, its latest runs, and when it is due next."""
    show(wanted, wanted.client.jobs.get(_id(id), count))


@command("jobs.validate", example="cyme jobs.validate jobs.json")
@_file
def validate(wanted: Wanted, file: BinaryIO) -> None:
    """Look over a file of jobs; no branch is asked.

    FILE is JSON: a category as the interface takes it, or a list of such;
    conf/jobs.schema.json describes it.
    """
    show(wanted, {name: len(each) for name, each in _read(file).items()})


@command("jobs.apply", example="cyme jobs.apply jobs.json")
@_file
@click.option("--force", is_flag=True, help="Whether or not all branches say what they have.")
def apply(wanted: Wanted, file: BinaryIO, force: bool) -> None:
    """Have each category in a file consist of the jobs it has there.

    What is not there any more is removed from its category; other categories
    stay as they are. Nothing is sent of a file in which anything is wrong.
    """
    read = _read(file)
    show(wanted, {name: _applied(wanted, name, each, force) for name, each in read.items()})


@command("jobs.pause", example="cyme jobs.pause 3af3717f-58d7-5035-adcd-909e0fd43b89")
@_job
def pause(wanted: Wanted, id: str) -> None:
    """Hold a job until somebody resumes it."""
    show(wanted, _job_in_short(wanted.client.jobs.pause(_id(id))))


@command("jobs.resume", example="cyme jobs.resume 3af3717f-58d7-5035-adcd-909e0fd43b89")
@_job
def resume(wanted: Wanted, id: str) -> None:
    """Have a job go on, from its next fire time on."""
    show(wanted, _job_in_short(wanted.client.jobs.resume(_id(id))))


@command("jobs.run", example="cyme jobs.run example/backup")
@_job
def run(wanted: Wanted, id: str) -> None:
    """Run a job once, now, whatever its schedule says."""
    show(wanted, wanted.client.jobs.run_now(_id(id)))


@command("jobs.troubles", example="cyme jobs.troubles -F table")
def troubles(wanted: Wanted) -> None:
    """List the jobs that should have run and did not, and those that failed."""
    show(wanted, wanted.client.jobs.troubles())


def _id(word: str) -> str:
    """Of a job that is said by its id, or as CATEGORY/NAME."""
    category, slash, name = word.partition("/")
    return job_id(category, name) if slash else word


def _read(file: BinaryIO) -> dict[str, list[Any]]:
    # What reads schedules takes longer to import than most commands run.
    from cyme_supd.cli.jobfile import read_file

    try:
        return read_file(file.read())
    except UnicodeDecodeError:
        raise Invalid("the file is not UTF-8") from None


def _applied(wanted: Wanted, name: str, jobs: list[Any], force: bool) -> dict[str, Any]:
    made = wanted.client.jobs.apply(name, jobs, force)
    return {key: made[key] for key in ("added", "changed", "removed")}


def show_those(wanted: Wanted, found: Iterator[Any], limit: int, in_short: Any) -> None:
    those = list(islice(found, limit))
    show(wanted, those if format_of(wanted) == JSON else [in_short(each) for each in those])


def _job_in_short(job: Mapping[str, Any]) -> dict[str, Any]:
    last = job["runs"][0] if job["runs"] else {}
    return {
        "id": job["id"],
        "category": job["category_name"],
        "name": job["name"],
        "schedule": job["schedule"],
        "paused": job["paused"],
        "next": job["next_fire_at"],
        "last": last.get("status"),
    }


COMMANDS = (jobs, get, validate, apply, run, pause, resume, troubles)
