"""The URL of a database that branches share."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from cyme_supd.domain.broker import MASK
from cyme_supd.domain.naming import is_control, nearest
from cyme_supd.errors import Invalid

POSTGRESQL, MYSQL = "postgresql", "mysql"
#: Which server answers to a scheme; MariaDB and MySQL are asked in the same words.
_KINDS = {"postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL}
_DEFAULT_PORTS = {POSTGRESQL: 5432, MYSQL: 3306}
#: How to be sure of the server, in the words of its driver.
_OPTIONS = {
    POSTGRESQL: frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"}),
    MYSQL: frozenset({"ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname"}),
}
_HINT = "one of: " + " ".join(f"{scheme}://user:password@host:port/name" for scheme in _KINDS)


@dataclass(frozen=True, slots=True)
class Database:
    """Where and as whom to connect; ``options`` are those of TLS."""

    scheme: str
    hostname: str
    port: int
    userid: str
    password: str
    name: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """Whose words it understands: ``postgresql`` or ``mysql``."""
        return _KINDS[self.scheme]

    @property
    def masked_url(self) -> str:
        """For people: without the password."""
        hostname = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        secret = f":{MASK}" if self.password else ""
        userinfo = f"{quote(self.userid, safe='')}{secret}@" if self.userid or secret else ""
        return f"{self.scheme}://{userinfo}{hostname}:{self.port}/{quote(self.name, safe='')}"


def parse_database(url: str) -> Database:
    """The database behind *url*; :exc:`Invalid` says what is wrong, and shows no secret."""
    if any(is_control(char) or char.isspace() for char in url):
        raise Invalid("the database URL has white space or control characters in it", _HINT)
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise Invalid("the database URL cannot be read", _HINT) from None
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        shown = parts.scheme[:40] or "no scheme"
        raise Invalid(f"{shown!r} is not the URL of a database that branches can share", _HINT)
    name = unquote(parts.path[1:])
    if not parts.hostname or not name or "/" in name:
        raise Invalid("the database URL is to name a host and a database", _HINT)
    for option, _ in options:
        if option not in _OPTIONS[kind]:
            known = nearest(option, _OPTIONS[kind])
            raise Invalid(f"the database URL has no option {option[:40]!r}", known)
    return Database(
        scheme=parts.scheme,
        hostname=parts.hostname,
        port=port or _DEFAULT_PORTS[kind],
        userid=unquote(parts.username or ""),
        password=_password(unquote(parts.password or "")),
        name=name,
        options=tuple(options),
    )


def _password(password: str) -> str:
    if password == MASK:
        raise Invalid("the database URL has a masked password in it", "give the password itself")
    return password
