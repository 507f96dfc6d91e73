"""The part of the store that says who may ask: see :mod:`cyme_supd.domain.ports`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from cyme_supd.domain.access import Token, User
from cyme_supd.domain.sessions import Session


class Accounts(Protocol):
    def users(self) -> list[User]:
        """In the order of their names."""

    def tokens(self) -> list[Token]:
        """In the order of their ids; those that have expired, too."""

    def sessions(self) -> list[Session]:
        """In the order of their ids; those that are over, too."""


class AccountsEdit(Protocol):
    """What is to be removed must be there: ``NotFound``."""

    def save_user(self, user: User) -> None:
        """In the place of the one that was there, who stays as old as they are."""

    def remove_user(self, name: str) -> None:
        """With their tokens and sessions."""

    def add_token(self, token: Token) -> None:
        """Raises ``NotFound`` where it is of a user who is not there."""

    def remove_token(self, id: str) -> None:
        """With its sessions."""

    def token_used(self, id: str, at: datetime) -> None:
        """Note when; of one that is gone by now: passed over."""

    def add_session(self, session: Session) -> None:
        """Raises ``NotFound`` where it is of a user or a token that is not there."""

    def remove_sessions(self, ids: Collection[str]) -> None:
        """Those that are gone by now: passed over."""

    def session_used(self, id: str, at: datetime) -> None:
        """Note when; of one that is gone by now: passed over."""
