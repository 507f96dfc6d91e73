"""What the tables are made of, in types that SQLite, PostgreSQL and MariaDB all have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import CheckConstraint, DateTime, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.dialects import mysql

from cyme_supd.errors import Invalid

metadata = MetaData(
    # Names that a later migration can count on, on every database.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """A moment: stored as UTC without an offset, given back aware, to the microsecond."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise Invalid("a time without an offset cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        # One call a value, where ``process_result_value`` is three: lists have thousands.
        read = self.impl_instance.result_processor(dialect, coltype)

        def aware(value: Any) -> datetime | None:
            if value is None:
                return None
            naive: Any = value if read is None else read(value)
            return cast("datetime", naive.replace(tzinfo=UTC))

        return aware


def name_type() -> Any:
    """A name: compared and ordered by code point, whatever the database's language.

    So is all text on MariaDB and MySQL, where it is the table that says so.
    """
    return String(128).with_variant(String(128, collation="C"), "postgresql")


def name_is_whole(column: str = "name") -> CheckConstraint:
    # Bytes on MariaDB, characters elsewhere: the same, names are ASCII.
    return CheckConstraint(f"length({column}) BETWEEN 1 AND 128", name=f"{column}_length")
