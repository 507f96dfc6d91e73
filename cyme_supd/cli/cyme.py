"""``cyme``: manages applications, their workers and queues, from a terminal or a script."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from cyme_supd import __version__
from cyme_supd.cli import (
    access,
    apps,
    doctor,
    fleet,
    importing,
    instances,
    jobs,
    queues,
    runs,
    shell,
    tasks,
)
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import COMPLETE, Cyme, pass_wanted, shared
from cyme_supd.errors import CymeError, Internal

INTERRUPTED = 128 + signal.SIGINT
NOBODY_READS = 128 + signal.SIGPIPE

#: Every command, in the order of its help; whoever has more adds them here.
COMMANDS = (
    *apps.COMMANDS,
    *instances.COMMANDS,
    *queues.COMMANDS,
    *jobs.COMMANDS,
    *runs.COMMANDS,
    *tasks.COMMANDS,
    *fleet.COMMANDS,
    *access.COMMANDS,
    *importing.COMMANDS,
    *doctor.COMMANDS,
    *shell.COMMANDS,
)


@click.group(
    cls=Cyme,
    params=[*shared()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  cyme apps.add shop\n  cyme -a shop instances.add w1",
)
@click.version_option(__version__, prog_name="cyme")
@pass_wanted
def cyme(wanted: Wanted) -> None:
    """Manage the workers that branches of Cyme keep.

    The options here may also stand after a command. Who asks is said by the
    token in $CYME_TOKEN. `cyme COMMAND --help` tells of each.
    """


for _each in COMMANDS:
    cyme.add_command(_each)


def run(words: Sequence[str] | None = None) -> int:
    """What ``cyme`` with these *words* exits with; errors are one line each."""
    warnings.showwarning = _warn  # type: ignore[assignment]
    _make_streams_ready()
    try:
        code = _obey(list(sys.argv[1:] if words is None else words))
        sys.stdout.flush()
        return code
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except click.ClickException as exc:
        return _fail(exc.format_message(), exc.exit_code)
    except CymeError as exc:
        return _fail(str(exc), exc.exit)
    except OSError as exc:
        return _failed_output(exc)


def _make_streams_ready() -> None:
    # Of one that was closed before the start there is no file; its number would
    # be the next one's that is opened, such as the database.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        # Names are of any alphabet, and terminals may have just one.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _obey(words: list[str]) -> int:
    """As click's own ``main``, which would decide by itself how errors look."""
    if asked := os.environ.get(COMPLETE):
        return shell_complete(cyme, {}, "cyme", COMPLETE, asked)
    try:
        with cyme.make_context("cyme", words or ["--help"]) as context:
            code = cyme.invoke(context)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    # Of a command that has done its work and found something wrong.
    return code if isinstance(code, int) else 0


def _failed_output(exc: OSError) -> int:
    """A pipe that nobody reads is no error; a disk that is full is."""
    # What is still to be written would fail once more as Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if exc.errno == errno.EPIPE:
        return NOBODY_READS
    return _fail(f"{exc.filename or 'standard output'}: {exc.strerror}", Internal.exit)


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    click.echo(f"cyme: {line}", err=True)
    return code


def _warn(message: Warning | str, *_: object) -> None:
    click.echo(f"cyme: warning: {message}", err=True)


def main() -> NoReturn:
    sys.exit(run())


if __name__ == "__main__":
    main()
