"""How the catalogue here follows those of the other branches."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.catalogue import Version, digest_of
from cyme_supd.errors import CymeError, Internal
from cyme_supd.service.catalogue import (
    ENTRIES,
    INDEX,
    PART,
    Catalogue,
    objects,
    texts,
    version_or_none,
)

log = logging.getLogger("cyme_supd.catalogue")

#: How long one branch is waited for, and how long all are in one round.
ASK_S = 3.0
ROUND_S = 20.0
#: Digests that are remembered; what falls out is only asked for again.
REMEMBERED = 1000

#: Puts a command with its arguments to a branch, and waits that many seconds for the answer.
Ask = Callable[[str, str, Mapping[str, Any], float], Any]


class Following:
    """For one thread. *beat* is called before each question."""

    def __init__(
        self, catalogue: Catalogue, ask: Ask, clock: Clock, beat: Callable[[], None]
    ) -> None:
        self._catalogue = catalogue
        self._ask = ask
        self._clock = clock
        self._beat = beat
        # Of copies of which everything newer was taken, and of an empty one.
        # Ours only gets newer: there is nothing more to be had for a digest.
        self._learned = deque([digest_of({})], maxlen=REMEMBERED)
        #: By branch, when it could not be asked.
        self._failed_at: dict[str, float] = {}

    def catch_up(self, peers: Mapping[str, str]) -> None:
        """Take what is newer at *peers*: the digests of the other live branches, by id.

        Who cannot be asked is asked again next time, after the others. So is
        whoever is left when the time for one round is over.
        """
        own = self._catalogue.digest()
        until = self._clock.monotonic() + ROUND_S
        for peer in sorted(peers, key=lambda each: (self._failed_at.get(each, 0.0), each)):
            digest = peers[peer]
            if digest in ("", own) or digest in self._learned:
                continue
            if self._clock.monotonic() >= until:
                return
            if self._has_learned(peer, digest, until):
                own = self._catalogue.digest()

    def _has_learned(self, peer: str, digest: str, until: float) -> bool:
        try:
            index = self._learn(peer, until)
        except CymeError as exc:
            if peer not in self._failed_at:
                log.warning("branch %s does not tell what it has: %s", peer, exc)
            self._failed_at[peer] = self._clock.monotonic()
            return False
        self._failed_at.pop(peer, None)
        # It may have changed since its heartbeat.
        self._learned.extend({digest, digest_of(index)})
        return True

    def _learn(self, peer: str, until: float) -> dict[str, Version]:
        """Everything that is newer at *peer*; its index comes back."""
        index = _index(self._asked(peer, INDEX, {}, until))
        wanted = self._wanted(index)
        while wanted:
            part, rest = wanted[:PART], wanted[PART:]
            answer = self._asked(peer, ENTRIES, {"keys": part}, until)
            untold = set(texts(answer.get("left")))
            left = [key for key in part if key in untold]
            if len(left) == len(part):
                raise Internal(f"branch {peer} tells nothing of what it was asked for")
            self._catalogue.take(objects(answer.get("entries")))
            wanted = left + rest
        return index

    def _wanted(self, index: Mapping[str, Version]) -> list[str]:
        """Keys of what is newer there, apps first."""
        own = self._catalogue.index()
        return [
            key
            for key, version in sorted(index.items())
            if (key not in own or own[key] < version)
            and not self._catalogue.is_refused(key, version)
        ]

    def _asked(
        self, peer: str, command: str, arguments: Mapping[str, Any], until: float
    ) -> Mapping[str, Any]:
        self._beat()
        left_s = max(0.1, min(ASK_S, until - self._clock.monotonic()))
        answer = self._ask(peer, command, arguments, left_s)
        if not isinstance(answer, Mapping):
            raise Internal(f"branch {peer} answers {command} with something else")
        return answer


def _index(answer: Mapping[str, Any]) -> dict[str, Version]:
    """What can be read of it."""
    versions = ((str(key), version_or_none(value)) for key, value in answer.items())
    return {key: version for key, version in versions if version is not None}
