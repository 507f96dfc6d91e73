"""What a server's errors become, and whose fault they are."""

from __future__ import annotations

import psycopg
import pymysql
import pytest

from cyme_supd.errors import Conflict, CymeError, Invalid, Unavailable
from cyme_supd.store import servers
from cyme_supd.store.engine import open_engine
from cyme_supd.store.mysql import Mysql
from cyme_supd.store.postgresql import Postgresql


def postgresql(sqlstate: str) -> psycopg.Error:
    return psycopg.errors.lookup(sqlstate)("its own words\nDETAIL: (s3cret)")


def mysql(code: int) -> pymysql.err.Error:
    kind = pymysql.err.error_map.get(code, pymysql.err.OperationalError)
    made: pymysql.err.Error = kind(code, "its own words")
    return made


@pytest.mark.parametrize(
    ("sqlstate", "kind", "message"),
    [
        ("40001", Unavailable, "collided"),
        ("40P01", Unavailable, "collided"),
        ("55P03", Unavailable, "locked"),
        ("57014", Unavailable, "too long"),
        ("57P01", Unavailable, "cannot be used"),
        ("25006", Unavailable, "read-only"),
        ("53100", Unavailable, "disk of the database is full"),
        ("53300", Unavailable, "limits"),
        ("42501", Unavailable, "may not be used"),
        ("42P01", Unavailable, "another schema"),
        ("23505", Conflict, "collides"),
        ("23503", Conflict, "collides"),
        ("23502", Invalid, "bounds"),
        ("23514", Invalid, "bounds"),
        ("22001", Invalid, "bounds"),
        ("22003", Invalid, "bounds"),
    ],
)
def test_of_postgresql(sqlstate: str, kind: type[CymeError], message: str) -> None:
    error = Postgresql().ours(postgresql(sqlstate))
    assert type(error) is kind
    assert message in error.message
    assert "its own words" in error.message
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (1205, Unavailable, "locked"),
        (1213, Unavailable, "collided"),
        (1969, Unavailable, "too long"),
        (2006, Unavailable, "cannot be used"),
        (2013, Unavailable, "cannot be used"),
        (2003, Unavailable, "cannot be used"),
        (1290, Unavailable, "read-only"),
        (1021, Unavailable, "disk of the database is full"),
        (1040, Unavailable, "limits"),
        (1045, Unavailable, "let us in"),
        (1049, Unavailable, "no such database"),
        (1146, Unavailable, "another schema"),
        (1062, Conflict, "collides"),
        (1451, Conflict, "collides"),
        (1452, Conflict, "collides"),
        (1048, Invalid, "bounds"),
        (4025, Invalid, "bounds"),
        (3819, Invalid, "bounds"),
        (1406, Invalid, "bounds"),
        (1264, Invalid, "bounds"),
    ],
)
def test_of_mariadb(code: int, kind: type[CymeError], message: str) -> None:
    error = Mysql().ours(mysql(code))
    assert type(error) is kind
    assert message in error.message
    assert "its own words" in error.message


@pytest.mark.parametrize("kind", [Postgresql(), Mysql()])
def test_a_fault_of_our_own_stays_one(kind: Postgresql | Mysql) -> None:
    assert kind.ours(postgresql("42601")) is None
    assert kind.ours(mysql(1064)) is None
    assert kind.ours(KeyError("x")) is None
    assert isinstance(kind.ours(ValueError("out of range")), Invalid)


def test_a_connection_that_is_lost() -> None:
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    error = Postgresql().ours(lost)
    assert isinstance(error, Unavailable)
    assert error.retryable
    assert isinstance(Mysql().ours(pymysql.err.InterfaceError(0, "")), Unavailable)


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@h/x", "mariadb://u:s3cret@h/x"])
def test_a_driver_that_is_not_installed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'driver'")

    monkeypatch.setattr(servers, "create_engine", fail)
    with pytest.raises(Invalid, match=r"pip install 'cyme-supd\[(postgresql|mysql)\]'") as raised:
        open_engine(url)
    assert "s3cret" not in str(raised.value)
