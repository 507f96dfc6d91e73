"""``supervisord.conf``, and which folders a branch can live in."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyme_supd.config import USERNAME, Paths
from cyme_supd.errors import Invalid
from cyme_supd.supervisord.rendering import ini_value, launch_command, render

TREE_PROGRAMS = ("broker", "web", "branch")

#: A unix socket's path has at most so many bytes.
SOCKET_PATH_LENGTH = 107
#: supervisord binds ``<socket>.<pid>`` first.
_PID_SUFFIX_LENGTH = len(".4194304")
#: What supervisord has open for a program that runs: its input, its output and
#: its log; and besides for itself and those who ask it something.
_DESCRIPTORS_PER_PROGRAM = 3
_OWN_DESCRIPTORS = 200
_LEAST_DESCRIPTORS = 1024
_MAGIC = frozenset("*?[")
_LOGLEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn"}


@dataclass(frozen=True, slots=True)
class Tree:
    """What a branch's supervisord is configured from.

    ``programs`` are those of :data:`TREE_PROGRAMS` it runs, ``descriptors``
    is how many files it may have open (see :func:`descriptors_for`),
    ``loglevel`` is Cyme's, ``logfile`` where everything is logged
    (``branch.log`` in the root); one that ``is_detached`` has no terminal to
    show it on, too. ``pidfile`` is ``branch.pid`` in the root.
    """

    root: Path
    password: str
    programs: tuple[str, ...] = TREE_PROGRAMS
    loglevel: str = "INFO"
    descriptors: int = 2000
    logfile: str | None = None
    pidfile: str | None = None
    is_detached: bool = False
    python: str = sys.executable


def check_root(root: str | os.PathLike[str]) -> Path:
    """*root*, absolute, if a branch can live there; else :exc:`Invalid`."""
    path = Path(os.path.abspath(root))
    _check_characters(path)
    spare = SOCKET_PATH_LENGTH - _PID_SUFFIX_LENGTH - len(os.fsencode(_socket(path)))
    if spare < 0:
        raise Invalid(
            f"the root directory {str(path)!r} is {-spare} bytes too long for a unix socket in it",
            "choose a shorter one with --instance-dir",
        )
    return path


def render_supervisord_conf(tree: Tree) -> str:
    """``supervisord.conf`` for *tree*; the folders it names must be there when
    supervisord starts: ``conf.d instances log programs``."""
    paths = Paths(check_root(tree.root))
    return render(
        "supervisord.conf.j2",
        **_programs(paths, tree.programs, tree.python),
        is_attached=False,
        include=_include(paths),
        username=USERNAME,
        password=tree.password,
        loglevel=_LOGLEVELS.get(tree.loglevel.upper(), "error"),
        logfile=tree.logfile or paths.log,
        # A log of one's own is instead of what shows in the foreground.
        silent=tree.logfile is not None or tree.is_detached,
        pidfile=tree.pidfile or paths.pidfile,
        user="root" if os.geteuid() == 0 else "",
        minfds=tree.descriptors,
    )


def render_attached_conf(root: Path, programs: Sequence[str], python: str = sys.executable) -> str:
    """The branch's own programs in a file of a supervisord that was there before."""
    described = _programs(Paths(check_root(root)), programs, python)
    return render("attached.conf.j2", **described, is_attached=True)


def _programs(paths: Paths, programs: Sequence[str], python: str) -> dict[str, object]:
    unknown = set(programs) - set(TREE_PROGRAMS)
    if unknown:
        raise Invalid(f"no programs of the tree: {sorted(unknown)}")
    commands = {name: launch_command(python, paths.programs / name) for name in programs}
    return {"paths": paths, "programs": programs, "commands": commands}


def descriptors_for(instances: int) -> int:
    """How many files supervisord must be able to open to run so many workers."""
    return max(_LEAST_DESCRIPTORS, _DESCRIPTORS_PER_PROGRAM * instances + _OWN_DESCRIPTORS)


def room_of(descriptors: int) -> int:
    """How many workers a supervisord can run that may open so many files."""
    return max(0, (descriptors - _OWN_DESCRIPTORS) // _DESCRIPTORS_PER_PROGRAM)


def _socket(root: Path) -> Path:
    return Paths(root).supervisord_socket


def _check_characters(path: Path) -> None:
    try:
        ini_value(path)
    except Invalid as exc:
        message = f"the root directory {str(path)!r} cannot be used: {exc.message}"
        raise Invalid(message, "choose another one with --instance-dir") from None
    if _has_space(path) and _MAGIC & set(str(path)):
        raise Invalid(
            f"the root directory {str(path)!r} has both white space and one of * ? [ in it",
            "supervisord finds its files with either, not with both",
        )


def _include(paths: Paths) -> str:
    """A pattern that finds the sections and nothing beside them.

    supervisord splits its patterns at white space, and puts the folder of
    its configuration, as it is, in front of a relative one.
    """
    if _has_space(paths.sections):
        return f"{paths.sections.name}/*.conf"
    return f"{glob.escape(str(paths.sections))}/*.conf"


def _has_space(path: Path) -> bool:
    return any(char.isspace() for char in str(path))
