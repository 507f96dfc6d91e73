"""How ``cyme`` and its commands read their words: shared options, examples, suggestions."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from cyme_supd.cli import completion
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.output import FORMATS
from cyme_supd.config import DEFAULT_ROOT, LOGLEVELS

#: What a shell that completes says in its environment.
COMPLETE = "_CYME_COMPLETE"
#: Of the shared options' parameters: a command may have an argument of the same name.
_PREFIX = "wanted_"

Decorator = Callable[[Callable[..., Any]], click.Command]

#: Hands a command what is wanted, as its first argument.
pass_wanted = click.make_pass_decorator(Wanted, ensure=True)


class Command(click.Command):
    """One that shows an example, and takes the options of ``cyme`` among its own."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epilog = f"\b\nExample:\n  {example}"
        self.example = example
        own = {opt for each in self.params for opt in each.opts}
        self.params += [one for one in shared(hidden=True) if own.isdisjoint(one.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        set_up_logging(ctx.ensure_object(Wanted))
        return super().invoke(ctx)


class Cyme(click.Group):
    """A group whose commands have dots in their names, and which knows the nearest."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            raise click.UsageError(self._unknown(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def _unknown(self, word: str) -> str:
        close = difflib.get_close_matches(word, self.commands, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "cyme --help lists them"
        return f"there is no command {word!r}: {hint}"


def command(name: str, example: str) -> Decorator:
    """A command *name*; its function is called with what is wanted first."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=Command, example=example)(pass_wanted(function))
        assert isinstance(made, click.Command)
        return made

    return decorate


def shared(hidden: bool = False) -> list[click.Option]:
    """The options of ``cyme``; *hidden* in the help of what also takes them."""
    return [_option(words, hidden, **settings) for words, settings in _SHARED.items()]


def _option(words: str, hidden: bool, **settings: Any) -> click.Option:
    if hidden:
        # The environment is read once, and does not win over what is typed.
        settings.pop("envvar", None)
    return click.Option(
        [_PREFIX + words.split("--")[1].replace("-", "_"), *words.split()],
        hidden=hidden,
        expose_value=False,
        callback=_keep,
        **settings,
    )


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """What is said later counts: of ``cyme`` itself first, then of the command."""
    wanted = context.ensure_object(Wanted)
    if value and parameter.name:
        setattr(wanted, parameter.name.removeprefix(_PREFIX), value)


def _apps(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    return completion.items(ctx, begun, lambda wanted: wanted.names())


_SHARED: dict[str, dict[str, Any]] = {
    "-a --app": {
        "envvar": "CYME_APP",
        "help": "The app, for instances, queues and consumers.",
        "shell_complete": _apps,
    },
    "-n --nowait": {"is_flag": True, "help": "Return when it is stored, not when it is so."},
    "-F --format": {
        "type": click.Choice(FORMATS),
        "help": "How to show it: pretty on a terminal, else json.",
    },
    "-L --local": {
        "is_flag": True,
        "help": "Ask the store of the branch on this host, which need not run.",
    },
    "-D --instance-dir": {
        "envvar": "CYME_INSTANCE_DIR",
        "help": f"Root directory of that branch.  [default: {DEFAULT_ROOT}]",
    },
    "-u --url": {"help": "URL of a branch; else $CYME_URL, or http://127.0.0.1:8000."},
    "-b --broker": {"help": "URL of a broker, for what is added and names none."},
    "-l --loglevel": {
        "type": click.Choice(LOGLEVELS, case_sensitive=False),
        "help": "What the command itself logs.  [default: WARNING]",
    },
    "-f --logfile": {"type": click.Path(), "help": "Log there instead of to stderr."},
}


def set_up_logging(wanted: Wanted) -> None:
    logging.basicConfig(
        level=wanted.loglevel.upper(),
        filename=wanted.logfile,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
