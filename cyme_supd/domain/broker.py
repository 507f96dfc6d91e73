"""A broker's address, as parts and as a URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cyme_supd.domain.naming import is_control
from cyme_supd.errors import Invalid

MASK = "********"
_DEFAULT_PORTS = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
_AMQP = frozenset({"amqp", "pyamqp", "amqps"})


@dataclass(frozen=True, slots=True)
class Broker:
    """Where and as whom to connect.

    ``virtual_host`` is AMQP's, or the number of the database for Redis.
    ``options`` is the URL's query, kept as it was written.
    """

    transport: str = "amqp"
    hostname: str = "127.0.0.1"
    port: int = 5672
    userid: str = "guest"
    password: str = "guest"
    virtual_host: str = "/"
    options: str = ""

    @property
    def url(self) -> str:
        return self._url(self.password)

    @property
    def masked_url(self) -> str:
        return self._url(self.password and MASK)

    @property
    def key(self) -> str:
        """A short name for this broker that gives nothing away."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]

    def _url(self, password: str) -> str:
        hostname = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        secret = f":{quote(password, safe='*')}" if password else ""
        userinfo = f"{quote(self.userid, safe='')}{secret}@" if self.userid or secret else ""
        path = quote(self.virtual_host, safe="/") if self.virtual_host != "/" else "/"
        query = f"?{self.options}" if self.options else ""
        return f"{self.transport}://{userinfo}{hostname}:{self.port}/{path}{query}"

    def as_dict(self, secrets: bool = False) -> dict[str, object]:
        """The contract's broker: the password shows only when asked for."""
        return {
            "hostname": self.hostname,
            "port": self.port,
            "userid": self.userid,
            "password": self.password if secrets or not self.password else MASK,
            "virtual_host": self.virtual_host,
            "transport": self.transport,
            "url": self.url if secrets else self.masked_url,
        }


def parse_broker(url: str) -> Broker:
    """The broker behind *url*; :exc:`Invalid` says what is wrong with it."""
    if not isinstance(url, str) or any(is_control(c) or c.isspace() for c in url):
        raise Invalid("a broker URL has no white space and no control characters in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Invalid(f"the broker URL cannot be read: {exc}") from None
    transport = parts.scheme
    if transport not in _DEFAULT_PORTS:
        known = " ".join(sorted(_DEFAULT_PORTS))
        raise Invalid(f"unknown broker transport {transport[:40]!r}", f"one of: {known}")
    if not parts.hostname:
        raise Invalid("the broker URL names no host", "amqp://user:password@host:5672//")
    return check_broker(
        Broker(
            transport=transport,
            hostname=parts.hostname,
            port=_DEFAULT_PORTS[transport] if port is None else port,
            userid=unquote(parts.username or ("" if transport not in _AMQP else "guest")),
            password=unquote(parts.password or _default_password(transport, parts.username)),
            virtual_host=_virtual_host(transport, parts.path),
            options=parts.query,
        )
    )


def check_broker(broker: Broker) -> Broker:
    """*broker* if it can be one, however it was put together."""
    if broker.transport not in _DEFAULT_PORTS:
        known = " ".join(sorted(_DEFAULT_PORTS))
        raise Invalid(f"unknown broker transport {broker.transport[:40]!r}", f"one of: {known}")
    for part in ("hostname", "userid", "password", "virtual_host"):
        value = getattr(broker, part)
        if len(value) > 1024 or any(is_control(char) for char in value):
            raise Invalid(f"the broker's {part} is too long or has a control character in it")
    if not broker.hostname or any(char in "/@?#[]%\\ ," for char in broker.hostname):
        raise Invalid("the broker's hostname is not a host's name")
    if not 1 <= broker.port <= 65535:
        raise Invalid("the broker's port is not within 1-65535")
    if MASK in (broker.userid, broker.password):
        raise Invalid("a masked password cannot be stored", "send the password itself")
    if broker.transport not in _AMQP and not broker.virtual_host.isdigit():
        raise Invalid("a Redis broker's virtual_host is the number of its database")
    if broker.transport == "rediss" and "ssl_cert_reqs" not in parse_qs(broker.options):
        # kombu reads a bare rediss:// as "do not verify the certificate".
        raise Invalid(
            "rediss:// without ssl_cert_reqs does not verify the server",
            "add ?ssl_cert_reqs=CERT_REQUIRED",
        )
    return broker


def default_port(transport: str) -> int:
    return _DEFAULT_PORTS.get(transport, 0)


def _default_password(transport: str, userid: str | None) -> str:
    return "guest" if transport in _AMQP and userid is None else ""


def _virtual_host(transport: str, path: str) -> str:
    name = unquote(path[1:])
    return name or ("/" if transport in _AMQP else "0")
