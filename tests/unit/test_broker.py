"""Brokers' addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from cyme_supd.domain.broker import MASK, Broker, parse_broker
from cyme_supd.errors import Invalid

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
PASSWORDS = TEXT.filter(lambda text: text != MASK and "\ufeff" not in text)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("amqp://", None),
        ("amqp://host", Broker("amqp", "host", 5672, "guest", "guest", "/")),
        ("amqp://me:pw@host:1//", Broker("amqp", "host", 1, "me", "pw", "/")),
        ("amqp://me:p%40w@host/foo", Broker("amqp", "host", 5672, "me", "p@w", "foo")),
        ("amqp://me@host//foo", Broker("amqp", "host", 5672, "me", "", "/foo")),
        ("redis://:pw@[::1]:7000/3", Broker("redis", "::1", 7000, "", "pw", "3")),
        ("redis://host", Broker("redis", "host", 6379, "", "", "0")),
    ],
)
def test_reads_urls(url: str, broker: Broker | None) -> None:
    if broker is None:
        with pytest.raises(Invalid):
            parse_broker(url)
    else:
        assert parse_broker(url) == broker


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "http://host/",
        "memory://host/",
        "amqp://ho st/",
        "amqp://host:0/",
        "amqp://host:65536/",
        "amqp://host:x/",
        "amqp://host/\n",
        "amqp://u:********@host//",
        "redis://host/x",
        "rediss://host/0",
        "amqp://[::1/",
        "amqp://a,b/",
    ],
)
def test_refuses_what_is_none(url: str) -> None:
    with pytest.raises(Invalid):
        parse_broker(url)


def test_encrypted_redis_is_taken_when_it_says_how_to_verify() -> None:
    assert parse_broker("rediss://h/0?ssl_cert_reqs=CERT_REQUIRED").transport == "rediss"


@given(PASSWORDS, TEXT.filter(lambda text: "\ufeff" not in text and text != MASK))
def test_a_url_that_was_put_together_reads_the_same(password: str, userid: str) -> None:
    broker = Broker("amqp", "host", 5672, userid or "u", password, "/a b%")

    again = parse_broker(broker.url)

    assert again == broker


@given(PASSWORDS.filter(bool))
def test_celery_reads_the_same_password(password: str) -> None:
    connection = Connection(Broker("amqp", "host", 5672, "u", password, "/").url)

    assert (connection.password, connection.virtual_host) == (password, "/")


def test_a_password_shows_only_when_asked_for() -> None:
    broker = Broker("amqp", "host", 5672, "u", "secret", "/")

    assert "secret" not in str(broker.as_dict())
    assert "secret" not in broker.masked_url + broker.key
    assert broker.as_dict(secrets=True)["password"] == "secret"
