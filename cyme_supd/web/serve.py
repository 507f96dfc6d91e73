"""Serving the interface: gunicorn, embedded."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from cyme_supd.service import Service
from cyme_supd.web.app import create_app
from cyme_supd.web.server import Worker, with_body
from cyme_supd.web.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def serve(settings: Settings, make_service: Callable[[], Service]) -> None:
    """Serve until a signal says to stop; exits the process.

    *make_service* is called in each process after it was forked: whatever
    it opens belongs to that process alone.
    """
    _Server(settings, make_service).run()


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, make_service: Callable[[], Service]) -> None:
        self._settings = settings
        self._make_service = make_service
        self._service: Service | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in _gunicorn_settings(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        self._service = self._make_service()
        return with_body(create_app(self._settings, self._service))

    def on_stop(self) -> None:
        """Called in a signal's handler: a flag and nothing else."""
        if self._service is not None:
            self._service.stop()


class _Logger(Logger):  # type: ignore[misc]
    """gunicorn's messages through the logging that is set up already."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        # Its routine messages tell nothing that supervisord's do not, and at DEBUG the
        # path of each request, in which a queued URL's password may be.
        self.error_log.setLevel(logging.WARNING)


def _gunicorn_settings(settings: Settings) -> dict[str, Any]:
    return {
        "bind": settings.bind,
        # Whom to believe is said by --trusted-proxy alone; this one trusts all of loopback.
        "forwarded_allow_ips": "",
        "worker_class": Worker,
        "workers": settings.processes,
        "threads": settings.threads,
        "logger_class": _Logger,
        "accesslog": None,
        "control_socket_disable": True,
        # The heartbeat is the main thread's; requests may take longer.
        "timeout": 60,
        # Waits end at once when told to; this is for what remains.
        "graceful_timeout": 2,
        "keepalive": 5,
        "worker_connections": 500,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        "limit_request_field_size": 8190,
        "worker_tmp_dir": _memory_folder(),
        "when_ready": _before_forks,
        "post_fork": _die_with_parent,
        "proc_name": "cyme-web",
    }


def _memory_folder() -> str | None:
    # A heartbeat on a slow disk looks like a hung process.
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _before_forks(arbiter: Any) -> None:
    """Leave what is loaded in pages that all processes share."""
    gc.collect()
    gc.freeze()


def _die_with_parent(arbiter: Any, worker: Any) -> None:
    """An arbiter that is killed takes its workers along: the next one needs the port."""
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != worker.ppid:
        os._exit(1)
