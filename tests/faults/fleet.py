"""A branch, the workers it should have, and what is wrong with them at this moment."""

from __future__ import annotations

import os
import re
import secrets
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from supervisor.xmlrpc import SupervisorTransport

from tests.acceptance import processes
from tests.acceptance.harness import BranchHost
from tests.faults.asking import Said, ask
from tests.support import eventually

APP = "yard"
TREE = ("cyme:broker", "cyme:web", "cyme:branch")
#: In the root, and gone or grown at any time.
_VOLATILE = re.compile(r"branch\.(db-wal|db-shm|log(\.\d)?)|.*\.log(\.\d)?|.*\.tmp|broker/.*")
#: Limits to choose from: none is less than a worker's lower one.
_MOSTS = (2, 3, 4)


@dataclass
class Wanted:
    """What was asked for, and accepted."""

    limits: tuple[int, int] = (1, 1)
    queues: set[str] = field(default_factory=set)
    #: Where it is another than the branch's.
    broker: str | None = None


class Fleet:
    """Keeps what it asked for, and compares: never with the branch's word alone."""

    def __init__(self, host: BranchHost, yard: Path) -> None:
        self.host = host
        self.wanted: dict[str, Wanted] = {}
        host.post(f"/{APP}/", 201, celery_app="yard:app", directory=str(yard))

    # What is asked for

    def add(self, name: str, limits: tuple[int, int] = (1, 1), *queues: str, **more: Any) -> None:
        for queue in queues:
            # One that is there already is no harm.
            assert self.host.client.post(f"/{APP}/queues/{queue}/").is_success
        most, least = limits
        values = {"max_concurrency": most, "min_concurrency": least, "queues": list(queues)}
        self.host.make(APP, name, **values, **more)
        self.wanted[name] = Wanted(limits, set(queues), more.get("broker"))

    def scale(self, name: str, **query: Any) -> bool:
        """Ask for other limits; whether the branch has accepted that."""
        before, least = self.wanted[name].limits
        most = secrets.choice([each for each in _MOSTS if each != before])
        limits = (most, least)
        path = f"/{APP}/instances/{name}/autoscale/"
        body = {"max": limits[0], "min": limits[1], **query}
        try:
            response = self.host.client.post(path, json=body)
        except httpx.TransportError:
            # It may have been stored: then both are right, so it is asked again.
            return False
        if response.status_code in (200, 202, 408):
            self.wanted[name].limits = limits
            return True
        return False

    def said(self) -> dict[str, Said]:
        """What the workers say of themselves, by node."""
        nodes: dict[str, set[str]] = {}
        for name, wanted in self.wanted.items():
            broker = wanted.broker or self.host.broker
            nodes.setdefault(broker, set()).add(f"{name}@{self.host.id}")
        said: dict[str, Said] = {}
        for broker, names in nodes.items():
            said.update(ask(broker, names))
        return said

    # What there is

    @contextmanager
    def supervisor(self) -> Iterator[Any]:
        """The methods that supervisorctl calls."""
        password = self.host.settings["supervisor_password"]
        transport = SupervisorTransport("cyme", password, self._socket)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport) as proxy:
            yield proxy.supervisor

    def supervised(self) -> dict[str, tuple[str, int]]:
        """State and pid of every program, in supervisord's words."""
        with self.supervisor() as supervisor:
            entries: Any = supervisor.getAllProcessInfo()
        return {
            each["name"] if each["name"] == each["group"] else f"{each['group']}:{each['name']}": (
                each["statename"],
                each["pid"],
            )
            for each in entries
        }

    @property
    def _socket(self) -> str:
        return f"unix://{self.host.root}/supervisord.sock"

    def pids(self) -> dict[str, int]:
        """Of every program that runs."""
        return {name: pid for name, (_, pid) in self.supervised().items() if pid}

    def mains(self) -> dict[str, list[int]]:
        """Workers of this branch in ``/proc``, by name, whether it wants them or not."""
        pattern = re.compile(rb"([\w.-]+)@" + re.escape(self.host.id.encode()) + rb"(?![\w.-])")
        found: dict[str, list[int]] = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                match = pattern.search(Path(f"/proc/{entry}/cmdline").read_bytes())
                if match and os.getpgid(pid := int(entry)) == pid and processes.is_running(pid):
                    found.setdefault(match[1].decode(), []).append(pid)
        return found

    def misfits(self) -> list[str]:
        """What is not as it was asked for: in ``/proc``, supervisord and the workers' words."""
        try:
            supervised = self.supervised()
        except (OSError, xmlrpc.client.Error) as exc:
            return [f"supervisord: {exc}"]
        return self._strangers() + self._misplaced(supervised) or self._misled(supervised)

    def _strangers(self) -> list[str]:
        found = self.mains()
        wrong = [f"{name}: runs unasked" for name in sorted(found.keys() - self.wanted.keys())]
        return wrong + [
            f"{name}: {len(found.get(name, []))} processes"
            for name in sorted(self.wanted)
            if len(found.get(name, [])) != 1
        ]

    def _misplaced(self, supervised: dict[str, tuple[str, int]]) -> list[str]:
        mains = self.mains()
        return [
            f"{name}: supervisord has {supervised.get(name)}, /proc {mains.get(name)}"
            for name in sorted(self.wanted)
            if mains.get(name) != [supervised.get(name, ("", 0))[1]]
        ]

    def _misled(self, supervised: dict[str, tuple[str, int]]) -> list[str]:
        said = self.said()
        wrong = []
        for name, wanted in sorted(self.wanted.items()):
            answer = said.get(f"{name}@{self.host.id}")
            if answer is None:
                wrong.append(f"{name}: silent")
                continue
            if answer.pids != {supervised[name][1]}:
                wrong.append(f"{name}: {answer.pids} answer, not {supervised[name][1]}")
            if answer.autoscale not in (None, wanted.limits):
                wrong.append(f"{name}: limits {answer.autoscale}, not {wanted.limits}")
            if answer.queues != wanted.queues | {f"dq.{name}"}:
                wrong.append(f"{name}: consumes {answer.queues}")
        return wrong

    def forgotten(self) -> list[str]:
        """Accepted changes that the branch does not have any more."""
        wrong = []
        shown = self.host.get(f"/{APP}/instances/")
        if set(shown) != set(self.wanted):
            wrong.append(f"instances {sorted(shown)}")
        for name, wanted in sorted(self.wanted.items()):
            said = self.host.get(f"/{APP}/instances/{name}/")
            limits = (said["max_concurrency"], said["min_concurrency"])
            if limits != wanted.limits or set(said["queues"]) != wanted.queues:
                wrong.append(f"{name}: stored {limits} {said['queues']}")
        return wrong

    def is_right(self) -> bool:
        """Use with ``eventually``: what is wrong is its message."""
        wrong = self.misfits()
        assert not wrong, wrong
        return True

    def settle(self, within_s: float = 30.0) -> None:
        eventually(self.is_right, within_s, every_s=0.02)
        eventually(self.host.is_up, within_s)

    def ripen(self, *names: str) -> None:
        """Until supervisord counts them as running.

        One that ends before is started again later each time.
        """
        for name in names:
            eventually(lambda name=name: self.supervised()[name][0] == "RUNNING", 20, every_s=0.1)

    # What may be left behind

    def things(self) -> set[str]:
        """Files in the root, keys at the broker, and processes that are nobody's."""
        return self._files() | self._keys() | self._orphans()

    def _files(self) -> set[str]:
        root = self.host.root
        names = {str(path.relative_to(root)) for path in root.rglob("*")}
        return {f"file {name}" for name in names if not _VOLATILE.fullmatch(name)}

    def _keys(self) -> set[str]:
        if not self.host.broker.startswith("redis"):
            return set()
        kept: set[str] = set()
        own = {f"{name}@{self.host.id}" for name in self.wanted}
        # So does the branch what it hears by, where somebody has emptied the broker.
        own |= {f"srs.queue.{kind}.{self.host.id}" for kind in ("create", "update", "query")}
        with redis.Redis.from_url(self.host.broker, decode_responses=True) as server:
            for key in server.scan_iter(count=1000):
                # A lock that expires, and what a reader has not fetched yet.
                if server.ttl(key) >= 0 or server.type(key) == "list":
                    continue
                members = server.smembers(key) if server.type(key) == "set" else [""]
                kept |= {f"key {key} {member}" for member in members}
        # A worker that starts anew binds its mailbox anew.
        return {key for key in kept if not any(node in key for node in own)}

    def _orphans(self) -> set[str]:
        assert self.host.process is not None
        main = psutil.Process(self.host.process.pid)
        known = {main.pid, *(child.pid for child in main.children(recursive=True))}
        there = processes.with_a_foot_in(str(self.host.folder))
        return {f"process {processes.described(pid)}" for pid in there if pid not in known}
