"""Hosts that are network namespaces, around one in which their services can be reached.

Each host has a line of its own to the services' namespace; what is to be lost
on it is lost there: nothing is closed, and nobody is told. Needs root, and
Linux's ``ip`` and ``nft``. Nothing of it is in the machine's own network.
"""

from __future__ import annotations

import ctypes
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpcore
import httpx
import psycopg

from tests.acceptance.harness import HTTP_TIMEOUT_S, BranchHost
from tests.databases import POSTGRESQL, private
from tests.relay import Relay
from tests.services import program

ADDRESSES = "192.0.2.0/24"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def within(namespace: str) -> Iterator[None]:
    """This thread's sockets are of that namespace, and the processes that it starts."""
    with Path("/proc/thread-self/ns/net").open() as home:
        with Path(f"/run/netns/{namespace}").open() as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Line:
    """Between *host* and the services: *port* is the service's at its far end."""

    host: str
    services: str
    device: str
    port: int

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing passes, in either direction."""
        with self._dropping(""):
            yield

    @contextmanager
    def losing(self, percent: int) -> Iterator[None]:
        """So many of a hundred packets are lost, in each direction."""
        with self._dropping(f"numgen random mod 100 < {percent}"):
            yield

    @contextmanager
    def _dropping(self, chance: str) -> Iterator[None]:
        # Where they arrive: who sends is not told.
        rules = (
            (self.host, f"tcp sport {self.port} {chance} drop"),
            (self.services, f'iifname "{self.device}" tcp dport {self.port} {chance} drop'),
        )
        table = f"{self.device}-{self.port}"
        try:
            for namespace, rule in rules:
                chain = f"{table} input"
                _run(
                    "nft",
                    f"add table inet {table};"
                    f"add chain inet {chain} {{ type filter hook input priority 0; }};"
                    f"add rule inet {chain} {rule}",
                    namespace=namespace,
                )
            yield
        finally:
            for namespace, _ in rules:
                # Also where it was not made.
                text = f"add table inet {table}; delete table inet {table}"
                _run("nft", text, namespace=namespace)


@dataclass
class Network:
    """Its hosts, by their namespaces; what they reach is named by URLs without it."""

    names: list[str] = field(default_factory=list)
    services: str = field(default_factory=lambda: f"cyme-{secrets.token_hex(3)}-s")
    _ports: dict[str, int] = field(default_factory=dict)

    def line(self, number: int, url: str) -> Line:
        return Line(self.names[number], self.services, _device(number), self._ports[url])

    def url(self, number: int, url: str) -> str:
        """What *url* is for that host."""
        parts = urlsplit(url)
        userinfo = parts.netloc.rpartition("@")[0]
        place = f"{_address(number, 1)}:{self._ports[url]}"
        return parts._replace(netloc=f"{userinfo}@{place}").geturl()

    @contextmanager
    def passing_on(self, url: str) -> Iterator[None]:
        """To a service of this machine, which does not notice who is cut off."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        with within(self.services):
            listener = socket.create_server(("0.0.0.0", 0))
        relay = Relay(parts.hostname, parts.port, listener)
        self._ports[url] = relay.port
        try:
            yield
        finally:
            relay.close()

    @contextmanager
    def postgresql(self) -> Iterator[str]:
        """The URL of a database of a PostgreSQL that runs in the network itself."""
        with ExitStack() as served:
            with within(self.services):
                server = served.enter_context(private(POSTGRESQL, ADDRESSES))
                url = served.enter_context(server.database())
            self._ports[url] = server.port
            try:
                yield url
            finally:
                with within(self.services):
                    served.close()

    def sessions(self, url: str) -> int:
        """How many Cyme has at the PostgreSQL of *url*, for all that it knows."""
        with within(self.services), psycopg.connect(url) as connection:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cyme'"
            return int(connection.execute(asked).fetchone()[0])  # type: ignore[index]


@contextmanager
def network(count: int) -> Iterator[Network]:
    """So many hosts, and a namespace in which they find services."""
    program("ip", "iproute2")
    program("nft", "nftables")
    made = Network()
    with ExitStack() as ends:
        ends.enter_context(_namespace(made.services))
        for number in range(count):
            name = f"{made.services[:-2]}-{number}"
            ends.enter_context(_namespace(name))
            _connect(name, made.services, number)
            made.names.append(name)
        yield made


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        _run("ip", "netns", "del", name)


def _connect(host: str, services: str, number: int) -> None:
    """Made in the one and given to the other: this machine's own never sees it."""
    device = _device(number)
    _run("ip", "-n", services, *f"link add {device} type veth peer name wire netns {host}".split())
    for namespace, name, end in ((services, device, 1), (host, "wire", 2)):
        _run("ip", "-n", namespace, "addr", "add", f"{_address(number, end)}/30", "dev", name)
        _run("ip", "-n", namespace, "link", "set", name, "up")


def _device(number: int) -> str:
    return f"host{number}"


def _address(number: int, end: int) -> str:
    return f"192.0.2.{4 * number + end}"


def _run(*words: str, namespace: str | None = None) -> None:
    there = ("ip", "netns", "exec", namespace) if namespace else ()
    done = subprocess.run([*there, *words], capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


class NamespaceHost(BranchHost):
    """A branch on a host of a network; it is asked on that host's loopback."""

    def __init__(self, namespace: str, *arguments: str, broker: str, fleet: str) -> None:
        super().__init__(*arguments, broker=broker, fleet=fleet)
        self._namespace = namespace
        self.client.close()
        transport = httpx.HTTPTransport()
        transport._pool._network_backend = _Backend(namespace)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=HTTP_TIMEOUT_S, transport=transport
        )

    def spawn(self, *words: str) -> None:
        with within(self._namespace):
            super().spawn(*words)

    def left_behind(self) -> list[str]:
        # Ports are those of its own network.
        with within(self._namespace):
            return super().left_behind()


class _Backend(httpcore.SyncBackend):
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def connect_tcp(self, *args: object, **kwargs: object) -> httpcore.NetworkStream:
        with within(self._namespace):
            return super().connect_tcp(*args, **kwargs)  # type: ignore[arg-type]
