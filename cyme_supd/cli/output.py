"""What a command has found, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from cyme_supd.cli.asking import Wanted
from cyme_supd.domain.naming import is_control

PRETTY, JSON, TABLE = FORMATS = ("pretty", "json", "table")


def format_of(wanted: Wanted) -> str:
    """Which of the formats is wanted."""
    return wanted.format or (PRETTY if sys.stdout.isatty() else JSON)


def show(wanted: Wanted, value: Any) -> None:
    """*value*, an answer of a branch, in the format that is wanted."""
    kind = format_of(wanted)
    if kind == JSON:
        click.echo(json.dumps(value, indent=2))
    elif kind == TABLE:
        # As long to import as all the rest together.
        from cyme_supd.cli.tables import print_table

        print_table(value)
    else:
        click.echo(pretty(value))


def show_list(
    wanted: Wanted,
    names: Sequence[str],
    details: Callable[[str], Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """The *names*; as a table with those *columns* of each one's *details*."""
    if wanted.format != TABLE:
        return show(wanted, list(names))
    found = [details(name) for name in names]
    return show(wanted, [{each: one.get(each) for each in columns} for one in found])


def show_text(wanted: Wanted, text: str) -> None:
    """Lines of a log: as they are, unless somebody says json; harmless on a terminal."""
    if wanted.format == JSON:
        show(wanted, text)
    else:
        click.echo(harmless(text) if sys.stdout.isatty() else text, nl=not text.endswith("\n"))


def pretty(value: Any) -> str:
    """*value* for a person: a name a line, or what is what."""
    if value == {"ok": "ok"}:
        return "ok"
    if isinstance(value, Mapping):
        width = max((len(str(name)) for name in value), default=0)
        return "\n".join(f"{name!s:<{width}}  {cell(each)}" for name, each in value.items())
    if isinstance(value, list):
        gap = "\n\n" if any(isinstance(each, Mapping) for each in value) else "\n"
        return gap.join(pretty(each) for each in value) or "none"
    return cell(value)


def cell(value: Any) -> str:
    """*value* in one line: a broker as its URL, lists with commas, nothing as a dash."""
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) and "url" in value and "transport" in value:
        return cell(value["url"])
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return harmless(", ".join(value))
    if isinstance(value, Mapping | list):
        return harmless(json.dumps(value))
    return harmless(str(value))


def harmless(text: str) -> str:
    """*text* without what moves a terminal's cursor, or worse."""
    return "".join(f"\\x{ord(char):02x}" if _is_odd(char) else char for char in text)


def _is_odd(char: str) -> bool:
    return char not in "\n\t" and is_control(char)
