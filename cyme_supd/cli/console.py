"""Python, with what there is to ask."""

from __future__ import annotations

import code
import contextlib
import readline
import rlcompleter
from typing import Any

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.local import open_config, open_store
from cyme_supd.errors import CymeError


def interact(wanted: Wanted) -> None:
    """A prompt until somebody leaves it."""
    names = at_hand(wanted)
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    banner = "\n".join(f"{name:<7} {value!r}" for name, value in names.items())
    with contextlib.suppress(SystemExit):
        code.interact(banner, local=names, exitmsg="")


def at_hand(wanted: Wanted) -> dict[str, Any]:
    """``store`` and ``config`` are ``None`` where no branch has its root there."""
    found: dict[str, Any] = {"client": wanted.client, "store": None, "config": None}
    try:
        config = open_config(wanted.instance_dir)
        found.update(store=open_store(config), config=_Shown(config))
    except CymeError:
        if wanted.local:
            raise
    return found


class _Shown:
    """Settings, which print without their secrets."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def __repr__(self) -> str:
        return f"<Config: {self._config.root!r}, branch {self._config.id!r}>"
