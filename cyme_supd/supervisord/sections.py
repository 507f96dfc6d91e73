"""The section files of a branch's workers: ``<root>/conf.d/<name>.conf``.

In the folder of a supervisord that was there before, ``cyme.<name>.conf``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyme_supd.config import Paths, write_private
from cyme_supd.domain.naming import NAME, check_instance_name
from cyme_supd.errors import Unavailable
from cyme_supd.supervisord import PREFIX
from cyme_supd.supervisord.rendering import encode
from cyme_supd.supervisord.section import section

#: Where their names stand in anybody's file.
_TAKEN = re.compile(
    r"^\[(?:program|group|eventlistener|fcgi-program):\s*([^\]]+?)\s*\]", re.MULTILINE
)
_STOP_TIMEOUT = re.compile(rb"^stopwaitsecs=([0-9]{1,10})$", re.MULTILINE)
_ABOUT = b"; Here is one file for each worker. Cyme writes them; nobody need edit them.\n"


class SectionFiles:
    """All methods raise ``Unavailable`` where the disk refuses."""

    def __init__(
        self, root: Path, python: str = sys.executable, shared: Path | None = None
    ) -> None:
        """*shared* is a folder of others, where they are known by their prefix."""
        self._root = root
        self._paths = Paths(root)
        self.folder = shared or self._paths.sections
        self._prefix = PREFIX if shared else ""
        self._python = python

    def names(self) -> set[str]:
        found = self.folder.glob(f"{self._prefix}*.conf")
        names = {path.stem.removeprefix(self._prefix) for path in found}
        return {name for name in names if NAME.fullmatch(name)}

    def others(self) -> set[str]:
        """Names that the files of others in the folder have sections for."""
        taken: set[str] = set()
        for path in self.folder.glob("*.conf") if self._prefix else ():
            if not path.name.startswith(PREFIX):
                # What cannot be read has supervisord's error, not ours.
                with suppress(OSError):
                    taken.update(_TAKEN.findall(path.read_text(errors="replace")))
        return taken

    def is_ours(self, told: Mapping[str, Any]) -> bool:
        """Whether the program, as supervisord's own calls tell of it, is a worker of
        this root: others may have its name, and not its log."""
        name = told["name"]
        log = self._paths.instances / name / "worker.log"
        return bool(name == told["group"] and told["stdout_logfile"] == str(log))

    def stop_timeout_s(self, name: str) -> int | None:
        """What its file says; ``None`` where there is none."""
        return stop_timeout_in(self.read(name) or b"")

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
        return self.folder / f"{self._prefix}{check_instance_name(name)}.conf"

    def _make_folder(self, name: str) -> None:
        # supervisord refuses a section whose log has no folder to be in.
        try:
            (self._paths.instances / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise _refused(name, exc) from exc


def stop_timeout_in(content: bytes) -> int | None:
    """The seconds that a section gives its worker to end; ``None`` where it does not say."""
    found = _STOP_TIMEOUT.search(content)
    return int(found[1]) if found else None


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(name: str, exc: OSError) -> Unavailable:
    return Unavailable(f"cannot keep the section of {name}: {exc.strerror or exc}")
