"""``cyme-monitor``: keeps the record of tasks, without a branch."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import click

from cyme_supd import __version__
from cyme_supd.branch.beats import Beats
from cyme_supd.branch.monitoring import Kept, monitor_of
from cyme_supd.cli.recording import record_options
from cyme_supd.cli.standalone import Standalone, run, standalone_command
from cyme_supd.clock import SystemClock
from cyme_supd.domain.taskmessage import redaction
from cyme_supd.domain.tracking import parse_keep

PROGRAM = "cyme-monitor"
STUCK_EVERY_S = 5.0


@standalone_command(PROGRAM, needs_key=False, more=record_options)
def command(**options: Any) -> None:
    """Record the tasks of applications that are tracked: each such process has its own --name.

    Each branch does so by itself, unless it was started --without-monitor.
    """
    run(PROGRAM, options, partial(record, options))


def record(options: dict[str, Any], what: Standalone) -> None:
    kept = Kept(
        redaction(options["redact"], options["redact_task"]),
        parse_keep(options["keep_tasks"]),
        options["lost_after"],
    )
    beats = Beats(SystemClock())
    monitor = monitor_of(what.store, what.broker, what.name, kept, beats)
    monitor.start()
    click.echo(f"{PROGRAM} {__version__}: {what.name}")
    while not what.stop.wait(STUCK_EVERY_S):
        if stuck := beats.stuck():
            click.echo(f"{PROGRAM}: no progress in {', '.join(stuck)}: ending", err=True)
            # A thread that is stuck would not let it end.
            os._exit(os.EX_SOFTWARE)
    monitor.stop()


def main() -> None:
    command()


if __name__ == "__main__":
    main()
