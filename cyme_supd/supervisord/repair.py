"""What is done to the section files before supervisord reads them all.

One file that it cannot read, and it starts nothing at all.
"""

from __future__ import annotations

from pathlib import Path

from cyme_supd.domain.naming import check_instance_name
from cyme_supd.errors import Invalid
from cyme_supd.supervisord.foreign import Strangers
from cyme_supd.supervisord.sections import SectionFiles, stop_timeout_in

_HEADER = b"; Written by Cyme"
#: Not matched by what supervisord includes.
_ASIDE = ".bad"


def repair(files: SectionFiles) -> list[str]:
    """Make sure that no section file keeps supervisord from starting.

    Our own are written again where they are not what they would be today
    (from another version, or a root that has been moved); what supervisord
    cannot read, or what would change others than itself, is renamed to
    ``*.bad``, and a line about each of those comes back. Anything else is left
    alone. Raises ``Unavailable`` and ``OSError`` where the disk refuses.
    """
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines, foreign = [], []
    for path in sorted(files.folder.glob("*.conf")):
        try:
            content = path.read_bytes()
        except OSError as exc:
            lines.append(_put_aside(path, exc.strerror or str(exc)))
            continue
        if not content.startswith(_HEADER):
            foreign.append(path)
        elif not _rewritten(files, path.stem, content):
            # supervisord may well be able to run half of one.
            lines.append(_put_aside(path, "it is not whole"))
    return lines + _sift(foreign, files.names() - {path.stem for path in foreign})


def _sift(foreign: list[Path], ours: set[str]) -> list[str]:
    """Put aside those that are no good, or not beside each other and *ours*."""
    strangers = Strangers(ours)
    problems = {path: strangers.problem(path) for path in foreign}
    return [_put_aside(path, problem) for path, problem in problems.items() if problem]


def _put_aside(path: Path, problem: str) -> str:
    path.rename(path.with_name(path.name + _ASIDE))
    return f"{path} was moved aside: {problem}"


def _rewritten(files: SectionFiles, name: str, content: bytes) -> bool:
    stop_timeout_s = stop_timeout_in(content)
    if stop_timeout_s is None:
        return False
    try:
        check_instance_name(name)
    except Invalid:
        return False
    files.write(name, stop_timeout_s)
    return True
