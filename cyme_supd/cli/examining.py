"""What ``cyme doctor`` looks at with no branch to ask: installation, clock, root directory."""

from __future__ import annotations

import ctypes
import os
import platform
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed
from pathlib import Path

from packaging.requirements import Requirement

from cyme_supd import __version__
from cyme_supd.config import Config, Paths
from cyme_supd.domain.findings import Finding, error, fine, room_on_disk, warning
from cyme_supd.domain.naming import listed

DISTRIBUTION = "cyme-supd"
#: The kernel's word for a clock that nobody sets; and room for all that it tells.
_TIME_ERROR, _TIMEX_SIZE = 5, 512
#: So many files are named; of the rest only how many there are.
_NAMED = 3
#: What holds passwords, below the root.
_SECRETS = (
    "branch.json",
    "branch.db*",
    "supervisord.conf",
    "broker/*",
    "instances/*/launch.json",
    "programs/*/launch.json",
)


# The installation


def versions() -> Iterator[Finding]:
    """Whether what is installed is what this version of Cyme was made for."""
    try:
        needed = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        yield warning("versions", "Cyme is not installed, only lies here", "pip install it")
        return
    wrong = [found for each in needed if _is_for_all(each) for found in _unmet(each)]
    yield from wrong
    if not wrong:
        yield fine("versions", f"Cyme {__version__}, Python {platform.python_version()}")


def _is_for_all(needed: Requirement) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": ""})


def _unmet(needed: Requirement) -> Iterator[Finding]:
    hint = f"pip install '{needed.name}{needed.specifier}'"
    try:
        found = installed(needed.name)
    except PackageNotFoundError:
        yield error("versions", f"{needed.name} is not installed", hint)
        return
    if not needed.specifier.contains(found, prereleases=True):
        message = f"{needed.name} is {found}, and not {needed.specifier}"
        yield error("versions", message, hint)


# The clock


def clock() -> Iterator[Finding]:
    """Whether something sets the host's clock, as the kernel has it."""
    if _kernel_clock() != _TIME_ERROR:
        yield fine("clock", "it is set by a time server")
    else:
        yield warning(
            "clock",
            "nothing sets this host's clock, as far as its kernel knows",
            "timedatectl set-ntp true, or install chrony; the host of a container may do it",
        )


def _kernel_clock() -> int:
    # With no mode set this only reads.
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE)))


# The root directory


def rights(paths: Paths) -> Iterator[Finding]:
    """Whether others can read the passwords in it, and its user everything."""
    is_open = bool(_mode(paths.root) & 0o077)
    if is_open:
        yield error(
            "rights",
            f"others may enter {paths.root} (mode {_mode(paths.root):04o}), which holds passwords",
            f"chmod 700 {paths.root}",
        )
    if not os.access(paths.root, os.R_OK | os.W_OK | os.X_OK):
        yield error(
            "rights",
            f"nothing can be written to {paths.root}",
            "mount it for writing, and chmod u+rwx it",
        )
    yield from _foreign(paths.root)
    readable = [str(path) for path in _secrets(paths.root) if _mode(path) & 0o077]
    if readable:
        make = error if is_open else warning
        message = f"others may use {listed(readable, _NAMED)}, where passwords are"
        yield make("rights", message, f"chmod -R go= {paths.root}")
    elif not is_open:
        yield fine("rights", f"{paths.root} is its user's alone")


def _foreign(root: Path) -> Iterator[Finding]:
    owner = root.stat().st_uid
    foreign = [str(path) for path in _secrets(root) if _status(path).st_uid != owner]
    if foreign:
        yield error(
            "rights",
            f"{listed(foreign, _NAMED)} of another user",
            f"chown -R {owner} {root}, while no branch runs on it",
        )


def _secrets(root: Path) -> list[Path]:
    found = (path for pattern in _SECRETS for path in root.glob(pattern))
    # A branch that runs makes and removes some of them all the time.
    return sorted(path for path in found if path.exists())


def _mode(path: Path) -> int:
    return stat.S_IMODE(_status(path).st_mode)


def _status(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except FileNotFoundError:
        # Gone since it was listed: nothing can be wrong with it but its folder.
        return path.parent.stat()


def disk(config: Config) -> Iterator[Finding]:
    """The disks of the root and of the log."""
    log = Path(config.logfile).parent if config.logfile else config.paths.root
    seen: set[int] = set()
    for folder in (config.paths.root, log):
        device = folder.stat().st_dev
        if device not in seen:
            seen.add(device)
            told = os.statvfs(folder)
            # Some file systems make as many inodes as they need, and tell of none.
            files = told.f_favail if told.f_files else None
            yield room_on_disk(str(folder), told.f_bavail * told.f_frsize, files)
