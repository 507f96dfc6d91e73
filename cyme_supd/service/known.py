"""All who may ask a branch, as its store has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cyme_supd.domain.access import Caller, Role, Token, User
from cyme_supd.domain.ports import View
from cyme_supd.domain.sessions import Session
from cyme_supd.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Known:
    """All who may ask, at a version of the store."""

    users: Mapping[str, User]
    tokens: Mapping[str, Token]
    sessions: Mapping[str, Session]
    version: int = 0

    @classmethod
    def of(cls, view: View, version: int = 0) -> Known:
        users = {user.name: user for user in view.users()}
        tokens = {token.id: token for token in view.tokens()}
        return cls(users, tokens, {each.id: each for each in view.sessions()}, version)

    @property
    def is_nobody(self) -> bool:
        return not (self.users or self.tokens)

    def role_of(self, token: Token) -> Role:
        """What it may do: no more than its user."""
        user = self.users[token.user] if token.user is not None else None
        return user.role if user is not None and token.role.covers(user.role) else token.role

    def by_token(self, token: Token, now: datetime) -> Caller:
        """Who has it; raises ``Unauthorized`` where it has expired."""
        if token.is_over(now):
            raise Unauthorized("the token has expired", "ask an admin for another")
        return Caller(f"token {token.id}", self.role_of(token), token.app)

    def has_admin(self, now: datetime) -> bool:
        tokens = (one for one in self.tokens.values() if one.app is None and not one.is_over(now))
        return any(user.role is Role.ADMIN for user in self.users.values()) or any(
            self.role_of(token) is Role.ADMIN for token in tokens
        )
