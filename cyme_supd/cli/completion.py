"""Names that a shell completes, asked from the branch where that costs nothing."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import click
from click.shell_completion import CompletionItem

from cyme_supd.cli.asking import Wanted
from cyme_supd.errors import CymeError

#: Somebody has pressed a key and waits.
CONNECT_S = 0.3

Names = Callable[[Wanted], Iterable[str]]


def names(of: Names) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A ``shell_complete`` for what *of* finds."""
    return lambda context, _, begun: items(context, begun, of)


def items(context: click.Context, begun: str, of: Names) -> list[CompletionItem]:
    """Those that start with *begun*; none where the branch is not there, or refuses."""
    wanted = context.ensure_object(Wanted)
    try:
        if not (wanted.local or wanted.given or _listens(wanted.client.url)):
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = list(of(wanted))
    except CymeError:
        return []
    return [CompletionItem(name) for name in found if name.startswith(begun)]


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), CONNECT_S).close()
    except OSError:
        return False
    return True
