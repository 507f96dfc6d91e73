"""Sessions of those who signed in to the pages: how long they last. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

#: From signing in, and from the last thing that the person did.
LIFE = timedelta(hours=12)
IDLE = timedelta(hours=2)
#: Of one user or token at a time; who signs in once more ends the one used least lately.
MOST_EACH = 20

_LOCAL_PATH = re.compile(r"/(?:admin/(?!log(?:in|out)\b)|api/docs\b)[!-\[\]-~]*", re.ASCII)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:[/?#]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Session:
    """Of a ``user``, or of whoever has a ``token``. ``id`` is the sha256 of the secret that
    the browser has, and the only place where that is."""

    id: str
    user: str | None
    token: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime

    def is_over(self, now: datetime) -> bool:
        return now >= min(self.expires_at, self.last_used_at + IDLE)

    def is_of(self, user: str | None, token: str | None) -> bool:
        return (self.user, self.token) == (user, token)


def superfluous(sessions: Iterable[Session], new: Session) -> list[str]:
    """The ids of those that are over, and of those that are too many beside *new*."""
    now, others = new.created_at, list(sessions)
    over = [each.id for each in others if each.is_over(now)]
    live = [each for each in others if not each.is_over(now) and each.is_of(new.user, new.token)]
    live.sort(key=lambda each: (each.last_used_at, each.id), reverse=True)
    return over + [each.id for each in live[MOST_EACH - 1 :]]


def forgery_token(secret: str) -> str:
    """What the session's own pages send with a change, and no other site can know."""
    return hmac.new(secret.encode(), b"a change by a page", hashlib.sha256).hexdigest()


def is_forgery_token(text: str, wanted: str) -> bool:
    return hmac.compare_digest(text.encode("utf-8", "replace"), wanted.encode())


def local_path(text: str | None) -> str:
    """Where to go after signing in: *text*, if it is a page of ours, else the first page.

    It is below the server's own prefix, so no address of another site is one.
    """
    wanted = text or ""
    is_ours = _LOCAL_PATH.fullmatch(wanted) and not _DOTS.search(wanted)
    return wanted if is_ours else "/admin/"
