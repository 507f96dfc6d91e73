"""What the inside asks of the other branches: seams, as those in ``ports`` are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from cyme_supd.domain.presence import Gathered, Peer


class Presence(Protocol):
    """Who else is there."""

    def peers(self) -> Mapping[str, Peer]:
        """Live and lapsed branches by id, one's own among them, as they were last heard.

        From a table: nobody is asked, and nothing raised. Empty while the
        broker has not let anybody be heard.
        """


class Mailbox(Protocol):
    """The branches, as they reach one another; from any thread.

    *arguments* and answers are what JSON can hold. All wait *timeout_s* at
    the most, whatever the broker does.
    """

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        """What the branch answers; an error that it answers with is raised as what it is.

        Raises ``Unavailable`` where it has lapsed, is not known, or goes
        while it is waited for, and where the broker is not to be had;
        ``NoAnswer`` where it lives and does not answer.
        """

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        """What those *branches* answer, or all that are known, one's own among them.

        Ends as soon as every live one of them has answered. One that nobody
        here has heard of yet may be told, too. ``Unavailable`` is raised only
        where the broker is not to be had and nobody answered; once all have
        lapsed for it, all are silent.
        """

    def cast(self, command: str, arguments: Mapping[str, Any], branch: str | None = None) -> None:
        """Tell a branch, or all, one's own among them; may be lost, is not waited for."""
