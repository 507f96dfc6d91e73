"""Who is on the branch's own host."""

from __future__ import annotations

import pytest

from cyme_supd.web.peers import is_on_host


class Connection:
    """As a server hands it along, which listens on every address."""

    def __init__(self, own: str) -> None:
        self.own = own

    def getsockname(self) -> tuple[str, int]:
        return self.own, 8000


@pytest.mark.parametrize(
    ("peer", "own", "is_here"),
    [
        ("192.0.2.2", "192.0.2.2", True),
        ("192.0.2.2", "::ffff:192.0.2.2", True),
        ("2001:db8::1", "2001:db8::1", True),
        ("192.0.2.3", "192.0.2.2", False),
    ],
)
def test_who_comes_from_the_address_they_go_to_is_on_the_host(
    peer: str, own: str, is_here: bool
) -> None:
    environ = {"REMOTE_ADDR": peer, "gunicorn.socket": Connection(own)}
    assert is_on_host(environ) is is_here
