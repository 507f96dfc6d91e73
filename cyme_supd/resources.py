"""Finds the templates: installed they are a package, in a checkout a folder beside it."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def templates(room: str) -> Traversable:
    """The folder with the templates of *room*: ``supervisord``, ``web``, ``admin``."""
    try:
        found = resources.files("cyme_supd.templates")
    except ModuleNotFoundError:
        found = Path(__file__).resolve().parents[1] / "templates"
    return found / room
