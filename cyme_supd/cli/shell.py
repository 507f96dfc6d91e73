"""``cyme shell`` and ``cyme completion``: for those who type a lot."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.base import COMPLETE, command

SHELLS = ("bash", "zsh", "fish")


@command("shell", example="cyme shell")
def shell(wanted: Wanted) -> None:
    """Python with client, store and config at hand; the last two of the branch of -D."""
    # Its editing of lines and its completion, which no other command needs.
    from cyme_supd.cli.console import interact

    interact(wanted)


@command("completion", example='eval "$(cyme completion bash)"')
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, wanted: Wanted, shell: str) -> None:
    """Print what has a shell complete the words of cyme; see the example."""
    made = get_completion_class(shell)
    assert made is not None
    root = context.find_root()
    click.echo(made(root.command, {}, "cyme", COMPLETE).source())


COMMANDS = (shell, completion)
