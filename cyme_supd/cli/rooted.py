"""What whoever may read a branch's root is let in with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from cyme_supd.client.client import DEFAULT_URL
from cyme_supd.config import Config, is_loopback, load


def local_token(url: str | None, roots: Iterable[str]) -> str | None:
    """The local token of the branch at *url*, where one of *roots* is its and may be read.

    None where somebody has said who asks. It goes to no other server.
    """
    if os.environ.get("CYME_TOKEN"):
        return None
    asked = url or os.environ.get("CYME_URL") or DEFAULT_URL
    for root in roots:
        try:
            config = load(root)
            if _is_at(asked, config):
                return config.local_token
        except (OSError, TypeError, ValueError, AttributeError):
            # No root, somebody else's, or of another version: then without.
            continue
    return None


def _is_at(url: str, config: Config) -> bool:
    parts, own = urlsplit(url), urlsplit(config.local_url)
    names = {own.hostname, "localhost"} if is_loopback(str(own.hostname)) else {own.hostname}
    is_plain = parts.scheme == "http" and "@" not in parts.netloc
    return is_plain and parts.hostname in names and (parts.port or 80) == own.port
