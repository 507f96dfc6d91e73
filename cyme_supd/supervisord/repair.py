"""What is done to the section files before supervisord reads them all.

One file that it cannot read, and it starts nothing at all.
"""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.options import (
    ServerOptions,
    UnhosedConfigParser,
)

from cyme_supd.domain.naming import check_instance_name
from cyme_supd.errors import Invalid
from cyme_supd.supervisord.sections import SectionFiles

_STOP_TIMEOUT = re.compile(rb"^stopwaitsecs=([0-9]{1,9})$", re.MULTILINE)
_HEADER = b"; Written by Cyme"
#: Not matched by what supervisord includes.
_ASIDE = ".bad"


def repair(files: SectionFiles) -> list[str]:
    """Make sure that no section file keeps supervisord from starting.

    Our own are written again where they are not what they would be today
    (from another version, or a root that has been moved); what supervisord
    cannot read is renamed to ``*.bad``, and a line about each of those comes
    back. Anything else is left alone. Raises ``Unavailable`` and ``OSError``
    where the disk refuses.
    """
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [_repair(files, path) for path in sorted(files.folder.glob("*.conf"))]
    return [line for line in lines if line]


def _repair(files: SectionFiles, path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as exc:
        return _put_aside(path, exc.strerror or str(exc))
    if content.startswith(_HEADER):
        # supervisord may well be able to run half of one.
        return "" if _rewritten(files, path.stem, content) else _put_aside(path, "it is not whole")
    problem = _problem(path)
    return _put_aside(path, problem) if problem else ""


def _put_aside(path: Path, problem: str) -> str:
    path.rename(path.with_name(path.name + _ASIDE))
    return f"{path} was moved aside: {problem}"


def _rewritten(files: SectionFiles, name: str, content: bytes) -> bool:
    stop_timeout = _STOP_TIMEOUT.search(content)
    if stop_timeout is None:
        return False
    try:
        check_instance_name(name)
    except Invalid:
        return False
    files.write(name, int(stop_timeout[1]))
    return True


def _problem(path: Path) -> str:
    """What supervisord has against the file, alone; empty when nothing."""
    options = ServerOptions()
    options.here = str(path.parent)
    parser = UnhosedConfigParser()
    parser.expansions = options.environ_expansions
    try:
        with path.open() as file:
            parser.read_file(file)
        parser.expand_here(options.here)
        options.process_groups_from_parser(parser)
    except Exception as exc:
        return " ".join(str(exc).split())
    return ""
