"""The users and tokens of the store in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cyme_supd.domain.access import Token, User
from cyme_supd.errors import NotFound
from cyme_supd.testing.state import State


class MemoryAccounts:
    _state: State

    def users(self) -> list[User]:
        return [self._state.users[name] for name in sorted(self._state.users)]

    def tokens(self) -> list[Token]:
        return [self._state.tokens[id] for id in sorted(self._state.tokens)]


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
                del self._state.tokens[token.id]

    def add_token(self, token: Token) -> None:
        if token.user is not None:
            self._require(token.user)
        self._state.tokens[token.id] = token

    def remove_token(self, id: str) -> None:
        if self._state.tokens.pop(id, None) is None:
            raise NotFound(f"there is no token {id!r}")

    def token_used(self, id: str, at: datetime) -> None:
        if id in self._state.tokens:
            self._state.tokens[id] = replace(self._state.tokens[id], last_used_at=at)

    def _require(self, name: str) -> None:
        if name not in self._state.users:
            raise NotFound(f"there is no user {name!r}")
