"""Cyme without one of its defences, to show that a test would see it."""

from __future__ import annotations

import shutil
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def without(folder: Path, name: str, old: str, new: str = "") -> Path:
    """A copy of the package in *folder*, *old* in its module *name* being *new*; the folder."""
    shutil.copytree(CHECKOUT / "cyme_supd", folder / "cyme_supd")
    path = folder / "cyme_supd" / name
    text = path.read_text()
    assert text.count(old) == 1, f"{name} has no such line any more: {old}"
    path.write_text(text.replace(old, new))
    return folder
