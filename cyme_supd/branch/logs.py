"""How the branch's processes log: one line a record, to standard output.

supervisord keeps what comes there, and shows it in the foreground.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime

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
