"""How often a call is sent: once, or until it got through where that can do no harm."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from cyme_supd.client.calls import Call, NotAnswered, NotSent, Reply, TooLate, is_ours
from cyme_supd.errors import CymeError, NoAnswer, Unavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from cyme_supd.client.exchange import Exchange

#: Before the second try, and before the third, which is the last.
PAUSES_S = (0.2, 1.0)

_ELSEWHERE = frozenset({502, 504})
_DELETED = Reply(200, {}, b'{"ok": "ok"}')


class Tries:
    """Calls to the server at *url*, with a second and a third try where one may help.

    What nobody got is sent again, whatever it is; what somebody may have got,
    if twice is as once. Where an answer says so no try begins later than
    *timeout_s* after the first. Safe to share between threads.
    """

    def __init__(
        self, url: str, token: str | None, timeout_s: float, wsgi: WSGIApplication | None
    ) -> None:
        self._url = url
        self._token = token
        self._timeout_s = timeout_s
        self._wsgi = wsgi
        self._exchange: Exchange | None = None
        self._lock = threading.Lock()

    def send(self, call: Call) -> Reply:
        """The answer, whatever it says; raises ``Unavailable`` or ``NoAnswer``."""
        ends_at, may_be_done = time.monotonic() + self._timeout_s, False
        for pause_s in PAUSES_S:
            try:
                reply = self._open().send(call)
            except (NotSent, NotAnswered) as exc:
                if not _may_repeat(call, exc):
                    raise _lost(exc) from None
                may_be_done = may_be_done or isinstance(exc, NotAnswered)
            else:
                pause_s = max(pause_s, _asked_pause(reply))
                is_last = time.monotonic() + pause_s > ends_at
                if is_last or not _is_passing(call, reply):
                    return _as_meant(call, reply, may_be_done)
            time.sleep(pause_s)
        return _as_meant(call, self.send_once(call), may_be_done)

    def send_once(self, call: Call) -> Reply:
        try:
            return self._open().send(call)
        except (NotSent, NotAnswered) as exc:
            raise _lost(exc) from None

    def close(self) -> None:
        with self._lock:
            if self._exchange is not None:
                self._exchange.close()
            self._exchange = None

    def _open(self) -> Exchange:
        # The HTTP library takes longer to import than all the rest, and whoever
        # imports the client need not be about to ask somebody.
        from cyme_supd.client.exchange import Exchange

        with self._lock:
            if self._exchange is None:
                self._exchange = Exchange(self._url, self._token, self._wsgi)
            return self._exchange


def _may_repeat(call: Call, exc: Exception) -> bool:
    return isinstance(exc, NotSent) or (call.is_repeatable and not isinstance(exc, TooLate))


def _is_passing(call: Call, reply: Reply) -> bool:
    """Whether it may be asked for again, and a moment later be another answer.

    502 and 504 are a branch's word on a worker, or on another branch, after
    it has waited; of somebody in between they say that it cannot be reached.
    Whoever asks too often has changed nothing.
    """
    if reply.status == 429:
        return True
    is_away = reply.status == 503 or (reply.status in _ELSEWHERE and not is_ours(reply))
    return is_away and call.is_repeatable


def _asked_pause(reply: Reply) -> float:
    words = reply.headers.get("retry-after", "")
    return float(words) if words.isdecimal() else 0.0


def _as_meant(call: Call, reply: Reply, may_be_done: bool) -> Reply:
    """*reply*, unless it says that what was to be deleted is, by a try that went unanswered."""
    is_gone = reply.status == 404 and is_ours(reply)
    return _DELETED if may_be_done and call.method == "DELETE" and is_gone else reply


def _lost(exc: Exception) -> CymeError:
    look = "it may have been done; look before you ask again"
    if isinstance(exc, NotSent):
        return Unavailable(str(exc), "start a branch there with cyme-branch, or name another URL")
    return NoAnswer(str(exc), look) if isinstance(exc, TooLate) else Unavailable(str(exc), look)
