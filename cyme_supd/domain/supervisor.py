"""The URL of a supervisord that was there before Cyme."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from cyme_supd.domain.broker import MASK
from cyme_supd.domain.naming import is_control
from cyme_supd.errors import Invalid

SCHEME = "unix"
_HINT = "unix:///run/supervisor.sock, or unix://user:password@/run/supervisor.sock"


@dataclass(frozen=True, slots=True)
class Supervisor:
    """``path`` of its unix socket, absolute; who asks it, both empty where it asks nobody."""

    path: str
    userid: str = ""
    password: str = ""

    @property
    def masked_url(self) -> str:
        """For people: without the password."""
        userinfo = f"{quote(self.userid, safe='')}:{MASK}@" if self.userid else ""
        return f"{SCHEME}://{userinfo}{quote(self.path)}"


def parse_supervisor(url: str) -> Supervisor:
    """The supervisord behind *url*; :exc:`Invalid` says what is wrong, and shows no secret."""
    if any(is_control(char) or char.isspace() for char in url):
        raise Invalid("the supervisord's URL has white space or control characters in it", _HINT)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Invalid("the supervisord's URL cannot be read", _HINT) from None
    if parts.scheme != SCHEME:
        raise Invalid("a supervisord is reached over its unix socket only", _HINT)
    userinfo, _, hostname = parts.netloc.rpartition("@")
    if hostname or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise Invalid("the supervisord's URL names no absolute path of a socket", _HINT)
    userid, _, password = userinfo.partition(":")
    return Supervisor(unquote(parts.path), unquote(userid), unquote(password))
