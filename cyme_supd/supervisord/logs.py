"""The branch's one log: supervisord's own lines and its programs'. Runs inside it."""

from __future__ import annotations

import os
import sys
import traceback
from collections import deque
from contextlib import suppress
from typing import Any

from supervisor.events import ProcessLogEvent
from supervisor.loggers import LevelsByName, LogRecord

from cyme_supd.supervisord import TREE

_MIRRORED = frozenset({"web", "branch"})
#: A line longer than this is written in pieces.
_LONGEST_LINE = 64 * 1024


class Logs:
    """Writes to wherever supervisord logs, whatever its level."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._chunks: deque[tuple[str, int, bytes]] = deque()
        self._remainders: dict[str, tuple[int, bytes]] = {}
        for handler in logger.handlers:
            handler.handleError = _Failed(logger, handler)

    def announce(self, text: str) -> None:
        """A line in supervisord's own form."""
        for handler in self._logger.handlers:
            handler.emit(LogRecord(LevelsByName.INFO, text))

    def on_output(self, event: ProcessLogEvent) -> None:
        process = event.process
        group = process.group
        if group is not None and group.config.name == TREE and process.config.name in _MIRRORED:
            data = event.data if isinstance(event.data, bytes) else event.data.encode()
            self._chunks.append((process.config.name, event.pid, data))

    def mirror(self) -> None:
        """Write the lines that are whole by now, as they came."""
        while self._chunks:
            name, pid, data = self._chunks.popleft()
            for line in self._lines(name, pid, data):
                self._write(line)

    def close(self) -> None:
        """Write what is left, whole or not: nobody will come for it."""
        self.mirror()
        for _, rest in self._remainders.values():
            if rest:
                self._write(rest)
        self._remainders.clear()

    def _lines(self, name: str, pid: int, data: bytes) -> list[bytes]:
        last_pid, rest = self._remainders.pop(name, (pid, b""))
        # What a process left unfinished is not the start of its successor's line.
        unfinished = [rest] if rest and last_pid != pid else []
        *lines, rest = ((rest if last_pid == pid else b"") + data).split(b"\n")
        while len(rest) > _LONGEST_LINE:
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._remainders[name] = (pid, rest)
        return unfinished + lines

    def _write(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace") + "\n"
        for handler in self._logger.handlers:
            form, handler.fmt = handler.fmt, "%(message)s"
            try:
                handler.emit(LogRecord(LevelsByName.INFO, _writable(handler, text)))
            finally:
                handler.fmt = form


class _Failed:
    """Stands in for ``handler.handleError``.

    supervisord would write a traceback to standard error. Where that is the
    same closed terminal, the error it gets there ends it in the middle of a
    stop, and leaves its programs to nobody.
    """

    def __init__(self, logger: Any, handler: Any) -> None:
        self._logger = logger
        self._handler = handler

    def __call__(self) -> None:
        is_file = hasattr(self._handler, "baseFilename")
        if not is_file and isinstance(sys.exc_info()[1], OSError):
            # A terminal or a pipe that is gone does not come back.
            kept = [handler for handler in self._logger.handlers if handler is not self._handler]
            self._logger.handlers = kept
            _discard(self._handler.stream)
            return
        with suppress(OSError):
            traceback.print_exc(file=sys.stderr)


def _discard(stream: Any) -> None:
    """Let what is still in the stream's buffer go nowhere, without an error."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _writable(handler: Any, text: str) -> str:
    """*text* with what the handler's stream cannot encode escaped."""
    encoding = getattr(handler.stream, "encoding", None)
    if encoding is None:
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
