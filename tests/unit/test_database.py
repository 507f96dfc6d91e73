"""URLs of databases that branches share."""

from __future__ import annotations

import pytest

from cyme_supd.domain.database import MYSQL, POSTGRESQL, parse_database
from cyme_supd.errors import Invalid


@pytest.mark.parametrize(
    ("url", "kind", "port"),
    [
        ("postgresql://u:p@h/db", POSTGRESQL, 5432),
        ("mysql://u:p@h/db", MYSQL, 3306),
        ("mariadb://u:p@h:13306/db", MYSQL, 13306),
    ],
)
def test_kinds(url: str, kind: str, port: int) -> None:
    database = parse_database(url)
    assert (database.kind, database.port) == (kind, port)
    assert (database.userid, database.password, database.name) == ("u", "p", "db")


def test_its_parts_are_unquoted_and_shown_masked() -> None:
    database = parse_database("postgresql://a%40b:p%2Fw%3A@[::1]:5433/my%20db?sslmode=require")
    assert (database.userid, database.password) == ("a@b", "p/w:")
    assert (database.hostname, database.name) == ("::1", "my db")
    assert database.options == (("sslmode", "require"),)
    assert database.masked_url == "postgresql://a%40b:********@[::1]:5433/my%20db"


def test_without_a_password() -> None:
    assert parse_database("mysql://root@h/db").masked_url == "mysql://root@h:3306/db"
    assert parse_database("mysql://h/db").masked_url == "mysql://h:3306/db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("oracle://u:s3cret@h/db", "postgresql://user:password@host:port/name mysql://"),
        ("sqlite:////x.db", "mariadb://user:password@host:port/name"),
        ("s3cret", "no scheme"),
        ("postgresql://u:s3cret@h", "a host and a database"),
        ("postgresql://u:s3cret@h/", "a host and a database"),
        ("postgresql://u:s3cret@/db", "a host and a database"),
        ("postgresql://u:s3cret@h/a/b", "a host and a database"),
        ("postgresql://u:s3cret@h:x/db", "cannot be read"),
        ("postgresql://u:s3cret@h/db?sslmod=require", "did you mean 'sslmode'?"),
        ("mysql://u:s3cret@h/db?sslmode=require", "no option 'sslmode'"),
        ("postgresql://u:s3cret@h/d b", "white space"),
        ("postgresql://u:********@h/db", "masked password"),
    ],
)
def test_what_is_none(url: str, said: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_database(url)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)
