"""A branch whose programs are run by a supervisord that was there before it.

``cyme-branch`` gives them to it, waits until it is told to end, and takes them
out again; workers go on meanwhile, and after it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyme_supd.config import Config, Paths
from cyme_supd.domain.naming import listed
from cyme_supd.domain.supervisor import parse_supervisor
from cyme_supd.errors import CymeError, NotFound, ShuttingDown, Unavailable
from cyme_supd.supervisord.client import ENDED, Supervisord
from cyme_supd.supervisord.conf import render_attached_conf
from cyme_supd.supervisord.host import HostSupervisord, check_not_elsewhere
from cyme_supd.supervisord.rendering import encode
from cyme_supd.supervisord.wiring import calls_of, sections_of

WATCH_EVERY_S = 1.0
#: What a person at a terminal types, and what supervisord and a closed terminal send.
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_REPORT_EVERY_S = 2.0
_LOOK_EVERY_S = 0.2


def check_elsewhere(before: Config | None, wanted: Mapping[str, Any]) -> None:
    """Raises ``Conflict`` where a supervisord that is not the *wanted* one has the branch."""
    if before is None or not before.is_attached:
        return
    where, conf_dir = before.supervisord, Path(before.conf_dir)
    url = wanted.get("supervisor") or ""
    # Its user and password may have changed.
    is_same = bool(url) and parse_supervisor(url).path == where.path
    if not is_same or Path(wanted["conf_dir"]) != conf_dir:
        check_not_elsewhere(before.paths.root, where, conf_dir)


def reach(paths: Paths, wanted: Mapping[str, Any]) -> HostSupervisord | None:
    """The supervisord to attach to, which runs neither web nor branch of this root any
    more; ``None`` where the branch is to have one of its own."""
    if not wanted.get("supervisor"):
        return None
    where = parse_supervisor(wanted["supervisor"])
    server = Supervisord(Path(where.path), where.password, where.userid)
    host = HostSupervisord(server, paths.root, Path(wanted["conf_dir"]))
    host.check()
    host.stop("web", "branch")
    return host


def bring_up(
    host: HostSupervisord, config: Config, programs: Sequence[str], instances: Mapping[str, int]
) -> list[str]:
    """Write the sections of all *instances* and have the branch's own programs run."""
    sections = sections_of(config)
    others = sections.others() | host.others(sections)
    for name in sorted(instances.keys() - others):
        sections.write(name, instances[name])
    # From here on there is something to take out again.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    host.bring_up(encode(render_attached_conf(config.paths.root, programs)))
    warnings = list(host.warnings)
    if taken := sorted(instances.keys() & others):
        message = f"{listed(taken)}: supervisord has programs of others by these names"
        warnings.append(f"{message}, so that instances of them cannot run")
    return warnings


class Attachment:
    """What the foreground process does while the branch is attached."""

    def __init__(self, host: HostSupervisord, config: Config, say: Callable[[str], None]) -> None:
        self._host = host
        self._config = config
        self._say = say
        self._calls = calls_of(config)
        self._pid = host.pid()
        # Not its number, which another may have after it.
        self._process = os.pidfd_open(self._pid)

    def attend(self, stops_workers: bool) -> None:
        """Until a signal, then let go; raises ``Unavailable`` when supervisord is gone."""
        while signal.sigtimedwait(_ENDS, WATCH_EVERY_S) is None:
            self._check_alive()
            self._start_again()
        try:
            self._let_go(stops_workers)
        except ShuttingDown:
            self._say("supervisord is stopping, and ends the workers with all the rest")

    def _check_alive(self) -> None:
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        if poll.poll(0):
            message = f"supervisord, process {self._pid}, is gone"
            raise Unavailable(message, "its workers end with it")

    def _start_again(self) -> None:
        # While it reloads it refuses, or is not there; whether it has ended its
        # descriptor tells.
        with suppress(CymeError):
            if self._host.is_reloaded():
                self._say("supervisord was reloaded, and starts nothing of Cyme's: started again")
                self._host.start()

    def _let_go(self, stops_workers: bool) -> None:
        # First who would start the workers again.
        self._host.stop("branch")
        if not stops_workers:
            self._host.stop("web")
            self._say("web and branch have ended; workers go on (--stop-workers ends them, too)")
            return
        self._end_workers()
        self._host.stop()
        self._host.take_out()
        self._say("nothing of Cyme's is left in supervisord")

    def _end_workers(self) -> None:
        """Warmly; at the second signal at once."""
        names = [one["name"] for one in self._workers()]
        self._act(self._calls.stop, names)
        report_at = time.monotonic() + _REPORT_EVERY_S
        while left := [one["name"] for one in self._workers() if one["state"] not in ENDED]:
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + _REPORT_EVERY_S
                self._say(f"still finishing: {listed(left)}")
            if signal.sigtimedwait(_ENDS, _LOOK_EVERY_S) is not None:
                self._act(self._calls.kill, left)
        self._act(self._calls.remove, names)
        sections = sections_of(self._config)
        for name in sections.names():
            sections.restore(name, None)

    def _workers(self) -> list[dict[str, Any]]:
        answer = self._calls.changes("", 0, lambda: False)
        return [one for one in answer["programs"] if one["ours"]] if answer else []

    def _act(self, act: Callable[[Sequence[str]], None], names: Sequence[str]) -> None:
        try:
            act(names)
        except NotFound:
            # Somebody else has removed one meanwhile.
            return
        except ShuttingDown:
            raise
        except CymeError as exc:
            self._say(str(exc))
