"""A real supervisord with the extension, for tests that need one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from cyme_supd.config import Paths
from cyme_supd.errors import CymeError
from cyme_supd.supervisord.client import Supervisord
from cyme_supd.supervisord.conf import Tree, render_supervisord_conf
from cyme_supd.supervisord.programs import SupervisordPrograms
from cyme_supd.supervisord.rendering import encode
from cyme_supd.supervisord.sections import SectionFiles
from cyme_supd.supervisord.stock import StockSupervisord
from tests.support import eventually

CHECKOUT = Path(__file__).resolve().parents[1]
PASSWORD = "s3cr3t%;#"

#: Ends when it is asked to, at once.
SLEEP = ["/bin/sleep", "1000"]


def python(code: str, *args: str) -> list[str]:
    """What runs *code* in an interpreter that starts fast."""
    return [sys.executable, "-I", "-S", "-c", code, *args]


def lingering(seconds: float) -> list[str]:
    """Something that takes *seconds* to end after SIGTERM, and says when it is ready."""
    return python(
        "import os, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(float(sys.argv[1]))\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "open(os.environ['CYME_LAUNCH_DIRECTORY'] + '/ready', 'w').close()\n"
        "while True: signal.pause()\n",
        str(seconds),
    )


def without_extension(conf: str) -> str:
    """As that of a supervisord that was there before Cyme."""
    before, _, rest = conf.partition("[rpcinterface:cyme]")
    return before + rest[rest.index("[ctlplugin") :]


class SupervisedTree:
    """A branch's root with its supervisord; ``programs`` of its tree run SLEEP
    unless :meth:`launch_tree` was told otherwise."""

    def __init__(
        self, root: Path, programs: Sequence[str] = (), extra: str = "", loglevel: str = "INFO"
    ) -> None:
        self.paths = Paths(root)
        for folder in (root, self.paths.sections, self.paths.instances, self.paths.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        for name in programs:
            self.launch_tree(name, SLEEP)
        conf = render_supervisord_conf(Tree(root, PASSWORD, tuple(programs), loglevel))
        self.paths.supervisord_conf.write_bytes(encode(conf + extra))
        self.client = Supervisord(self.paths.supervisord_socket, PASSWORD)
        self.sections = SectionFiles(root)
        self.programs = SupervisordPrograms(self.client, self.sections)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> Path:
        return self.paths.root / "output"

    def start(
        self,
        stdout: Any = None,
        within_s: float = 20.0,
        code: Path = CHECKOUT,
        environment: Mapping[str, str] | None = None,
    ) -> SupervisedTree:
        """Start supervisord with the extension that is in *code*."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cyme_supd.supervisord.daemon", "-c", self._conf],
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(code), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout or output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        eventually(self.is_up, within_s)
        return self

    def is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"supervisord ended: {self.output.read_text()}")
        try:
            return bool(self.client.extension())
        except CymeError:
            return False

    def descriptors(self) -> list[str]:
        """What supervisord has open, as the kernel calls it."""
        names = []
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                names.append(os.readlink(entry))
        return names

    def sockets(self) -> int:
        """Its own, and one for every caller."""
        return sum(name.startswith("socket:") for name in self.descriptors())

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, within_s: float = 20.0) -> int:
        assert self.process is not None
        return self.process.wait(within_s)

    def end(self) -> None:
        """Whatever is left of it, at once."""
        if self.process is None:
            return
        left = self.children()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        left += self._launched()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # Nobody may be there to reap them.
        eventually(lambda: not any(is_alive(process.pid) for process in left))

    def _launched(self) -> list[psutil.Process]:
        """What a launcher of this tree became or left, whoever its parent is now."""
        root = f"{self.paths.root}/"
        return [
            process
            for process in psutil.process_iter(["environ"])
            if ((process.info["environ"] or {}).get("CYME_LAUNCH_DIRECTORY", "")).startswith(root)
        ]

    def children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def ctl(self, *words: str) -> str:
        """What supervisorctl says to *words*."""
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", self._conf, *words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr

    def launch_tree(self, name: str, argv: list[str]) -> None:
        folder = self.paths.programs / name
        self.write_launch(folder, argv=argv, log=False, death_signal="KILL")

    def launch(self, name: str, argv: list[str], **more: Any) -> None:
        self.write_launch(self.paths.instances / name, argv=argv, **more)

    def write_launch(self, folder: Path, **content: Any) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "launch.json").write_text(json.dumps({"identity": "i", **content}))

    def run(self, name: str, argv: list[str] = SLEEP, stop_timeout_s: int = 20, **more: Any) -> int:
        """Apply and start the worker, *more* being in its launch file; its pid."""
        self.launch(name, argv, **more)
        self.programs.apply(name, stop_timeout_s)
        self.client.start([name])
        return self.pid_of(name)

    def run_ready(self, name: str, argv: list[str], stop_timeout_s: int = 20, **more: Any) -> int:
        """The same, for a script that leaves ``ready`` in its folder."""
        pid = self.run(name, argv, stop_timeout_s, **more)
        ready = self.paths.instances / name / "ready"
        eventually(ready.exists)
        return pid

    def program(self, name: str) -> dict[str, Any]:
        """The extension's record of the program; empty where there is none."""
        answer = self.client.changes("", 0)
        assert answer is not None
        return next((record for record in answer["programs"] if record["name"] == name), {})

    def state(self, name: str) -> str:
        return str(self.program(name).get("state", ""))

    def pid_of(self, name: str) -> int:
        return int(self.program(name)["pid"])

    def position(self) -> str:
        answer = self.client.changes("", 0)
        assert answer is not None
        return str(answer["position"])

    def log(self) -> str:
        return self.paths.log.read_text()

    @property
    def _conf(self) -> str:
        return str(self.paths.supervisord_conf)


class StockTree(SupervisedTree):
    """The same with a supervisord that has no extension; Cyme's files lie among others'."""

    def __init__(self, root: Path, extra: str = "") -> None:
        super().__init__(root, extra=extra)
        conf = self.paths.supervisord_conf
        conf.write_text(without_extension(conf.read_text()))
        self.sections = SectionFiles(root, shared=self.paths.sections)
        stock = StockSupervisord(self.client, self.sections)
        self.programs = SupervisordPrograms(stock, self.sections)

    def is_up(self) -> bool:
        try:
            return bool(self.client.call("supervisor.getPID"))
        except CymeError:
            return False


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
