"""The section files of a branch's workers: ``<root>/conf.d/<name>.conf``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cyme_supd.config import Paths, write_private
from cyme_supd.domain.naming import NAME, check_instance_name
from cyme_supd.errors import Unavailable
from cyme_supd.supervisord.rendering import encode
from cyme_supd.supervisord.section import section

_ABOUT = b"; Here is one file for each worker. Cyme writes them; nobody need edit them.\n"


class SectionFiles:
    """All methods raise ``Unavailable`` where the disk refuses."""

    def __init__(self, root: Path, python: str = sys.executable) -> None:
        self._root = root
        self._paths = Paths(root)
        self.folder = self._paths.sections
        self._python = python

    def names(self) -> set[str]:
        names = {path.stem for path in self.folder.glob("*.conf")}
        return {name for name in names if NAME.fullmatch(name)}

    def prepare(self) -> None:
        """Make the folder, with a file in it: supervisord warns of a pattern that finds none."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.folder / "_about.conf", _ABOUT)

    def read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _refused(name, exc) from exc

    def write(self, name: str, stop_timeout_s: int) -> None:
        """Put the section in place, whole or not at all, and for good."""
        content = encode(section(self._root, name, stop_timeout_s, self._python))
        if self.read(name) != content:
            self.restore(name, content)
        self._make_folder(name)

    def restore(self, name: str, content: bytes | None) -> None:
        """Have exactly *content* in the file; ``None``: have no file."""
        path = self._path(name)
        try:
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_private(path, content)
            _sync(path.parent)
        except OSError as exc:
            raise _refused(name, exc) from exc

    def _path(self, name: str) -> Path:
        return self.folder / f"{check_instance_name(name)}.conf"

    def _make_folder(self, name: str) -> None:
        # supervisord refuses a section whose log has no folder to be in.
        try:
            (self._paths.instances / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise _refused(name, exc) from exc


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(name: str, exc: OSError) -> Unavailable:
    return Unavailable(f"cannot keep the section of {name}: {exc.strerror or exc}")
