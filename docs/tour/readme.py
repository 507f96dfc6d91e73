"""The README's tour, which lies between two comments."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.rst"
BEGIN = ".. The tour: ``make readme`` takes it and writes it.\n"
END = ".. The end of the tour.\n"


def section(text: str) -> str:
    """What lies between the comments."""
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def with_section(text: str, tour: str) -> str:
    """*text* with another tour."""
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    return f"{before}\n{tour.strip()}\n\n{after}"


def commands(tour: str) -> list[str]:
    """What a reader of *tour* types, with its continuation lines."""
    found = re.findall(r"^    \$ ((?:.+\\\n)*.+)", tour, re.MULTILINE)
    return [command.replace("\n    ", "\n") for command in found]
