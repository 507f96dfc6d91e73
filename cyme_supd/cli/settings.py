"""The layers below a command's flags: environment and file."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from typing import Any

import click

from cyme_supd.domain.naming import nearest

SECTION = "cyme-branch"


def read_file(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """A callback: the options in the INI file at *path* become defaults.

    The names are those of the long options; one that is misspelt is an
    error that suggests the right one.
    """
    if path is None:
        return
    values = _values(path)
    known = _options(context.command)
    for name in values.keys() - known.keys():
        message = f"{path}: there is no setting {name!r}: {nearest(name, known)}"
        raise click.BadParameter(message, context, parameter)
    context.default_map = {
        (known[name].name or name): _typed(known[name], value) for name, value in values.items()
    }


def _values(path: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as exc:
        raise click.UsageError(f"the settings in {path} cannot be read: {exc}") from None
    unknown = [section for section in parser.sections() if section != SECTION]
    if unknown or not parser.has_section(SECTION):
        raise click.UsageError(f"{path} is to have one section, [{SECTION}]")
    return {name.replace("_", "-"): value for name, value in parser.items(SECTION)}


def _options(command: click.Command) -> dict[str, click.Option]:
    """The options a file may set, by their long names."""
    return {
        opt.removeprefix("--"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name != "config"
        for opt in parameter.opts
        if opt.startswith("--")
    }


def _typed(option: click.Option, value: str) -> Any:
    """One that may be given several times is a list of words in a file."""
    return value.split() if option.multiple else value
