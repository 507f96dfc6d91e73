"""Reads other people's ``[program:...]`` sections as supervisord would run them."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor.options import ServerOptions, UnhosedConfigParser

from cyme_supd.domain.importing import Handwritten
from cyme_supd.errors import Invalid, NotFound

_PROGRAM = "program:"
#: They are checked against this host, and do not matter for what is made of it.
_CHECKED = ("user", "stdout_logfile", "stderr_logfile", "umask")


def read(path: Path) -> Iterator[tuple[str, list[Handwritten] | Invalid]]:
    """By section, its processes, or why they cannot be read; other sections are passed over."""
    parser = _parsed(path)
    options = ServerOptions()
    options.here = str(path.parent.absolute())
    parser.expand_here(options.here)
    for section in parser.sections():
        if not section.startswith(_PROGRAM):
            continue
        try:
            yield section, list(_processes(options, parser, section))
        except (ValueError, KeyError) as exc:
            yield section, Invalid(f"supervisord would not read it: {exc}")


def _parsed(path: Path) -> Any:
    parser = UnhosedConfigParser()
    parser.expansions = ServerOptions().environ_expansions
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (OSError, ValueError, configparser.Error) as exc:
        raise Invalid(f"{path} cannot be read: {' '.join(str(exc).split())}") from None
    return parser


def _processes(options: Any, parser: Any, section: str) -> Iterator[Handwritten]:
    user = parser.saneget(section, "user", None)
    for name in _CHECKED:
        parser.remove_option(section, name)
    group = section.removeprefix(_PROGRAM)
    for config in options.processes_from_section(parser, section, group):
        yield Handwritten(
            name=config.name,
            command=config.command,
            directory=config.directory,
            environment=config.environment or {},
            user=user,
            stop_timeout_s=config.stopwaitsecs,
        )
