"""Several real branches of one fleet, and how they are done harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

from tests.acceptance import processes
from tests.acceptance.harness import BranchHost, unique
from tests.databases import POSTGRESQL, Server
from tests.support import eventually

EMBEDDED, VALKEY, RABBITMQ = "embedded", "valkey", "rabbitmq"
INTERVAL_S = "1"
#: Three beats of two seconds, and what this machine takes.
LAPSED_WITHIN_S = 6.0 + 3.0
#: Two beats, and likewise.
KNOWN_WITHIN_S = 4.0 + 3.0
BACK_WITHIN_S = 40.0


@dataclass
class Grounds:
    """What the branches share. Without a *broker* it is that of the first of them."""

    broker: str | None = None
    database: str | None = None
    fleet: str = field(default_factory=lambda: unique("fleet"))

    def host(self, name: str) -> BranchHost:
        """One that has not been started; its root is given as in the first document."""
        id = unique(name)
        given = {"CYME_DATABASE": self.database} if self.database else {}
        return BranchHost(
            *("-i", id, "-D", f"cyme/{name}/", "--sup-interval", INTERVAL_S),
            name=f"cyme/{name}",
            broker=self.broker,
            environment=given,
            fleet=self.fleet,
        )

    @contextmanager
    def branches(self, *names: str) -> Iterator[list[BranchHost]]:
        """Those of these names, which know of one another."""
        with ExitStack() as ends:
            hosts = []
            for name in names:
                host = self.host(name)
                hosts.append(ends.enter_context(host))
                host.launch()
                if self.broker is None:
                    host.await_up()
                    self.broker = host.broker
            for host in hosts:
                host.await_up()
            eventually(lambda: all_know(hosts))
            # The first takes its broker with it.
            for host in hosts:
                ends.callback(host.end)
            yield hosts


@contextmanager
def grounds(request: pytest.FixtureRequest, broker: str, has_database: bool) -> Iterator[Grounds]:
    """For a *broker* of these names; with a PostgreSQL for all of them, or none."""
    with ExitStack() as ends:
        made = Grounds(None if broker == EMBEDDED else request.getfixturevalue(f"{broker}_url"))
        if has_database:
            server: Server = request.getfixturevalue(POSTGRESQL)
            made.database = ends.enter_context(server.database())
        yield made


def ids(hosts: Sequence[BranchHost]) -> list[str]:
    return sorted(host.id for host in hosts)


def all_know(hosts: Sequence[BranchHost]) -> bool:
    """Whether each lists all of them, and nobody else."""
    try:
        return all(host.get("/branches/") == ids(hosts) for host in hosts)
    except httpx.TransportError:
        # A web that was killed a moment ago.
        return False


def kill_all_of(host: BranchHost) -> None:
    """The whole tree at once, as a host that loses its power."""
    assert host.process is not None
    tree = psutil.Process(host.process.pid)
    family = tree.children(recursive=True)
    os.kill(tree.pid, signal.SIGKILL)
    processes.kill_all(each.pid for each in family)
    host.process.wait()
    eventually(lambda: not host.residents())


def of(hosts: Sequence[BranchHost], id: Any) -> BranchHost:
    (found,) = [host for host in hosts if host.id == id]
    return found
