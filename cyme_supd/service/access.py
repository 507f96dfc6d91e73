"""Use-cases of users and tokens; and who it is that asks.

Who is known is kept in memory and looked up again whenever the store's version
is another: whoever was removed is out with the next request.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cyme_supd.domain.access import (
    MAX_LABEL,
    Caller,
    Role,
    Token,
    User,
    check_password,
    digest_of,
    is_local_token,
    parse_role,
    split_token,
    token_text,
)
from cyme_supd.domain.naming import check_app_name, check_name, is_control
from cyme_supd.domain.pause import moment
from cyme_supd.domain.ports import Transaction, View
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound, Unauthorized
from cyme_supd.service.context import Context
from cyme_supd.service.known import Known
from cyme_supd.service.passwords import Passwords, hashed

#: How exactly it is known when a token was last used.
USED_EVERY = timedelta(seconds=60)
MAX_LIFE = timedelta(days=3660)

#: Whoever may do everything: nobody is known yet, or they may read the root.
ANYBODY = Caller("anybody", Role.ADMIN)
LOCAL = Caller("who may read the root", Role.ADMIN)


@dataclass(frozen=True, slots=True)
class MadeToken:
    """``text`` is what its owner sends: shown once, and known to nobody else."""

    token: Token
    text: str = field(repr=False)


class Access:
    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._clock = context.clock
        self._here = context.here
        self._passwords = Passwords(context.clock)
        self._seen: Known | None = None
        self._noted: dict[str, datetime] = {}
        self._lock = threading.Lock()

    # Who asks

    # Where the store cannot be read each is an error, unless what it tells may be old.

    def is_open(self, may_be_old: bool = False) -> bool:
        """Whether nobody is known yet, so that nobody can be asked who they are."""
        return self.known(may_be_old).is_nobody

    def by_token(self, text: str, is_on_host: bool, may_be_old: bool = False) -> Caller:
        """Who has this token; the local one is good for those on the branch's host."""
        if is_on_host and is_local_token(text, self._here.task_key):
            return LOCAL
        id, secret = split_token(text) or ("", "")
        known = self.known(may_be_old)
        token = known.tokens.get(id)
        is_right = hmac.compare_digest(digest_of(secret), token.digest if token else digest_of(""))
        if token is None or not is_right:
            raise Unauthorized("there is no such token", "it may have been revoked")
        now = self._clock.now()
        caller = known.by_token(token, now)
        self._note_use(token, known, now)
        return caller

    def by_password(
        self, name: str, password: str, address: str, may_be_old: bool = False
    ) -> Caller:
        """Who has this name and password; raises ``RateLimited`` for one who guesses."""
        user = self.known(may_be_old).users.get(name)
        if not self._passwords.is_right(name, user, password, address) or user is None:
            raise Unauthorized("name or password is wrong", "ask an admin for another password")
        return Caller(f"user {user.name}", user.role)

    def known(self, may_be_old: bool = False) -> Known:
        seen = self._seen
        try:
            # Read first: what is stored after it is another version.
            version = self._store.version()
            if seen is None or seen.version != version:
                with self._store.reading() as view:
                    self._seen = seen = Known.of(view, version)
        except CymeError:
            if seen is None or not may_be_old:
                raise
        return seen

    def _note_use(self, token: Token, known: Known, now: datetime) -> None:
        """Now and then: a write for each request would be more than the request."""
        with self._lock:
            last = self._noted.get(token.id, token.last_used_at)
            if last is not None and timedelta() <= now - last < USED_EVERY:
                return
            kept = {id: at for id, at in self._noted.items() if id in known.tokens}
            self._noted = {**kept, token.id: now}
        with suppress(CymeError), self._store.recording() as tx:
            tx.token_used(token.id, now)

    # Users

    def user_names(self, after: str = "", limit: int | None = None) -> list[str]:
        with self._store.reading() as view:
            return _page([user.name for user in view.users()], after, limit)

    def user(self, name: str) -> User:
        with self._store.reading() as view:
            return _user(view, name)

    def put_user(self, name: str, given: Mapping[str, Any]) -> tuple[User, bool]:
        """Make a user, or give one another ``password`` or ``role``; whether it is new.

        With another they have to sign in again.
        Raises ``Conflict`` where that would leave nobody who may do everything.
        """
        check_name("user", name)
        password = given.get("password")
        new_hash = None if password is None else hashed(check_password(password))
        now = self._clock.now()
        with self._store.writing() as tx:
            before = Known.of(tx)
            known = before.users.get(name)
            if known is None and new_hash is None:
                raise Invalid("password: a new user needs one")
            user = User(
                name,
                new_hash or (known.password_hash if known else ""),
                _role(given, known.role if known else Role.VIEWER),
                known.created_at if known else now,
            )
            tx.save_user(user)
            if known is not None and (known.password_hash, known.role) != (
                user.password_hash,
                user.role,
            ):
                theirs = [each.id for each in tx.sessions() if each.user == name]
                tx.remove_sessions(theirs)
            self._check_left(before, tx, now)
        return user, known is None

    def remove_user(self, name: str) -> None:
        """With their tokens; raises as :meth:`put_user` does."""
        with self._store.writing() as tx:
            before = Known.of(tx)
            tx.remove_user(_user(tx, name).name)
            self._check_left(before, tx, self._clock.now())

    # Tokens

    def token_ids(self, after: str = "", limit: int | None = None) -> list[str]:
        with self._store.reading() as view:
            return _page([token.id for token in view.tokens()], after, limit)

    def token(self, id: str) -> Token:
        with self._store.reading() as view:
            return _token(view, id)

    def add_token(self, given: Mapping[str, Any]) -> MadeToken:
        """Make a token: ``label``, ``role``, ``user``, ``app``, ``expires``."""
        now = self._clock.now()
        app, expires, user = given.get("app"), given.get("expires"), given.get("user")
        secret = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(6),
            label=_label(given.get("label")),
            user=None if user is None else check_name("user", user),
            digest=digest_of(secret),
            role=_role(given, Role.VIEWER),
            app=None if app is None else check_app_name(app),
            created_at=now,
            expires_at=None if expires is None else _end(expires, now),
        )
        with self._store.writing() as tx:
            tx.add_token(token)
        return MadeToken(token, token_text(token.id, secret))

    def remove_token(self, id: str) -> None:
        """At once; raises as :meth:`put_user` does."""
        with self._store.writing() as tx:
            before = Known.of(tx)
            tx.remove_token(_token(tx, id).id)
            self._check_left(before, tx, self._clock.now())

    def _check_left(self, before: Known, tx: Transaction, now: datetime) -> None:
        """Keep a branch that others can reach from being nobody's, or everybody's."""
        if not self._here.is_exposed:
            return
        after = Known.of(tx)
        if after.is_nobody or (before.has_admin(now) and not after.has_admin(now)):
            raise Conflict(
                "that is the last admin, and the branch listens beyond loopback",
                "make another first",
            )


def _user(view: View, name: str) -> User:
    for user in view.users():
        if user.name == name:
            return user
    raise NotFound(f"there is no user {name!r}", "GET /api/users/ lists them")


def _token(view: View, id: str) -> Token:
    for token in view.tokens():
        if token.id == id:
            return token
    raise NotFound(f"there is no token {id!r}", "GET /api/tokens/ lists them")


def _role(given: Mapping[str, Any], otherwise: Role) -> Role:
    role = given.get("role")
    return otherwise if role is None else parse_role(role)


def _label(label: str | None) -> str:
    text = label or ""
    if len(text) > MAX_LABEL or any(is_control(char) for char in text):
        raise Invalid(f"label: at most {MAX_LABEL} characters, none of them for control")
    return text


def _end(expires: str | float, now: datetime) -> datetime:
    end = moment("expires", expires, now)
    if not now < end <= now + MAX_LIFE:
        raise Invalid("expires: past, or more than ten years ahead", "leave it out: never")
    return end


def _page(names: Sequence[str], after: str, limit: int | None) -> list[str]:
    return [name for name in names if name > after][:limit]
