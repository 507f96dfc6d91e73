"""Where apps of one's own keep the results of their tasks: asked through Celery."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.backends.base import Backend
from celery.exceptions import ImproperlyConfigured
from kombu.exceptions import ContentDisallowed, DecodeError

from cyme_supd.brokers.connections import CONNECT_TIMEOUT_S, IO_TIMEOUT_S
from cyme_supd.errors import Invalid, Unavailable

#: Backends that are kept open; beyond that the oldest is opened anew.
_MOST = 32


class CeleryBackends:
    """The port ``Backends``. A backend serves one thread at a time."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def look(self, url: str, id: str) -> tuple[str, Any, str | None]:
        backend, meta = self._meta(url, id)
        state, result = str(meta["status"]), meta.get("result")
        if state in backend.EXCEPTION_STATES:
            return state, None, _told(result)
        return state, _plain(result) if state in backend.READY_STATES else None, None

    def outcome(self, url: str, id: str) -> dict[str, Any]:
        """What is kept of a task, for the record: texts, and ``at`` in epoch seconds."""
        backend, meta = self._meta(url, id)
        state, result = str(meta["status"]), meta.get("result")
        told: dict[str, Any] = {"state": state}
        if state in backend.EXCEPTION_STATES:
            told.update(error=_told(result), traceback=_line(meta.get("traceback")))
        elif state in backend.READY_STATES:
            told.update(result=repr(result))
        if state in backend.READY_STATES:
            told.update(at=_moment(meta.get("date_done")), worker=_line(meta.get("worker")))
        return told

    def _meta(self, url: str, id: str) -> tuple[Backend, dict[str, Any]]:
        backend = self._backend(url)
        try:
            return backend, backend.get_task_meta(id, cache=False)
        except (ContentDisallowed, DecodeError) as exc:
            raise Invalid(
                f"the result of {id} is not readable: {exc}", "have it stored as JSON"
            ) from exc
        except Exception as exc:
            # Each kind of backend has errors of its own, unknown until it is named.
            self._forget(url)
            raise Unavailable(f"the result backend does not answer: {type(exc).__name__}") from exc

    def _backend(self, url: str) -> Backend:
        kept: dict[str, Backend] = self._kept.__dict__
        if url not in kept:
            if len(kept) >= _MOST:
                kept.pop(next(iter(kept)))
            kept[url] = _open(url)
        return kept[url]

    def _forget(self, url: str) -> None:
        self._kept.__dict__.pop(url, None)


def _open(url: str) -> Backend:
    app = Celery("cyme-results", backend=url, set_as_current=False)
    app.conf.update(
        # What a worker has stored is read by the web: nothing that runs code.
        result_accept_content=["json"],
        result_serializer="json",
        redis_socket_timeout=IO_TIMEOUT_S,
        redis_socket_connect_timeout=CONNECT_TIMEOUT_S,
        result_backend_always_retry=False,
    )
    try:
        return _without_pickles(app.backend)
    except (ImproperlyConfigured, ImportError, KeyError, ValueError) as exc:
        kind = url.partition(":")[0][:40]
        raise Invalid(
            f"the result backend {kind!r} cannot be opened here: {type(exc).__name__}",
            "install what Celery needs for it beside cyme-branch",
        ) from exc


def _without_pickles(backend: Backend) -> Backend:
    """*backend*, which reads JSON and nothing else.

    Celery's databases take what is no JSON for a pickle of an older version,
    whatever content is accepted: who may write there could run code here.
    """
    if hasattr(backend, "_decode_stored_result"):
        backend._decode_stored_result = lambda stored: stored and backend.decode(stored)
    return backend


def _line(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(done: Any) -> float | None:
    """Celery's moments without an offset are UTC."""
    try:
        at = datetime.fromisoformat(done) if isinstance(done, str) else done
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _plain(result: Any) -> Any:
    """*result* in JSON's own types: kombu makes times, UUIDs and more of what is stored."""
    return json.loads(json.dumps(result, default=_text), parse_constant=str)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _told(result: Any) -> str:
    return f"{type(result).__name__}: {result}" if isinstance(result, Exception) else str(result)
