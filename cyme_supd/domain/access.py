"""Who may do what: roles, users, tokens, and what each route needs. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cyme_supd.errors import Forbidden, Invalid

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_LABEL = 200
#: No shorter, by what NIST and OWASP ask for; no longer, for it is hashed at some cost.
MIN_PASSWORD, MAX_PASSWORD = 8, 1024

_TOKEN = re.compile(r"cyme_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_LOCAL = "cyme_local_"


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        return _RANKS[self] >= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}


def parse_role(value: str) -> Role:
    try:
        return Role(value)
    except ValueError:
        raise Invalid(f"role: one of {', '.join(Role)}") from None


@dataclass(frozen=True, slots=True)
class User:
    name: str
    password_hash: str = field(repr=False)
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """``digest`` is the sha256 of the secret, in hexadecimal.

    One of a ``user`` may do no more than the user and is gone with them; one
    that has an ``app`` is for that one's routes alone.
    """

    id: str
    label: str
    user: str | None
    digest: str = field(repr=False)
    role: Role
    app: str | None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; ``name`` is for people. With an ``app`` just that one's routes are theirs.

    Where ``forgery_token`` is not empty it has to come with each change: who they are
    is what a browser says by itself, for whatever page.
    """

    name: str
    role: Role
    app: str | None = None
    forgery_token: str = field(default="", repr=False)


# Secrets


def token_text(id: str, secret: str) -> str:
    """What somebody sends who has the token."""
    return f"cyme_{id}_{secret}"


def split_token(text: str) -> tuple[str, str] | None:
    """Id and secret of a token as it is sent; ``None`` for what is none."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else (found[1], found[2])


def digest_of(secret: str) -> str:
    """Of random bits: nobody finds them by trying, so a fast one will do."""
    return hashlib.sha256(secret.encode()).hexdigest()


def local_token(task_key: bytes) -> str:
    """What proves that one may read the branch's root; the same as long as that is there."""
    return _LOCAL + hmac.new(task_key, b"who may read the root", hashlib.sha256).hexdigest()


def is_local_token(text: str, task_key: bytes) -> bool:
    """Whether *text* is the local token; never so where there is no key."""
    return bool(task_key) and hmac.compare_digest(text.encode(), local_token(task_key).encode())


def check_password(password: str | None) -> str:
    """*password*, if it may be one; what is wrong with it is said without it."""
    if password is None or not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(f"password: {MIN_PASSWORD} to {MAX_PASSWORD} characters are needed")
    if set(password) == {"*"}:
        raise Invalid("password: it is masked", "send the password itself")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid("password: has half a character in it") from None
    return password


# What a route needs

#: By the path of a route, what is needed to read there, and to change something.
NEEDED: Mapping[str, tuple[Role, Role]] = {
    path: (reading, changing)
    for (reading, changing), paths in {
        (Role.VIEWER, Role.ADMIN): """
            / /<app>/
            /api/category/<name>/ /api/runs/prune/
            /branches/ /branches/<id>/ /branches/<id>/drain/ /branches/<id>/undrain/
        """,
        (Role.VIEWER, Role.OPERATOR): """
            /<app>/start/ /<app>/stop/ /<app>/pause/ /<app>/resume/
            /<app>/restart/ /<app>/restart/resume/ /<app>/restart/abort/
            /<app>/plan/ /<app>/orphans/ /<app>/tracking/
            /<app>/instances/ /<app>/instances/<name>/ /instances/<name>/
            /<app>/instances/<name>/stats/ /<app>/instances/<name>/log/
            /<app>/instances/<name>/history/ /<app>/instances/<name>/tasks/ /api/samples/
            /<app>/instances/<name>/autoscale/ /<app>/instances/<name>/restart/
            /<app>/instances/<name>/enable/ /<app>/instances/<name>/disable/
            /<app>/instances/<instance>/pause/ /<app>/instances/<instance>/resume/
            /<app>/instances/<name>/queues/ /<app>/instances/<name>/queues/<queue>/
            /<app>/queues/ /<app>/queues/<queue>/ /<app>/queues/<queue>/purge/
            /<app>/queues/<queue>/pause/ /<app>/queues/<queue>/resume/
            /<app>/query/<id>/state/ /<app>/query/<id>/result/ /<app>/query/<id>/wait/
            /api/categories/ /api/categories/<name>/ /api/jobs/ /api/jobs/<id>/
            /api/jobs/<id>/run/ /api/jobs/<id>/pause/ /api/jobs/<id>/resume/ /api/jobs/troubles/
            /api/tasks/ /api/tasks/<id>/ /api/tasks/<id>/retry/ /api/tasks/<id>/revoke/
            /api/tasks/retry/ /api/tasks/export/ /api/tasks/errors/ /api/tasks/refusals/
            /api/runs/ /api/runs/<id>/ /api/runs/<id>/output/ /api/runs/<id>/cancel/
            /api/overview/ /api/queues/ /api/audit/ /api/events/
            /metrics/
            /api/openapi.json /api/docs /api/docs.css
            /admin/ /admin/apps/ /admin/apps/<app>/
            /admin/apps/<app>/plan/ /admin/apps/<app>/orphans/
            /admin/instances/ /admin/instances/<app>/<name>/ /admin/matching/
            /admin/queues/ /admin/queues/<app>/<queue>/ /admin/branches/<id>/
            /admin/jobs/ /admin/jobs/<id>/ /admin/jobs/runs/ /admin/jobs/runs/<id>/
            /admin/tasks/ /admin/tasks/<id>/ /admin/tasks/errors/ /admin/tasks/refusals/
            /admin/decisions/ /admin/audit/
        """,
        (Role.VIEWER, Role.VIEWER): """
            /admin/logout
        """,
        # To queue a URL is a change, whatever the verb that it is asked with.
        (Role.OPERATOR, Role.OPERATOR): """
            /<app>/queue/<queue>/ /<app>/queue/<queue>/<path:rest>
        """,
        (Role.ADMIN, Role.ADMIN): """
            /api/users/ /api/users/<name>/ /api/tokens/ /api/tokens/<id>/ /admin/users/
        """,
    }.items()
    for path in paths.split()
}
#: Answered to anybody; the second says more to who is known.
PING, HEALTH = "/ping/", "/health/"
#: The others are needed to sign in.
OPEN = frozenset({PING, HEALTH, "/admin/login", "/admin/static/<path:name>"})
#: It tells that the store is away; by who was known before.
METRICS = "/metrics/"
#: The route that queues one URL.
URL = "/<app>/queue/<queue>/<path:rest>"
#: To read asynchronously is refused in words, whoever asks.
_REFUSED = ("/!/", "/!/<path:rest>")


def needed(method: str, route: str) -> Role:
    """What *method* on a route needs, one that is not :data:`OPEN`.

    Raises ``LookupError`` for a route that nobody has thought of.
    """
    is_safe = method in SAFE_METHODS
    if is_safe and route.endswith(_REFUSED):
        return Role.VIEWER
    reading, changing = NEEDED[_plain(route)]
    return reading if is_safe else changing


def _plain(route: str) -> str:
    """The form of a route that is in the table: its synchronous one, in the plural."""
    if route == URL.replace("/queue/", "/queue/!/"):
        return URL
    return route.replace("/!/", "/").replace("/instance/", "/instances/")


def check(caller: Caller, wanted: Role, app: str | None) -> None:
    """Raise ``Forbidden`` where *caller* may not do what needs the role *wanted*.

    *app* is whose route it is, if it is an app's.
    """
    if caller.app is not None and caller.app != app:
        raise Forbidden(
            f"this token is for the routes of app {caller.app!r} alone",
            "use another, or GET /<app>/ of that app",
        )
    if not caller.role.covers(wanted):
        raise Forbidden(
            f"this needs the role {wanted}, and {caller.name} has {caller.role}",
            "ask an admin for it, or use another token",
        )
