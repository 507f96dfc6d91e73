"""A supervisord that was there before Cyme, and the branch's own programs in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyme_supd import __version__
from cyme_supd.config import write_private
from cyme_supd.domain.supervisor import Supervisor
from cyme_supd.errors import (
    Conflict,
    CymeError,
    Forbidden,
    Invalid,
    NotFound,
    ShuttingDown,
    Unavailable,
)
from cyme_supd.supervisord import PREFIX, TREE
from cyme_supd.supervisord.client import ENDED, Supervisord
from cyme_supd.supervisord.sections import SectionFiles

#: Longer than the stopwaitsecs of the tree's programs.
STOPPED_WITHIN_S = 40.0
_LOOK_EVERY_S = 0.1
_RUNNING = 1
_ROOT = re.compile(rb"^; root=(.*)$", re.MULTILINE)
#: How to have what only the extension can do.
LOAD_IT = (
    "load it: let its Python import cyme_supd, add the [rpcinterface:cyme] of"
    " conf/cyme-extension.conf to its configuration, and restart it"
)


class HostSupervisord:
    """The branch at *root* in the supervisord behind *server*.

    ``has_extension`` and ``warnings`` are known after :meth:`check`. All methods
    raise ``Unavailable``, and ``ShuttingDown`` while it stops.
    """

    def __init__(self, server: Supervisord, root: Path, conf_dir: Path) -> None:
        self._server = server
        self._root = root
        self.conf_dir = conf_dir
        self.has_extension = False
        self.warnings: list[str] = []

    @property
    def file(self) -> Path:
        """The sections of the branch's own programs."""
        return self.conf_dir / f"{PREFIX}conf"

    def check(self) -> None:
        """Whether a branch can be attached; raises ``Invalid``, ``Forbidden`` or ``Conflict``."""
        self._check_reach()
        self._check_folder()
        self.has_extension = self._server.has_extension()
        if self.has_extension:
            self._check_extension()
        self._check_tree()

    def pid(self) -> int:
        return int(self._server.call("supervisor.getPID"))

    def pids(self) -> set[int]:
        """Processes of the tree that it runs."""
        return {one["pid"] for one in self._tree() if one["pid"]}

    def others(self, sections: SectionFiles) -> set[str]:
        """Groups that it runs, from whatever file, which are no workers of this branch."""
        told = self._server.call("supervisor.getAllProcessInfo")
        return {one["group"] for one in told if not sections.is_ours(one)}

    def bring_up(self, content: bytes) -> None:
        """Have the tree be what *content* says, and run."""
        self._write(content)
        if TREE in self._reread():
            self.stop()
            self._server.call("supervisor.removeProcessGroup", TREE)
        with suppress(Conflict):
            self._add()
        self.start()

    def start(self) -> None:
        for one in self._tree():
            # One that was left running, a broker, goes on.
            with suppress(Conflict):
                self._server.call("supervisor.startProcess", _full(one), False)

    def is_reloaded(self) -> bool:
        """Whether it has begun anew since the tree was started: it starts none by itself."""
        return not self._server.call("supervisor.getProcessInfo", f"{TREE}:branch")["start"]

    def stop(self, *names: str) -> None:
        """End these programs of the tree, or all, and wait for it."""
        for one in self._up(names):
            # It may end by itself at the same time.
            with suppress(Conflict):
                self._server.call("supervisor.stopProcess", _full(one), False)
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while left := [_full(one) for one in self._up(names)]:
            if time.monotonic() >= deadline:
                raise Unavailable(f"supervisord does not end {', '.join(left)}")
            time.sleep(_LOOK_EVERY_S)

    def take_out(self) -> None:
        """Let go of the tree, which has ended, and of its file."""
        with suppress(NotFound):
            self._server.call("supervisor.removeProcessGroup", TREE)
        self.file.unlink(missing_ok=True)
        # supervisorctl compares with what it has read.
        self._server.reread()

    def _reread(self) -> set[str]:
        try:
            return self._server.reread()
        except ShuttingDown:
            raise
        except Unavailable as exc:
            if not self._tree():
                raise
            # Somebody else's section is no reason to leave workers unwatched.
            self.warnings.append(str(exc))
            return set()

    def _check_reach(self) -> None:
        try:
            state = self._server.call("supervisor.getState")["statecode"]
            owner = self._server.owner()
        except ShuttingDown:
            raise
        except CymeError as exc:
            hint = "--supervisor is the file= of its [unix_http_server], with its user and password"
            raise Unavailable(exc.message, hint) from exc
        if state != _RUNNING:
            raise ShuttingDown("supervisord is stopping")
        if owner != os.geteuid():
            raise Forbidden(
                f"that supervisord was started by user {owner}, this by {os.geteuid()}",
                "run cyme-branch as the same user: what it writes, supervisord runs",
            )

    def _check_folder(self) -> None:
        if not self.conf_dir.is_dir() or not os.access(self.conf_dir, os.W_OK | os.X_OK):
            raise Invalid(
                f"nothing can be written to the folder {self.conf_dir}",
                "--conf-dir is the folder in files= of supervisord's [include]",
            )

    def _check_extension(self) -> None:
        told = self._server.extension()
        if told.get("own"):
            raise Conflict(
                "that supervisord is the one of a cyme-branch",
                "attach to one that was there before, or start cyme-branch without --supervisor",
            )
        if told.get("version") != __version__:
            self.warnings.append(
                f"supervisord runs with the extension of Cyme {told.get('version')},"
                f" not {__version__}: restart it when its programs may be"
            )
        if Path(told.get("conf_dir", "")) != self.conf_dir:
            raise Invalid(
                f"its extension reads {told.get('conf_dir')}, and --conf-dir is {self.conf_dir}",
                "name the same folder in both",
            )

    def _check_tree(self) -> None:
        """One branch for a supervisord: names of programs are the whole of its."""
        root = root_in(self.file)
        if root is None and self._tree():
            raise Conflict(
                f"supervisord has a group {TREE!r} that is not of this branch",
                f"give that group another name, or remove it: supervisorctl remove {TREE}",
            )
        if root is not None and root != os.fsencode(self._root):
            raise Conflict(
                f"the branch at {os.fsdecode(root)} is attached to that supervisord",
                f"end it with --stop-workers, or remove {self.file} if there is none any more",
            )

    def _write(self, content: bytes) -> None:
        try:
            write_private(self.file, content)
        except OSError as exc:
            raise Unavailable(f"cannot write {self.file}: {exc.strerror}") from exc

    def _add(self) -> None:
        try:
            self._server.call("supervisor.addProcessGroup", TREE)
        except NotFound:
            self.file.unlink(missing_ok=True)
            raise Invalid(
                f"supervisord does not read {self.file}",
                f"add {self.conf_dir}/*.conf to files= in [include] of its configuration",
            ) from None

    def _tree(self) -> list[dict[str, Any]]:
        told = self._server.call("supervisor.getAllProcessInfo")
        return [one for one in told if one["group"] == TREE]

    def _up(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [
            one
            for one in self._tree()
            if one["statename"] not in ENDED and (not names or one["name"] in names)
        ]


def root_in(file: Path) -> bytes | None:
    """The root that the sections of a branch's own programs were written for, ``None``
    where there is no such file."""
    try:
        found = _ROOT.search(file.read_bytes())
    except FileNotFoundError:
        return None
    return found[1] if found else b"?"


def check_not_elsewhere(root: Path, before: Supervisor, conf_dir: Path) -> None:
    """Raises ``Conflict`` where the branch at *root* was not taken out of supervisord
    *before*: that one runs, or will run, the same workers."""
    file = conf_dir / f"{PREFIX}conf"
    if root_in(file) == os.fsencode(root):
        raise Conflict(
            f"the branch at {root} is attached to the supervisord at {before.masked_url},"
            f" with --conf-dir {conf_dir}",
            f"end it there with --stop-workers first; if there is none any more, remove {file}",
        )


def _full(one: dict[str, Any]) -> str:
    return f"{one['group']}:{one['name']}"
