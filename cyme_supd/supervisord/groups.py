"""Adds, changes and removes single programs. Runs inside supervisord.

supervisord itself can only read all of its files again, deaf meanwhile;
here exactly the named files are read.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable
from typing import Any

from supervisor.compat import ConfigParser
from supervisor.options import (
    ProcessException,
    UnhosedConfigParser,
)
from supervisor.states import (
    RUNNING_STATES,
    STOPPED_STATES,
    ProcessStates,
)
from supervisor.xmlrpc import Faults, RPCError

from cyme_supd.supervisord import MARKER, TREE, stopping
from cyme_supd.supervisord.journal import Journal
from cyme_supd.supervisord.owning import is_ours

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_RESERVED = frozenset({"all", TREE})
_LARGEST_FILE = 64 * 1024


class Groups:
    """The programs whose sections have a file each, *path_of* their names.

    Every method raises ``RPCError`` for what it cannot do.
    """

    def __init__(self, supervisord: Any, journal: Journal, path_of: Callable[[str], str]) -> None:
        self._supervisord = supervisord
        self._journal = journal
        self._path_of = path_of

    def apply(self, name: str) -> None:
        """Take the program as its file has it; one that runs goes on running."""
        check_name(name)
        active = self._supervisord.process_groups.get(name)
        if active is not None and not is_ours(active):
            raise RPCError(Faults.ALREADY_ADDED, f"{name} is not a program of Cyme's")
        config = self._parse(name)
        if active is None:
            self._supervisord.add_process_group(config)
        else:
            self._replace(active, config)
        self._keep(name, config)

    def start(self, name: str) -> None:
        process = self._process(name)
        if process.get_state() in RUNNING_STATES:
            return
        if process.get_state() in (ProcessStates.STOPPING, ProcessStates.UNKNOWN):
            raise RPCError(Faults.STILL_RUNNING, name)
        try:
            process.get_execv_args()
        except ProcessException as exc:
            raise RPCError(Faults.NOT_EXECUTABLE, f"{name}: {exc}") from None
        process.spawn()
        if process.spawnerr:
            raise RPCError(Faults.SPAWN_ERROR, f"{name}: {process.spawnerr}")

    def stop(self, name: str) -> None:
        stopping.stop(self._process(name))

    def kill(self, name: str) -> None:
        stopping.kill(self._process(name))

    def remove(self, name: str) -> None:
        """Let go of a program that has ended; one that is not there is no error."""
        check_name(name)
        group = self._supervisord.process_groups.get(name)
        if group is not None:
            self._process(name)
            if any(p.get_state() not in STOPPED_STATES for p in group.processes.values()):
                raise RPCError(Faults.STILL_RUNNING, name)
            self._supervisord.remove_process_group(name)
        self._keep(name, None)

    def _process(self, name: str) -> Any:
        check_name(name)
        group = self._supervisord.process_groups.get(name)
        if group is None:
            raise RPCError(Faults.BAD_NAME, name)
        if not is_ours(group):
            raise RPCError(Faults.BAD_NAME, f"{name} is not a program of Cyme's")
        return group.processes[name]

    def _replace(self, active: Any, config: Any) -> None:
        # The process itself is left alone: it asks its configuration for
        # every value when it needs it, the next time it stops or starts.
        config.after_setuid()
        active.config = config
        for process_config in config.process_configs:
            active.processes[process_config.name].config = process_config
            self._journal.touch(config.name, process_config.name)

    def _keep(self, name: str, config: Any) -> None:
        """What supervisorctl's update, add and avail compare with."""
        options = self._supervisord.options
        kept = [known for known in options.process_group_configs if known.name != name]
        options.process_group_configs = kept if config is None else [*kept, config]

    def _parse(self, name: str) -> Any:
        options = self._supervisord.options
        parser = UnhosedConfigParser()
        parser.expansions = options.environ_expansions
        try:
            parser.read_file(io.StringIO(self._read(name)))
            _check_sections(parser, name)
            (config,) = options.process_groups_from_parser(parser)
        except (ValueError, ConfigParser.Error) as exc:
            raise RPCError(Faults.CANT_REREAD, f"{name}: {exc}") from None
        _check_program(config, name)
        for process_config in config.process_configs:
            # As supervisord does after it has read all of its files.
            common = options.configroot.supervisord.environment
            process_config.environment = {**common, **process_config.environment}
        return config

    def _read(self, name: str) -> str:
        path = self._path_of(name)
        try:
            # Nothing here may ever wait, as it would on a FIFO.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd) as file:
                about = os.fstat(fd)
                if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST_FILE:
                    raise RPCError(Faults.CANT_REREAD, f"{path} is not a section's file")
                return file.read(_LARGEST_FILE)
        except OSError as exc:
            raise RPCError(Faults.NO_FILE, f"{path}: {exc.strerror}") from None


def check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RPCError(Faults.BAD_NAME, repr(name)[:80])
    if name in _RESERVED or name.startswith(f"{TREE}-"):
        raise RPCError(Faults.BAD_NAME, f"{name} is reserved")


def each(names: object, act: Callable[[str], None]) -> list[dict[str, Any]]:
    """*act* on every name; what became of each, whatever became of the others."""
    if not isinstance(names, list):
        raise RPCError(Faults.INCORRECT_PARAMETERS, "a list of names is needed")
    return [_result(name, act) for name in names]


def _result(name: str, act: Callable[[str], None]) -> dict[str, Any]:
    status, description = Faults.SUCCESS, "OK"
    try:
        act(name)
    except RPCError as exc:
        status, description = exc.code, exc.text
    return {"name": name, "status": status, "description": description}


def _check_sections(parser: Any, name: str) -> None:
    if parser.sections() != [f"program:{name}"] or parser.defaults():
        raise ValueError(f"the file holds something else than [program:{name}]")


def _check_program(config: Any, name: str) -> None:
    names = [process_config.name for process_config in config.process_configs]
    if names != [name]:
        raise RPCError(Faults.CANT_REREAD, f"{name}: the section defines {names}")
    (process_config,) = config.process_configs
    if process_config.environment.get(MARKER) != name:
        raise RPCError(Faults.CANT_REREAD, f"{name}: the section is not marked as Cyme's")
    if process_config.autostart:
        raise RPCError(Faults.CANT_REREAD, f"{name}: the section would start by itself")
