"""What outlives every process of the host: sections, launch files, locks."""

from __future__ import annotations

from cyme_supd.domain.launch import Launch
from cyme_supd.domain.naming import check_instance_name
from cyme_supd.testing.launches import MemoryLaunches


class Disk(MemoryLaunches):
    """The root directory of a branch.

    ``sections`` has the stop timeout of each. With the folder of an instance
    goes the file that is locked: whoever comes later locks another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, int] = {}
        self._locks: dict[str, object] = {}

    def launch(self, name: str) -> Launch | None:
        """What a launcher reads now."""
        return self._written.get(name)

    def folders(self) -> set[str]:
        return set(self._written)

    def lock(self, name: str, holder: object) -> None:
        self._locks[name] = holder
        self.locked.add(name)

    def unlock(self, name: str, holder: object) -> None:
        if self._locks.get(name) is holder:
            del self._locks[name]
            self.locked.discard(name)

    def remove(self, name: str) -> None:
        super().remove(name)
        self._locks.pop(name, None)
        self.locked.discard(name)


class Sections:
    """Stands in for :class:`cyme_supd.supervisord.sections.SectionFiles`."""

    def __init__(self, disk: Disk) -> None:
        self._sections = disk.sections

    def names(self) -> set[str]:
        return set(self._sections)

    def others(self) -> set[str]:
        return set()

    def read(self, name: str) -> bytes | None:
        timeout_s = self._sections.get(name)
        return None if timeout_s is None else str(timeout_s).encode()

    def write(self, name: str, stop_timeout_s: int) -> None:
        self._sections[check_instance_name(name)] = stop_timeout_s

    def restore(self, name: str, content: bytes | None) -> None:
        if content is None:
            self._sections.pop(name, None)
        else:
            self._sections[name] = int(content)
