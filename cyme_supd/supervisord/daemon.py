"""supervisord, for a folder with thousands of files: ``python -m`` of this module.

For every file that it includes supervisord goes again through all sections
that it has read before: twenty seconds for two thousand workers, at its
start and whenever somebody asks it to read its files again. Here a file
costs what is in it.
"""

from __future__ import annotations

from typing import Any

from supervisor import options, supervisord

_Stock: Any = options.UnhosedConfigParser
_HERE = "%(here)s"


class Parser(_Stock):  # type: ignore[misc]
    """Reads what supervisord's own does, and comes to the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Sections of the last file; None: of all that was read up to now.
        self._fresh: list[str] | None = None

    def read(self, filenames: Any, **kwargs: Any) -> list[str]:
        alone = _Stock()
        found: list[str] = alone.read(filenames, **kwargs)
        if alone.defaults():
            # They are for every section, of other files too.
            self._fresh = None
            found = super().read(filenames, **kwargs)
            return found
        self._fresh = alone.sections()
        for section in self._fresh:
            self._take(section, alone)
        return found

    def _take(self, section: str, alone: Any) -> None:
        if not self.has_section(section):
            self.add_section(section)
            self.section_to_file[section] = alone.section_to_file[section]
        for option, value in alone.items(section):
            self.set(section, option, value)

    def expand_here(self, here: str) -> None:
        if self._fresh is None:
            super().expand_here(here)
            return
        # Those of earlier files have been expanded when these were read.
        for section in self._fresh:
            for option, value in self.items(section):
                if _HERE in value:
                    self.set(section, option, value.replace(_HERE, here))


if __name__ == "__main__":
    options.UnhosedConfigParser = Parser
    supervisord.main()
