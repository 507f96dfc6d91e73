"""A host's own supervisord, as Debian packages it, with programs that are no business of Cyme's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

import cyme_supd
from tests.acceptance.harness import plain_environment
from tests.services import program, started
from tests.support import eventually

#: Not the one of the environment that the tests run in.
SUPERVISORD = "/usr/bin/supervisord"
CONF = Path(__file__).parents[1] / "conf"
IN_FOLDER = ("mail", "proxy", "shop")
FOREIGN = ("cron", *IN_FOLDER)
_HERS = """
[unix_http_server]
file={folder}/supervisor.sock
chmod=0700

[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/supervisor.sock

[include]
files = {folder}/conf.d/*.conf
"""


class Debian:
    """The supervisord in *folder*; with Cyme's extension loaded as its drop-in says, or without."""

    def __init__(self, folder: Path, has_extension: bool) -> None:
        self.folder = folder
        self.has_extension = has_extension
        self.conf_dir = folder / "conf.d"
        self.url = f"unix://{folder}/supervisor.sock"
        self.main: psutil.Process

    @property
    def conf(self) -> Path:
        return self.folder / "supervisord.conf"

    def write(self) -> None:
        self.conf_dir.mkdir()
        self.conf.write_text(_HERS.format(folder=self.folder))
        # Not all of a host's programs have to be in the folder.
        with self.conf.open("a") as file:
            file.write("\n[program:cron]\ncommand=/bin/sleep 10000\n")
        for name in IN_FOLDER:
            text = f"[program:{name}]\ncommand=/bin/sleep 10000\n"
            (self.conf_dir / f"{name}.conf").write_text(text)
        if self.has_extension:
            (self.folder / "python").mkdir()
            package = Path(cyme_supd.__file__).parent
            (self.folder / "python" / "cyme_supd").symlink_to(package)
            text = (CONF / "cyme-extension.conf").read_text()
            text = text.replace("=/etc/supervisor/conf.d", f"={self.conf_dir}")
            (self.conf_dir / "cyme-extension.conf").write_text(text)

    @property
    def attach(self) -> tuple[str, ...]:
        """The options of a branch that is to be attached."""
        return ("--supervisor", self.url, "--conf-dir", str(self.conf_dir))

    @property
    def environment(self) -> dict[str, str]:
        path = {"PYTHONPATH": str(self.folder / "python")} if self.has_extension else {}
        return {**plain_environment(), **path}

    def told(self) -> list[dict[str, Any]]:
        transport = SupervisorTransport("", "", self.url)
        with ServerProxy("http://127.0.0.1", transport) as server:
            told: Any = server.supervisor.getAllProcessInfo()
            return list(told)

    def programs(self) -> dict[str, str]:
        """States, by full name."""
        names = {(one["group"], one["name"]): one["statename"] for one in self.told()}
        return {
            name if name == group else f"{group}:{name}": state
            for (group, name), state in names.items()
        }

    def foreign(self) -> dict[str, tuple[int, float]]:
        """Process and its beginning of each of the programs that Cyme must leave alone."""
        pids = {one["name"]: one["pid"] for one in self.told() if one["group"] in FOREIGN}
        return {name: (pid, psutil.Process(pid).create_time()) for name, pid in pids.items()}

    def is_up(self) -> bool:
        try:
            states = self.programs()
        except (OSError, Fault):
            return False
        return all(states.get(name) == "RUNNING" for name in FOREIGN)

    def log(self) -> str:
        return (self.folder / "supervisord.log").read_text()

    def kill(self) -> None:
        """At once, with its programs: the foreign ones do not follow it by themselves."""
        with suppress(psutil.NoSuchProcess):
            family = self.main.children(recursive=True)
            for each in (self.main, *family):
                with suppress(psutil.NoSuchProcess):
                    each.kill()

    def ctl(self, *words: str) -> str:
        done = subprocess.run(
            ["/usr/bin/supervisorctl", "-c", str(self.conf), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr


@contextmanager
def debian(folder: Path, has_extension: bool) -> Iterator[Debian]:
    """One that runs; whatever is left of it is ended at the end."""
    made = Debian(folder, has_extension)
    made.write()
    command = [program(SUPERVISORD, "supervisor"), "-n", "-c", str(made.conf)]
    with started(command, folder / "output", made.environment) as process:
        made.main = psutil.Process(process.pid)
        try:
            eventually(made.is_up)
            yield made
        finally:
            made.kill()
