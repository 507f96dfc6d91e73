"""Puts values into supervisord's files so that it reads back the same ones."""

from __future__ import annotations

import os
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from cyme_supd.domain.naming import is_control
from cyme_supd.errors import Invalid
from cyme_supd.resources import templates

LAUNCHER = Path(__file__).resolve().parents[1] / "launch.py"


def render(template: str, **values: object) -> str:
    """*template*, where every ``{{ value }}`` has been through :func:`ini_value`."""
    return _environment().get_template(template).render(**values)


def ini_value(value: object) -> str:
    """*value* as supervisord reads it back; :exc:`Invalid` where it could not."""
    text = str(value)
    if any(is_control(char) for char in text):
        raise Invalid("there is a control character or an undecodable byte in it")
    for before, char in pairwise(text):
        if before.isspace() and char in ";#":
            raise Invalid(f"white space before {char!r} begins a comment in supervisord's files")
    if "%(here)s" in text:
        raise Invalid("'%(here)s' has a meaning of its own in supervisord's files")
    if text != text.strip():
        raise Invalid("it begins or ends with white space")
    return text.replace("%", "%%")


def launch_command(python: str, folder: Path) -> str:
    """What supervisord runs: the launcher, on the folder with the launch file.

    Isolated and without site-packages: a ``json.py`` in the current
    directory, or in ``PYTHONPATH``, is not imported.
    """
    return shlex.join([python, "-I", "-S", str(LAUNCHER), str(folder)])


def encode(rendered: str) -> bytes:
    """*rendered* as supervisord, in the same locale, will decode it."""
    return os.fsencode(rendered)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(
            lambda name: templates("supervisord").joinpath(name).read_text("utf-8")
        ),
        undefined=StrictUndefined,
        finalize=ini_value,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # supervisord expands the names of logs a second time.
    environment.filters["expanded_twice"] = lambda value: str(value).replace("%", "%%")
    return environment
