"""``python -m docs.reference``: write docs/reference.rst and conf/jobs.schema.json from the code.

Routes and parameters from the web application, options from the command,
errors from their tree; what they mean from :mod:`cyme_supd.web.words`.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

import click

from cyme_supd.cli.branch import command
from cyme_supd.cli.cyme import COMMANDS, cyme
from cyme_supd.cli.injector import command as injector
from cyme_supd.cli.monitor import command as monitor
from cyme_supd.cli.results import command as results
from cyme_supd.cli.runner import command as runner
from cyme_supd.errors import CymeError
from cyme_supd.service import Service
from cyme_supd.web import words
from cyme_supd.web.app import create_app
from cyme_supd.web.jobparams import schema_of_file
from cyme_supd.web.operations import Operation, operations
from cyme_supd.web.parameterwords import PARAMETERS
from cyme_supd.web.settings import Settings

PATH = Path(__file__).with_name("reference.rst")
SCHEMA = Path(__file__).parents[1] / "conf" / "jobs.schema.json"
WIDTH = 99
_KINDS = {str: "text", int: "integer", float: "number", bool: "flag", list: "list", dict: "object"}


CYME = """\
What is shown is for people on a terminal, and JSON in a pipe: exactly what the branch has
answered. An error is one line, and the exit code that of the table below; 130 is an interrupt,
141 a pipe that nobody reads any more. An argument that starts with a dash stands after ``--``.
"""

COMMAND = """\
An option may also come from the environment (``--sup-interval`` is ``CYME_SUP_INTERVAL``, where
to listen is ``CYME_ADDRESS``) or from the file of ``--config``: an INI file whose section
``[cyme-branch]`` has the long names. Flags win over the environment, that over the file.
"""

RUNNER = """\
An option may also come from the environment (``--key-file`` is ``CYME_RUNNER_KEY_FILE``); there the
broker's password is in nobody's list of processes.
"""

INJECTOR = """\
An option may also come from the environment (``--database`` is ``CYME_INJECTOR_DATABASE``);
there the passwords are in nobody's list of processes. A database that is away is waited for;
SIGTERM ends it.
"""

RESULTS = """\
As for ``cyme-injector``; its variables begin with ``CYME_RESULTS_``.
"""


MONITOR = """\
As for ``cyme-injector``; its variables begin with ``CYME_MONITOR_``.
"""


class _Nobody:
    """In the service's place: routes are added, and nobody takes one."""

    def __getattr__(self, name: str) -> _Nobody:
        return self

    def __call__(self) -> _Nobody:
        return self


def routes() -> list[Operation]:
    """Every route of the web application."""
    return operations(create_app(Settings(branch=""), cast(Service, _Nobody())))


def reference() -> str:
    """The whole page."""
    found = routes()
    parts = [
        *_heading("Reference", "="),
        ".. Written by ``make reference``; what to edit is cyme_supd/web/words.py and the code.",
        "",
        ".. contents::",
        "   :local:",
        "   :depth: 2",
        "",
        *_heading("The command cyme-branch", "-"),
        *_prose(inspect.cleandoc(command.help or "")),
        COMMAND,
        *_table(("option", "default", "what it is"), _options(command)),
        *_heading("The command cyme-runner", "-"),
        *_prose(inspect.cleandoc(runner.help or "")),
        RUNNER,
        *_table(("option", "default", "what it is"), _options(runner)),
        *_heading("The command cyme-injector", "-"),
        *_prose(inspect.cleandoc(injector.help or "")),
        INJECTOR,
        *_table(("option", "default", "what it is"), _options(injector)),
        *_heading("The command cyme-results", "-"),
        *_prose(inspect.cleandoc(results.help or "")),
        RESULTS,
        *_table(("option", "default", "what it is"), _options(results)),
        *_heading("The command cyme-monitor", "-"),
        *_prose(inspect.cleandoc(monitor.help or "")),
        MONITOR,
        *_table(("option", "default", "what it is"), _options(monitor)),
        *_heading("The command cyme", "-"),
        *_prose(inspect.cleandoc(cyme.help or "").replace("`", "``")),
        CYME,
        *_table(("option", "what it is"), _shared_options()),
        *(line for each in COMMANDS for line in _command(each)),
        *_heading("Rules for every route", "-"),
        words.RULES,
    ]
    for noun in sorted({each.noun for each in found} - words.NOUNS.keys()):
        raise LookupError(f"cyme_supd/web/words.py has no title for the routes of {noun!r}")
    for noun, title in words.NOUNS.items():
        parts += _heading(title, "-")
        for route in found:
            if route.noun == noun:
                parts += _route(route)
    parts += [
        *_heading("Parameters", "-"),
        *_prose("In brackets what counts where it is not given."),
        *_table(("parameter", "type", "what it is"), _parameters(found)),
        *_heading("Errors", "-"),
        words.ERRORS,
        *_table(("code", "HTTP", "exit", "retryable"), _errors()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def job_schema() -> str:
    """What a file of jobs looks like, as a JSON Schema."""
    return json.dumps(schema_of_file(), indent=2) + "\n"


def _route(route: Operation) -> Iterator[str]:
    if route.key not in words.ROUTES:
        raise LookupError(f"cyme_supd/web/words.py does not say what {route.key} does")
    text = words.ROUTES[route.key]
    names = sorted(route.params.model_fields) if route.params else []
    if names:
        text += " *Parameters:* " + ", ".join(f"``{name}``" for name in names) + "."
    if route.later:
        text += f" *Asynchronous:* ``{route.later}``"
    yield f"``{route.key}``"
    yield textwrap.indent(_wrapped(text, WIDTH - 4), "    ")
    yield ""


def _parameters(found: Sequence[Operation]) -> Iterator[tuple[str, ...]]:
    kinds: dict[str, str] = {}
    for route in found:
        for name, field in (route.params.model_fields if route.params else {}).items():
            kind = _kind(field.annotation, field.metadata)
            if kinds.setdefault(name, kind) != kind:
                raise LookupError(f"{name} is {kinds[name]} here and {kind} there")
    for name in sorted(kinds):
        if name not in PARAMETERS:
            raise LookupError(
                f"cyme_supd/web/parameterwords.py does not say what the parameter {name} is"
            )
        yield f"``{name}``", kinds[name], PARAMETERS[name]


def _kind(annotation: Any, metadata: Sequence[Any]) -> str:
    one_of = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [get_origin(one) or one for one in one_of if one is not type(None)]
    text = " or ".join(_KINDS[kind] for kind in kinds)
    least = next((one.ge for one in metadata if hasattr(one, "ge")), None)
    most = next((one.le for one in metadata if hasattr(one, "le")), None)
    return text if most is None else f"{text}, {_number(least)} to {_number(most)}"


def _number(value: float | None) -> str:
    return str(int(value or 0))


def _options(of: click.Command) -> Iterator[tuple[str, ...]]:
    for parameter in of.params:
        if isinstance(parameter, click.Option):
            shown = ", ".join(f"``{name}``" for name in parameter.opts)
            yield shown, _default(parameter), parameter.help or ""
        else:
            yield f"``{parameter.metavar}``", f"``{parameter.default}``", "Where to listen."


def _shared_options() -> Iterator[tuple[str, ...]]:
    for option in cyme.params:
        if isinstance(option, click.Option):
            yield ", ".join(f"``{name}``" for name in option.opts), option.help or ""


def _command(each: click.Command) -> Iterator[str]:
    """What is typed, what it does, and its own options."""
    arguments = [one for one in each.params if isinstance(one, click.Argument)]
    shown = [one.make_metavar(click.Context(each)) for one in arguments]
    text = " ".join(inspect.cleandoc(each.help or "").split())
    for one in each.params:
        if isinstance(one, click.Option) and not one.hidden:
            text += f" ``{', '.join(one.opts)}``: {one.help}"
    yield f"``{' '.join([str(each.name), *shown])}``"
    yield textwrap.indent(_wrapped(text, WIDTH - 4), "    ")
    yield ""


def _default(option: click.Option) -> str:
    is_said = option.show_default and option.default is not None
    return f"``{option.default}``" if is_said else ""


def _errors() -> Iterator[tuple[str, ...]]:
    seen: set[str] = set()
    for error in _tree(CymeError):
        if error.code not in seen:
            seen.add(error.code)
            row = (f"``{error.code}``", str(error.http), str(error.exit))
            yield *row, "yes" if error.retryable else "no"


def _tree(error: type[CymeError]) -> Iterator[type[CymeError]]:
    for each in error.__subclasses__():
        yield each
        yield from _tree(each)


# reStructuredText


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _prose(text: str) -> list[str]:
    return [f"{_wrapped(one, WIDTH)}\n" for one in text.split("\n\n")]


def _wrapped(text: str, width: int) -> str:
    """In lines of *width*; what is between backquotes stays whole."""
    glued = "".join(
        part.replace(" ", "\xa0") if is_literal else part
        for is_literal, part in zip(_alternating(), text.split("``"), strict=False)
        for part in ([f"``{part}``"] if is_literal else [part])
    )
    lines = textwrap.wrap(
        " ".join(glued.split(" ")), width, break_on_hyphens=False, break_long_words=False
    )
    return "\n".join(lines).replace("\xa0", " ")


def _alternating() -> Iterator[bool]:
    while True:
        yield False
        yield True


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """A simple table, its last column as wide as the page leaves."""
    all_rows = [tuple(heads), *rows]
    widths = [max(len(row[at]) for row in all_rows) for at in range(len(heads) - 1)]
    left = WIDTH - sum(widths) - 2 * len(widths)
    widths.append(min(left, max(len(row[-1]) for row in all_rows)))
    rule = "  ".join("=" * width for width in widths)
    lines = [rule, *_cells(all_rows[0], widths), rule]
    for row in all_rows[1:]:
        lines += _cells(row, widths)
    return [*lines, rule, ""]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *more = _wrapped(row[-1], widths[-1]).split("\n") or [""]
    fixed = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
    blank = [" " * width for width in widths[:-1]]
    return ["  ".join([*fixed, first]).rstrip(), *("  ".join([*blank, one]) for one in more)]


def main(path: Path = PATH) -> None:
    path.write_text(reference())


if __name__ == "__main__":
    main()
    SCHEMA.write_text(job_schema())
