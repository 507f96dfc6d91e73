"""Signing in to the pages and out of them, and who it is that has a session."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cyme_supd.domain.access import Caller, User, digest_of, split_token
from cyme_supd.domain.audit import LOGIN, LOGOUT, REFUSE, TOKEN, USER, Actor, Change, Event
from cyme_supd.domain.ports import View
from cyme_supd.domain.sessions import LIFE, Session, forgery_token, superfluous
from cyme_supd.errors import CymeError, Forbidden, RateLimited, Unauthorized
from cyme_supd.service.access import Access
from cyme_supd.service.context import Context
from cyme_supd.service.known import Known

#: How exactly it is known when a session was last used.
USED_EVERY = timedelta(seconds=60)
#: Of those who are not let in, one a name and address is written down in so long, and no
#: more than so many in all: anybody can have them written.
REFUSED_EVERY = timedelta(seconds=60)
MOST_REFUSED = 100
_HINT = "sign in again, at /admin/login"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What somebody gave: a name and a password, or a token; ``old`` is the secret of the
    session that their browser had before."""

    name: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    old: str = field(default="", repr=False)


class Sessions:
    def __init__(self, context: Context, access: Access) -> None:
        self._store = context.store
        self._clock = context.clock
        self._here = context.here
        self._access = access
        self._lock = threading.Lock()
        self._noted: dict[str, datetime] = {}
        self._refused: dict[tuple[str, str, str], datetime] = {}

    def who(self, secret: str, is_use: bool, may_be_old: bool = False) -> Caller:
        """Who has the session of this secret; *is_use* where it is a person that acts.

        Raises ``Unauthorized`` where there is none, or none any more.
        """
        known = self._access.known(may_be_old)
        session = known.sessions.get(digest_of(secret))
        now = self._clock.now()
        if session is None or self._as_used(session).is_over(now):
            raise Unauthorized("you are not signed in any more", _HINT)
        caller = _caller(known, session, now)
        if is_use:
            self._note_use(session, known, now)
        return replace(caller, forgery_token=forgery_token(secret))

    def begin(self, given: SignIn, actor: Actor) -> str:
        """Let somebody in: the secret of a session that is new, whatever they had before.

        Raises ``Unauthorized``, ``RateLimited`` for one who guesses, and ``Forbidden`` for
        the token of one app: the pages are of all.
        """
        verified = self._access.known().users.get(given.name)
        try:
            caller = self._verify(given, actor.address)
        except (Unauthorized, RateLimited):
            self._note_refusal(given, actor)
            raise
        _check_is_for_all(caller)
        token = split_token(given.token)
        user, id = (None, token[0]) if token else (given.name, None)
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        made = Session(digest_of(secret), user, id, now, now, now + LIFE)
        with self._store.writing() as tx:
            _check_same(tx, made, verified)
            tx.remove_sessions([digest_of(given.old), *superfluous(tx.sessions(), made)])
            tx.add_session(made)
            tx.save_audit([self._event(LOGIN, made, replace(actor, name=caller.name))])
        return secret

    def end(self, secret: str, actor: Actor) -> None:
        """Whoever has the secret gets nowhere with it from now on."""
        id = digest_of(secret)
        with self._store.writing() as tx:
            for session in tx.sessions():
                if session.id == id:
                    tx.remove_sessions([id])
                    tx.save_audit([self._event(LOGOUT, session, actor)])

    def _verify(self, given: SignIn, address: str) -> Caller:
        if given.token:
            # Who may read the root has no session: nobody could end it.
            return self._access.by_token(given.token, is_on_host=False)
        return self._access.by_password(given.name, given.password, address)

    def _event(self, verb: str, session: Session, actor: Actor) -> Event:
        kind, name = (USER, session.user) if session.user is not None else (TOKEN, session.token)
        return Change(verb, kind, "", name or "").by(actor, self._here.id, self._clock.now())

    def _note_refusal(self, given: SignIn, actor: Actor) -> None:
        """Now and then, and only names that there are: people type passwords there, too."""
        known = self._access.known(may_be_old=True)
        id = (split_token(given.token) or ("",))[0]
        kind, name = (TOKEN, id) if given.token else (USER, given.name)
        if name not in (known.tokens if kind == TOKEN else known.users):
            name = ""
        now = self._clock.now()
        if not self._is_due((kind, name, actor.address), now):
            return
        event = Change(REFUSE, kind, "", name).by(actor, self._here.id, now)
        with suppress(CymeError), self._store.writing() as tx:
            tx.save_audit([event])

    def _is_due(self, key: tuple[str, str, str], now: datetime) -> bool:
        with self._lock:
            lately = self._refused.items()
            self._refused = {
                known: at for known, at in lately if timedelta() <= now - at < REFUSED_EVERY
            }
            if key in self._refused or len(self._refused) >= MOST_REFUSED:
                return False
            self._refused[key] = now
            return True

    def _as_used(self, session: Session) -> Session:
        noted = self._noted.get(session.id, session.last_used_at)
        return replace(session, last_used_at=max(noted, session.last_used_at))

    def _note_use(self, session: Session, known: Known, now: datetime) -> None:
        """Now and then: a write for each request would be more than the request."""
        with self._lock:
            if timedelta() <= now - self._as_used(session).last_used_at < USED_EVERY:
                return
            kept = {id: at for id, at in self._noted.items() if id in known.sessions}
            self._noted = {**kept, session.id: now}
        with suppress(CymeError), self._store.recording() as tx:
            tx.session_used(session.id, now)


def _caller(known: Known, session: Session, now: datetime) -> Caller:
    user = known.users.get(session.user or "")
    if user is not None:
        return Caller(f"user {user.name}", user.role)
    token = known.tokens.get(session.token or "")
    if token is not None:
        return known.by_token(token, now)
    raise Unauthorized("you are not signed in any more", _HINT)


def _check_is_for_all(caller: Caller) -> None:
    if caller.app is not None:
        raise Forbidden(
            f"this token is for the routes of app {caller.app!r} alone, and the pages are of all",
            "sign in with a name, or with another token",
        )


def _check_same(tx: View, made: Session, verified: User | None) -> None:
    """Refuse one whose password or token was taken back while it was looked at."""
    users = {user.name: user for user in tx.users()}
    is_user = made.user is not None and users.get(made.user) == verified
    if not (is_user or made.token in {token.id for token in tx.tokens()}):
        raise Unauthorized("that was changed just now", "try again")
