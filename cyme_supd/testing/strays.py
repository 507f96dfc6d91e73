"""Processes that are said to have been left behind."""

from __future__ import annotations

from cyme_supd.domain.orphans import Stray


class MemoryStrays:
    """:class:`cyme_supd.domain.ports.Strays`: what is in ``left``."""

    def __init__(self) -> None:
        self.left: list[Stray] = []

    def strays(self) -> list[Stray]:
        return list(self.left)
