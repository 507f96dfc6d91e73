"""Who a request says it is from: ``Authorization: Bearer`` or ``Basic``, or a session's cookie."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from cyme_supd.domain.access import Caller
from cyme_supd.errors import Unauthorized
from cyme_supd.service import Access, Sessions
from cyme_supd.web.cookies import is_by_hand, secret_of
from cyme_supd.web.peers import is_on_host

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HINT = "send Authorization: Bearer TOKEN, or HTTP Basic; cyme takes the token from $CYME_TOKEN"


def are_given(environ: WSGIEnvironment) -> bool:
    return bool(environ.get("HTTP_AUTHORIZATION") or secret_of(environ))


def caller(
    environ: WSGIEnvironment, access: Access, sessions: Sessions, may_be_old: bool = False
) -> Caller:
    """Who asks, of whom is known; raises ``Unauthorized``, ``RateLimited`` for one who guesses.

    What is said with the request counts before what a browser has kept.
    """
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return access.by_token(given.strip(), is_on_host(environ), may_be_old)
    if scheme.lower() == "basic":
        name, password = _pair(given.strip())
        address = environ.get("REMOTE_ADDR", "")
        return access.by_password(name, password, address, may_be_old)
    if scheme:
        raise Unauthorized("this way to say who asks is not known", _HINT)
    if secret := secret_of(environ):
        return sessions.who(secret, is_by_hand(environ), may_be_old)
    raise Unauthorized("who asks has to say who they are", _HINT)


def _pair(given: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise Unauthorized("name and password are not readable", _HINT)
    return name, password
