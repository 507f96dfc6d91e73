"""Users and tokens: who may ask a branch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import Answer

if TYPE_CHECKING:
    from datetime import datetime


class _Accounts:
    """It iterates as the names of what is in it."""

    kind = ""
    path = ""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __iter__(self) -> Iterator[str]:
        return self._connection.names(self.path)

    def __repr__(self) -> str:
        return repr(list(self))

    def get(self, name: str) -> Answer:
        """What is known of it, without what is secret; raises ``NotFound``."""
        return self._connection.read(self._at(name))

    def delete(self, name: str) -> None:
        """At once; raises ``NotFound``, and ``Conflict`` where it is the last admin."""
        self._connection.change("DELETE", self._at(name))

    def _at(self, name: str) -> str:
        return f"{self.path}{segment(self.kind, name)}/"


class Users(_Accounts):
    kind, path = "user", "/api/users/"

    def add(self, name: str, password: str | None = None, role: str | None = None) -> Answer:
        """Make a user, a ``viewer`` unless said; or edit the one there is."""
        return self._connection.change("PUT", self._at(name), {"password": password, "role": role})


class Tokens(_Accounts):
    kind, path = "token", "/api/tokens/"

    def add(
        self,
        label: str = "",
        role: str | None = None,
        user: str | None = None,
        app: str | None = None,
        expires: datetime | str | float | None = None,
    ) -> Answer:
        """Make a token; ``token`` of what comes back is shown this once.

        It may do no more than its *user*, and with an *app* only what is that
        one's. *expires* is in seconds from now, or a time.
        """
        at = expires if expires is None or isinstance(expires, str | int | float) else str(expires)
        given = {"label": label, "role": role, "user": user, "app": app, "expires": at}
        return self._connection.change("POST", self.path, given)
