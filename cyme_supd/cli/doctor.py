"""``cyme doctor``: what is wrong with the branch on this host, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import command
from cyme_supd.cli.output import PRETTY, format_of, harmless, show
from cyme_supd.domain.findings import Finding, Level, has_errors
from cyme_supd.errors import Internal

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@command("doctor", example="cyme doctor -D /var/lib/cyme")
def doctor(wanted: Wanted) -> int:
    """Look over the branch on this host, whether it runs or not.

    Its root directory of -D, rights, disk, store, brokers, supervisord and its
    extension, versions, clock, and what was left over: each in a few seconds. Nothing
    is changed. The exit code is 1 where there is an error.
    """
    # The store, brokers and supervisord: no other command needs all of them.
    from cyme_supd.cli.rounds import examine

    findings = examine(wanted.instance_dir)
    if format_of(wanted) == PRETTY:
        _print(findings)
    else:
        show(wanted, [each.as_dict() for each in findings])
    return Internal.exit if has_errors(findings) else 0


def _print(findings: Sequence[Finding]) -> None:
    """A line each, and one below it for what to do."""
    wide, long = (max(map(len, words)) for words in (Level, [each.what for each in findings]))
    for each in findings:
        level = click.style(f"{each.level:<{wide}}", fg=_COLORS[each.level])
        click.echo(f"{level}  {each.what:<{long}}  {harmless(each.message)}")
        if each.hint:
            click.echo(f"{'':<{wide + long + 4}}-> {harmless(each.hint)}")


COMMANDS = (doctor,)
