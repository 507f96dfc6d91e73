"""Users, their tokens and sessions, as rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, update

from cyme_supd.domain.access import Role, Token, User
from cyme_supd.domain.sessions import Session
from cyme_supd.errors import NotFound
from cyme_supd.store import models as m
from cyme_supd.store.engine import connected


def users(connection: Connection) -> list[User]:
    rows = connection.execute(select(m.users).order_by(m.users.c.name))
    return [User(**{**row._asdict(), "role": Role(row.role)}) for row in rows]


def save_user(connection: Connection, user: User) -> None:
    values = {"password_hash": user.password_hash, "role": str(user.role)}
    if _has_user(connection, user.name):
        connection.execute(update(m.users).where(m.users.c.name == user.name).values(**values))
    else:
        connection.execute(
            insert(m.users).values(name=user.name, created_at=user.created_at, **values)
        )


def remove_user(connection: Connection, name: str) -> None:
    if connection.execute(delete(m.users).where(m.users.c.name == name)).rowcount == 0:
        raise no_user(name)


def tokens(connection: Connection) -> list[Token]:
    rows = connection.execute(select(m.tokens).order_by(m.tokens.c.id))
    return [Token(**{**row._asdict(), "role": Role(row.role)}) for row in rows]


def add_token(connection: Connection, token: Token) -> None:
    if token.user is not None and not _has_user(connection, token.user):
        raise no_user(token.user)
    connection.execute(insert(m.tokens).values(**{**asdict(token), "role": str(token.role)}))


def remove_token(connection: Connection, id: str) -> None:
    if connection.execute(delete(m.tokens).where(m.tokens.c.id == id)).rowcount == 0:
        raise no_token(id)


def token_used(connection: Connection, id: str, at: datetime) -> None:
    connection.execute(update(m.tokens).where(m.tokens.c.id == id).values(last_used_at=at))


def sessions(connection: Connection) -> list[Session]:
    rows = connection.execute(select(m.sessions).order_by(m.sessions.c.id))
    return [Session(**row._asdict()) for row in rows]


def add_session(connection: Connection, session: Session) -> None:
    if session.user is not None and not _has_user(connection, session.user):
        raise no_user(session.user)
    if session.token is not None and not _has_token(connection, session.token):
        raise no_token(session.token)
    connection.execute(insert(m.sessions).values(**asdict(session)))


def remove_sessions(connection: Connection, ids: Collection[str]) -> None:
    connection.execute(delete(m.sessions).where(m.sessions.c.id.in_(ids)))


def session_used(connection: Connection, id: str, at: datetime) -> None:
    connection.execute(update(m.sessions).where(m.sessions.c.id == id).values(last_used_at=at))


def is_anybody(engine: Engine) -> bool:
    """Whether there is a user or a token, in a database of whatever schema."""
    with connected(engine) as connection:
        known = inspect(connection)
        tables = [table for table in (m.users, m.tokens) if known.has_table(table.name)]
        return any(connection.execute(select(table).limit(1)).first() for table in tables)


def no_user(name: str) -> NotFound:
    return NotFound(f"there is no user {name!r}", "GET /api/users/ lists them")


def no_token(id: str) -> NotFound:
    return NotFound(f"there is no token {id!r}", "GET /api/tokens/ lists them")


def _has_user(connection: Connection, name: str) -> bool:
    return connection.scalar(select(m.users.c.name).where(m.users.c.name == name)) is not None


def _has_token(connection: Connection, id: str) -> bool:
    return connection.scalar(select(m.tokens.c.id).where(m.tokens.c.id == id)) is not None
