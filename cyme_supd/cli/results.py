"""``cyme-results``: hears of the runs of jobs, without a branch."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

import click

from cyme_supd import __version__
from cyme_supd.cli.standalone import Standalone, run, standalone_command
from cyme_supd.clock import SystemClock
from cyme_supd.scheduler.answerer import Answerer

PROGRAM = "cyme-results"


@standalone_command(PROGRAM)
def command(**options: Any) -> None:
    """Grant runs to runners, and store what these tell of them: as many as one likes.

    Each branch does that, too, unless it was started --without-scheduler.
    """
    run(PROGRAM, options, answer)


def answer(what: Standalone) -> None:
    # Nobody else has this name, nor takes over what it had: others do, in a while.
    own = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    answerer = Answerer(what.store, what.key, own, what.broker, SystemClock(), _ignore, _ignore)
    click.echo(f"{PROGRAM} {__version__}: {what.name}")
    answerer.run(what.stop, lambda: None)


def _ignore(name: str) -> None:
    """Its threads are watched by nobody: it ends, and is started again, by whoever runs it."""


def main() -> None:
    command()


if __name__ == "__main__":
    main()
