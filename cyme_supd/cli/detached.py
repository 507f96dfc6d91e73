"""``--detach``: the branch goes on in the background; who started it hears when it is ready."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from cyme_supd.branch.readiness import NOTIFY_SOCKET, READY, notify
from cyme_supd.config import Config
from cyme_supd.errors import CymeError, Timeout, Unavailable

#: A branch with hundreds of workers and a slow disk is ready sooner.
READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.2
_INTERRUPTED = 128 + signal.SIGINT
#: Beside what systemd knows: where the branch says what no log has.
_SAYS_IN = "X_CYME_SAYS_IN="
_MOST_SAID = 2000


def go_on_in_the_background(ready_within_s: float = READY_WITHIN_S) -> None:
    """Fork. Returns in the child, which is to become the branch; the parent exits
    when that is ready, with its code when it ends instead, or after so long.

    Before the root is locked: its lock belongs to the process that takes it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        name = f"cyme-{secrets.token_hex(8)}"
        ear.bind("\0" + name)
        ear.settimeout(_LOOK_EVERY_S)
        child = os.fork()
        if child == 0:
            os.setsid()
            os.environ[NOTIFY_SOCKET] = f"@{name}"
            return
        try:
            _await(ear, child, ready_within_s)
        except KeyboardInterrupt:
            os.kill(child, signal.SIGTERM)
            sys.exit(_INTERRUPTED)
        except CymeError as exc:
            click.echo(f"cyme-branch: {exc}", err=True)
            sys.exit(exc.exit)
    click.echo(f"  ready   process {child}; end it with: kill {child}")
    sys.exit(0)


def let_go_of_the_terminal(config: Config) -> None:
    """Just before it becomes supervisord: what that says before it has a log goes to a file."""
    path = Path(config.root) / "start.log"
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(said)
    # No file system is kept from being unmounted but the root's.
    os.chdir(config.root)
    notify(os.environ[NOTIFY_SOCKET], f"{_SAYS_IN}{path}")


def _await(ear: socket.socket, child: int, within_s: float) -> None:
    said = ""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        heard = _hear(ear)
        if heard == READY:
            return
        said = heard.removeprefix(_SAYS_IN) or said
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _show(said)
            sys.exit(os.waitstatus_to_exitcode(status) or Unavailable.exit)
    raise Timeout(
        f"process {child} is not ready yet, and goes on trying",
        f"its log says why; end it with: kill {child}",
    )


def _hear(ear: socket.socket) -> str:
    try:
        return ear.recv(4096).decode()
    except TimeoutError:
        return ""


def _show(path: str) -> None:
    """The end of what it said there; before it had that file it spoke for itself."""
    with suppress(OSError):
        click.echo(Path(path).read_text(errors="replace")[-_MOST_SAID:], err=True, nl=False)
