"""``cyme-injector``: orders the runs of jobs, without a branch."""

from __future__ import annotations

from typing import Any

import click

from cyme_supd import __version__
from cyme_supd.cli.standalone import Standalone, run, standalone_command
from cyme_supd.clock import SystemClock
from cyme_supd.scheduler.injector import Injector
from cyme_supd.schedules.parsing import parse_schedule

PROGRAM = "cyme-injector"


@standalone_command(PROGRAM)
def command(**options: Any) -> None:
    """Order the runs of jobs that are due: as many of these as one likes at one database.

    Each branch has one in it, unless it was started --without-scheduler.
    """
    run(PROGRAM, options, inject)


def inject(what: Standalone) -> None:
    injector = Injector(what.store, parse_schedule, what.key, SystemClock(), what.name, what.broker)
    click.echo(f"{PROGRAM} {__version__}: {what.name}")
    injector.run(what.stop, lambda: None)


def main() -> None:
    command()


if __name__ == "__main__":
    main()
