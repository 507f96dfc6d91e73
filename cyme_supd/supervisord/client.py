"""Calls supervisord over its unix socket, and says what its faults mean."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import struct
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from cyme_supd.config import USERNAME
from cyme_supd.errors import (
    Conflict,
    CymeError,
    Internal,
    NotFound,
    ShuttingDown,
    SpawnFailed,
    Unavailable,
)

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 10.0
#: How soon a waiting call notices that it is to give up.
_CANCEL_EVERY_S = 0.5
#: States of a program that has no process, and gets none by itself.
ENDED = ("STOPPED", "EXITED", "FATAL")
#: ``struct ucred``: pid, uid, gid.
_UCRED = struct.Struct("3i")


class Fault(IntEnum):
    """supervisord's own."""

    UNKNOWN_METHOD = 1
    INCORRECT_PARAMETERS = 2
    BAD_ARGUMENTS = 3
    SIGNATURE_UNSUPPORTED = 4
    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    BAD_SIGNAL = 11
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    SUCCESS = 80
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANT_REREAD = 92


#: A method that is not there is the extension that is not there.
ERRORS: dict[int, type[CymeError]] = {
    Fault.UNKNOWN_METHOD: Unavailable,
    Fault.INCORRECT_PARAMETERS: Internal,
    Fault.BAD_ARGUMENTS: Internal,
    Fault.SIGNATURE_UNSUPPORTED: Internal,
    Fault.SHUTDOWN_STATE: ShuttingDown,
    Fault.BAD_NAME: NotFound,
    Fault.BAD_SIGNAL: Internal,
    Fault.NO_FILE: Internal,
    Fault.NOT_EXECUTABLE: SpawnFailed,
    Fault.FAILED: Internal,
    Fault.ABNORMAL_TERMINATION: SpawnFailed,
    Fault.SPAWN_ERROR: SpawnFailed,
    Fault.ALREADY_STARTED: Conflict,
    Fault.NOT_RUNNING: Conflict,
    Fault.SUCCESS: Internal,
    Fault.ALREADY_ADDED: Conflict,
    Fault.STILL_RUNNING: Conflict,
    Fault.CANT_REREAD: Internal,
}
_HINTS = {Fault.UNKNOWN_METHOD: "it runs without Cyme's extension, or with an older one"}


def error(code: int, text: str) -> CymeError:
    """What one of supervisord's faults is to Cyme."""
    hint = next((hint for fault, hint in _HINTS.items() if fault == code), "")
    return ERRORS.get(code, Internal)(f"supervisord: {text}", hint)


class Supervisord:
    """One supervisord with the extension; every call is a connection of its own.

    So threads may share it, and nothing is left over from a supervisord that
    was there before. All methods raise ``Unavailable``, and ``ShuttingDown``
    while it stops; those with names ``NotFound``, ``Conflict``,
    ``SpawnFailed`` or ``Internal`` for the first name that it was about,
    after all of them were tried. *on_call* is told of every call that does not wait
    for something to happen, and how many seconds it took.
    """

    def __init__(
        self,
        path: Path,
        password: str,
        username: str = USERNAME,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        on_call: Callable[[str, float], None] = lambda _method, _seconds: None,
    ) -> None:
        self._path = path
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._on_call = on_call
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {"Content-Type": "text/xml", "Authorization": f"Basic {credentials}"}

    def extension(self) -> dict[str, Any]:
        """``{"version", "epoch", "stopping", "own", "conf_dir"}``; answers while it stops, too."""
        return dict(self.call("cyme.getExtension"))

    def has_extension(self) -> bool:
        return "cyme.getExtension" in self.call("system.listMethods")

    def owner(self) -> int:
        """The user that it was started by, as the kernel knows."""
        connection = _UnixConnection(self._path, self._connect_timeout_s)
        try:
            connection.connect()
            told = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError as exc:
            raise _unreachable(exc) from exc
        finally:
            connection.close()
        return int(_UCRED.unpack(told)[1])

    def reread(self) -> set[str]:
        """Have it read all of its files again; the groups that run with other sections
        than they have now. It takes them up when they are removed and added."""
        try:
            ((_, changed, _),) = self.call("supervisor.reloadConfig")
        except Unavailable:
            raise
        except CymeError as exc:
            # In whichever file it is: supervisord names it.
            raise Unavailable(exc.message, "supervisorctl reread says it, too") from exc
        return set(changed)

    def apply(self, names: Sequence[str]) -> None:
        self._each("cyme.applyPrograms", names)

    def start(self, names: Sequence[str]) -> None:
        self._each("cyme.startPrograms", names)

    def stop(self, names: Sequence[str]) -> None:
        self._each("cyme.stopPrograms", names)

    def kill(self, names: Sequence[str]) -> None:
        self._each("cyme.killPrograms", names)

    def remove(self, names: Sequence[str]) -> None:
        self._each("cyme.removePrograms", names)

    def changes(
        self, since: str, timeout_s: float, is_cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, Any] | None:
        """What changed after *since*, see the extension; ``None`` when cancelled."""
        longest_s = timeout_s + self._read_timeout_s
        answer: dict[str, Any] | None
        answer = self._exchange("cyme.changes", (since, timeout_s), longest_s, is_cancelled)
        return answer

    def call(self, method: str, *params: Any) -> Any:
        begun_at = time.monotonic()
        try:
            return self._exchange(method, params, self._read_timeout_s, lambda: False)
        finally:
            self._on_call(method, time.monotonic() - begun_at)

    def _each(self, method: str, names: Sequence[str]) -> None:
        for result in self.call(method, list(names)) if names else ():
            if result["status"] != Fault.SUCCESS:
                raise error(result["status"], result["description"])

    def _exchange(
        self,
        method: str,
        params: tuple[Any, ...],
        timeout_s: float,
        is_cancelled: Callable[[], bool],
    ) -> Any:
        body = xmlrpc.client.dumps(params, method).encode()
        connection = _UnixConnection(self._path, self._connect_timeout_s)
        try:
            connection.request("POST", "/RPC2", body, self._headers)
            if not connection.wait(timeout_s, is_cancelled):
                return None
            connection.sock.settimeout(self._read_timeout_s)
            return _value(connection.getresponse())
        except xmlrpc.client.Fault as exc:
            raise error(exc.faultCode, exc.faultString) from None
        except (OSError, http.client.HTTPException) as exc:
            raise _unreachable(exc) from exc
        except (ExpatError, xmlrpc.client.Error, ValueError) as exc:
            raise Unavailable(f"supervisord's answer cannot be read: {exc}") from exc
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, connect_timeout_s: float) -> None:
        super().__init__("localhost", timeout=connect_timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def wait(self, timeout_s: float, is_cancelled: Callable[[], bool]) -> bool:
        """Until an answer begins; false when cancelled, ``TimeoutError`` when late."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        while not is_cancelled():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer within {timeout_s:g} s")
            if poll.poll(min(left, _CANCEL_EVERY_S) * 1000):
                return True
        return False


def _value(response: http.client.HTTPResponse) -> Any:
    body = response.read()
    if response.status != 200:
        raise http.client.HTTPException(f"it answers {response.status} {response.reason}")
    (value,), _ = xmlrpc.client.loads(body)
    return value


def _unreachable(exc: Exception) -> Unavailable:
    reason = str(exc) or type(exc).__name__
    return Unavailable(f"supervisord cannot be reached: {reason}", "does it run?")
