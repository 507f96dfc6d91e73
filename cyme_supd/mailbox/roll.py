"""Who was heard of the fleet, in a file: a process that starts knows who has lapsed.

A process that hears nobody could not tell an instance that is nowhere from one
whose branch is away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.config import Config, write_private
from cyme_supd.domain.presence import Peer
from cyme_supd.errors import CymeError
from cyme_supd.mailbox.wire import heartbeat_message, heartbeat_of

log = logging.getLogger(__name__)

#: How old what it says of loads and last heartbeats may be.
REWRITTEN_AFTER_S = 60.0


class RollFile:
    """``roll.json`` in the root::

        {"fleet": "cyme",
         "peers": [{"heartbeat": {...}, "last_seen_at": ISO 8601}, ...]}

    Any process reads it, one writes it. What another fleet has left is not used.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._path: Path = config.paths.roll
        self._fleet = config.fleet
        self._here = config.id
        self._clock = clock
        self._written: dict[str, tuple[datetime, bool]] | None = None
        self._written_at = float("-inf")

    def read(self) -> list[Peer]:
        """All others that it names, as lapsed ones; none where it cannot be read."""
        try:
            content = json.loads(self._path.read_bytes())
            if content["fleet"] != self._fleet:
                return []
            peers = [_peer(said) for said in content["peers"]]
        except FileNotFoundError:
            return []
        except (OSError, CymeError, KeyError, RecursionError, TypeError, ValueError) as exc:
            log.warning("%s is not used: %r", self._path, exc)
            return []
        return [peer for peer in peers if peer.heartbeat.id != self._here]

    def keep(self, peers: Mapping[str, Peer]) -> None:
        """Write down who is there, if that has changed or was written long ago."""
        now = self._clock.monotonic()
        state = {id: (peer.heartbeat.started_at, peer.is_live) for id, peer in peers.items()}
        if state == self._written and now - self._written_at < REWRITTEN_AFTER_S:
            return
        # Also after a failure: a full disk is tried again in a minute.
        self._written, self._written_at = state, now
        content = {"fleet": self._fleet, "peers": [_said(peer) for peer in peers.values()]}
        try:
            write_private(self._path, json.dumps(content).encode())
        except OSError as exc:
            log.warning("%s is not written: %s", self._path, exc.strerror)


def _said(peer: Peer) -> dict[str, Any]:
    # Where questions go is another place once it is heard again.
    heartbeat = json.loads(heartbeat_message(replace(peer.heartbeat, address="")).body)
    return {"heartbeat": heartbeat, "last_seen_at": peer.last_seen_at.isoformat()}


def _peer(said: Mapping[str, Any]) -> Peer:
    last_seen_at = datetime.fromisoformat(said["last_seen_at"])
    if last_seen_at.tzinfo is None:
        raise ValueError("last_seen_at has no time zone")
    return Peer(heartbeat_of(said["heartbeat"]), last_seen_at, is_live=False)
