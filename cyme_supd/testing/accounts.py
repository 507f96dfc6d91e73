"""The users, tokens and sessions of the store in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.access import Token, User
from cyme_supd.domain.sessions import Session
from cyme_supd.errors import NotFound
from cyme_supd.testing.state import State


class MemoryAccounts:
    _state: State

    def users(self) -> list[User]:
        return [self._state.users[name] for name in sorted(self._state.users)]

    def tokens(self) -> list[Token]:
        return [self._state.tokens[id] for id in sorted(self._state.tokens)]

    def sessions(self) -> list[Session]:
        return [self._state.sessions[id] for id in sorted(self._state.sessions)]


class MemoryAccountsEdit:
    _state: State

    def save_user(self, user: User) -> None:
        before = self._state.users.get(user.name, user)
        self._state.users[user.name] = replace(user, created_at=before.created_at)

    def remove_user(self, name: str) -> None:
        self._require(name)
        del self._state.users[name]
        for token in list(self._state.tokens.values()):
            if token.user == name:
                self.remove_token(token.id)
        self.remove_sessions([each.id for each in self._all() if each.user == name])

    def add_token(self, token: Token) -> None:
        if token.user is not None:
            self._require(token.user)
        self._state.tokens[token.id] = token

    def remove_token(self, id: str) -> None:
        if self._state.tokens.pop(id, None) is None:
            raise NotFound(f"there is no token {id!r}")
        self.remove_sessions([each.id for each in self._all() if each.token == id])

    def token_used(self, id: str, at: datetime) -> None:
        if id in self._state.tokens:
            self._state.tokens[id] = replace(self._state.tokens[id], last_used_at=at)

    def add_session(self, session: Session) -> None:
        if session.user is not None:
            self._require(session.user)
        if session.token is not None and session.token not in self._state.tokens:
            raise NotFound(f"there is no token {session.token!r}")
        self._state.sessions[session.id] = session

    def remove_sessions(self, ids: Collection[str]) -> None:
        for id in ids:
            self._state.sessions.pop(id, None)

    def session_used(self, id: str, at: datetime) -> None:
        if id in self._state.sessions:
            self._state.sessions[id] = replace(self._state.sessions[id], last_used_at=at)

    def _all(self) -> list[Session]:
        return list(self._state.sessions.values())

    def _require(self, name: str) -> None:
        if name not in self._state.users:
            raise NotFound(f"there is no user {name!r}")
