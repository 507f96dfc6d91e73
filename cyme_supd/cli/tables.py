"""Tables as wide as the terminal and no wider."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cyme_supd.cli.output import cell


def print_table(value: Any) -> None:
    """A list of objects with a row each, an object with a row for each of its fields."""
    rows: list[tuple[Any, ...]]
    if isinstance(value, Mapping):
        table = _table("", "")
        table.show_header = False
        rows = [(str(name), each) for name, each in value.items()]
    elif value and all(isinstance(each, Mapping) for each in value):
        table = _table(*value[0])
        rows = [tuple(each.get(name) for name in value[0]) for each in value]
    else:
        table = _table("name")
        rows = [(each,) for each in (value if isinstance(value, list) else [value])]
    for row in rows:
        table.add_row(*(Text(cell(each)) for each in row))
    page = io.StringIO()
    width = shutil.get_terminal_size().columns
    Console(file=page, width=width, highlight=False, markup=False, emoji=False).print(table)
    # By the way all output goes: a pipe that nobody reads is met there.
    click.echo(page.getvalue(), nl=False)


def _table(*columns: str) -> Table:
    has_lines = (sys.stdout.encoding or "").lower().startswith("utf")
    table = Table(box=box.SIMPLE_HEAD if has_lines else box.ASCII2, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
