"""What of a value is secret, and what is shown in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from cyme_supd.domain.broker import MASK

#: Settings whose values are nobody's business, by parts of their names.
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|(api|access|private|account)_?key", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]{0,31}://[^\s:/@]{0,255}):\S{1,1024}@", re.IGNORECASE)
#: The same where it is known how the URL is read: its host ends at these.
_AUTHORITY_PASSWORD = re.compile(r"(://[^\s:/?#@]*):[^\s/?#]*@")
_PAIR = re.compile(r"(?<=[?&;#])([^=?&;#]+)=([^?&;#]+)")


def masked_url(url: str) -> str:
    """*url*, which is or may be requested, without the secrets in it, and else as it is."""
    return _PAIR.sub(_masked_pair, _AUTHORITY_PASSWORD.sub(rf"\1:{MASK}@", url))


def is_secret(name: str) -> bool:
    """Whether the value of a setting of that name is nobody's business."""
    return _SECRET_NAME.search(name) is not None


def _masked_pair(found: re.Match[str]) -> str:
    name, value = unquote_plus(found[1]), unquote_plus(found[2])
    # One that is not encoded has been seen to already.
    has_password = value != found[2] and _AUTHORITY_PASSWORD.search(value)
    return f"{found[1]}={MASK}" if is_secret(name) or has_password else found[0]


def masked(value: Any) -> Any:
    """*value* without the passwords in its URLs and the values of secret settings."""
    if isinstance(value, Mapping):
        return {
            key: MASK if is_secret(str(key)) and inner else masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", value)
    return value
