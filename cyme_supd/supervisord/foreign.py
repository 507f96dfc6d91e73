"""What somebody else's file in the folder of the sections may hold.

supervisord reads all of them as one: sections of one name are merged, the
later file wins, and so a stranger could change what Cyme's own say.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supervisor.options import (
    ServerOptions,
    UnhosedConfigParser,
)

from cyme_supd.supervisord import TREE

_KINDS = ("program", "group", "eventlistener", "fcgi-program")


class Strangers:
    """Looks at one file after the other; *taken* are the names of Cyme's own programs."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def problem(self, path: Path) -> str:
        """What is to be said against the file; empty when nothing."""
        options = ServerOptions()
        options.here = str(path.parent)
        parser = UnhosedConfigParser()
        parser.expansions = options.environ_expansions
        try:
            text = path.read_text()
            if "\0" in text:
                return "it has a NUL byte in it"
            parser.read_string(text)
            parser.expand_here(options.here)
            options.process_groups_from_parser(parser)
        except Exception as exc:
            return " ".join(str(exc).split())
        return self._overreach(parser)

    def _overreach(self, parser: Any) -> str:
        if parser.defaults():
            return "[DEFAULT] is for all files, not for one"
        names = set()
        for section in parser.sections():
            kind, _, name = section.partition(":")
            if kind not in _KINDS:
                return f"[{section}] is not for a file in this folder"
            if name in self._taken or name == TREE or name.startswith(f"{TREE}-"):
                return f"{name} is the name of another program"
            names.add(name)
        self._taken |= names
        return ""
