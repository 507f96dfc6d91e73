"""How the branch's processes log: one line a record, to standard output.

supervisord keeps what comes there, and shows it in the foreground.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from datetime import datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from cyme_supd.domain.audit import AUDIT_LOG

_NOISY = ("amqp", "kombu", "alembic")


class OneLine(logging.Formatter):
    """One line a record, whatever somebody put into it."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created).isoformat(" ", timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")


def set_up_logging(loglevel: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=loglevel, handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def keep_audit(path: Path) -> None:
    """Have each change in a file of its own, too: a line of JSON, of all processes of a root.

    One that was moved away is made anew.
    """
    # On a full disk each line says that it could not be written; the store has it.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    logger = logging.getLogger(AUDIT_LOG)
    for before in logger.handlers:
        before.close()
    logger.handlers = [WatchedFileHandler(path, encoding="utf-8", delay=True)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
