"""PostgreSQL and MariaDB for the tests: found, or brought up, as other services are."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

from cyme_supd.store.models import metadata
from tests.services import ServiceMissing, comes_up, free_port, install, started, wait_until

POSTGRESQL, MARIADB = "postgresql", "mariadb"
_PORTS = {POSTGRESQL: 5432, MARIADB: 3306}
_USERS = {POSTGRESQL: ("postgres", "root"), MARIADB: ("root",)}
_DRIVERS = {POSTGRESQL: "postgresql+psycopg", MARIADB: "mysql+pymysql"}
_AT_HOME = {POSTGRESQL: "postgres", MARIADB: "mysql"}
_DROP = {POSTGRESQL: "DROP DATABASE {} WITH (FORCE)", MARIADB: "DROP DATABASE {}"}
#: A database in which nothing is as Cyme wants it, unless it says so.
_MAKE = {
    POSTGRESQL: "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0",
    MARIADB: "CREATE DATABASE {} CHARACTER SET latin1",
}
#: Debian's packages, and a program that each brings.
_PACKAGES = {
    POSTGRESQL: ("postgresql", ("pg_ctlcluster",)),
    MARIADB: ("mariadb-server", ("mariadb-install-db",)),
}
_MAKERS = {POSTGRESQL: "initdb", MARIADB: "mariadb-install-db"}
UP_WITHIN_S = 30.0


@dataclass(frozen=True)
class Server:
    """One that lets *user* in without a password, and do everything."""

    kind: str
    port: int
    user: str

    def url(self, name: str) -> str:
        return f"{self.kind}://{self.user}@127.0.0.1:{self.port}/{name}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database that is nobody else's, without a table."""
        name = f"cyme_test_{secrets.token_hex(6)}"
        self.execute(_MAKE[self.kind].format(name))
        try:
            yield self.url(name)
        finally:
            self.execute(_DROP[self.kind].format(name))

    def execute(self, statement: str, database: str = "") -> None:
        """As somebody at its shell."""
        name = database or _AT_HOME[self.kind]
        engine = create_engine(
            f"{_DRIVERS[self.kind]}://{self.user}@127.0.0.1:{self.port}/{name}",
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 5},
        )
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def lets_in(self) -> bool:
        try:
            self.execute("SELECT 1")
            return True
        except OperationalError:
            return False


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """The host's, or one that lives until the end."""
    found = _of_the_host(kind)
    if found is None and _programs(kind) is None:
        install(*_PACKAGES[kind])
        comes_up(lambda: _of_the_host(kind) is not None)
        found = _of_the_host(kind)
    if found is not None:
        yield found
        return
    with private(kind) as own:
        yield own


def _of_the_host(kind: str) -> Server | None:
    servers = (Server(kind, _PORTS[kind], user) for user in _USERS[kind])
    return next((each for each in servers if each.lets_in()), None)


@contextmanager
def private(kind: str, network: str = "") -> Iterator[Server]:
    """One that is nobody else's, on a port of its own, and keeps nothing.

    A PostgreSQL may let in the hosts of a *network*, too, such as 192.0.2.0/24.
    """
    programs = _programs(kind)
    if programs is None:
        raise ServiceMissing(f"no {kind}: apt-get install {_PACKAGES[kind][0]}")
    # Not a folder of pytest's: the server runs as somebody who may not go there.
    folder = Path(tempfile.mkdtemp(prefix="cydb", dir="/tmp"))
    user = _AT_HOME[kind] if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    own = Server(kind, free_port(), _USERS[kind][0])
    make, run = _commands(kind, programs, folder / "data", own.port)
    try:
        subprocess.run(
            make,
            user=user,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=120,
        )
        if network:
            with (folder / "data" / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {network} trust\n")
            run = [*run, "-c", "listen_addresses=*"]
        with started(run, folder / "out", {}, user) as process:
            wait_until(own.lets_in, process, folder, UP_WITHIN_S)
            yield own
    finally:
        shutil.rmtree(folder)


def _programs(kind: str) -> Path | None:
    """The folder that has them, if it is installed."""
    # Debian has those of PostgreSQL beside, one version by the other.
    folders = map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    path = ":".join([*folders, os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(_MAKERS[kind], path=path)
    return Path(found).parent if found else None


def _commands(kind: str, programs: Path, data: Path, port: int) -> tuple[list[str], list[str]]:
    if kind == POSTGRESQL:
        words = "--auth=trust --username=postgres --encoding=UTF8 --no-sync"
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        given = [word for setting in settings for word in ("-c", setting)]
        return (
            [str(programs / _MAKERS[kind]), f"--pgdata={data}", *words.split()],
            [str(programs / "postgres"), "-D", str(data), "-p", str(port), *given],
        )
    return (
        [
            str(programs / _MAKERS[kind]),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        [
            shutil.which("mariadbd") or "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={data}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={data}.sock",
            f"--pid-file={data}.pid",
        ],
    )


def empty(engine: Engine) -> None:
    """Take away all rows but that by which writers take turns."""
    with engine.execution_options(cyme_is_writing=True).begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name != "turn":
                connection.execute(table.delete())
