"""The observation table: every node's latest answer, and when it came."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from cyme_supd.domain.status import Answer

#: Answers of another process after which it is no longer one that just ended.
RIVAL_ANSWERS = 2


@dataclass(slots=True)
class _Node:
    """The latest answer of each process of one name; two at most.

    ``other`` is from the one that spoke before, ``changes`` how often the word
    has gone from one to the other.
    """

    latest: Answer
    other: Answer | None = None
    changes: int = 0


class Table:
    """Written by the collectors, read by the reconciler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[str, _Node] = {}

    def take(self, node: str, said: Any, at: float) -> bool:
        """Keep what a node *said* of itself; whether that is news.

        How much it works is none: it changes with every task.
        """
        answer = _answer(said, at)
        with self._lock:
            known = self._nodes.get(node)
            if known is None:
                self._nodes[node] = _Node(answer)
                return True
            before = _keep(known, answer)
        return before is None or _lasting(before) != _lasting(answer)

    def answer(self, node: str, pid: int | None = None) -> Answer | None:
        """The latest; where process *pid* has answered too, its latest."""
        with self._lock:
            known = self._nodes.get(node)
            if known is None:
                return None
            first, second = known.latest, known.other
            has_rival = known.changes > RIVAL_ANSWERS
        if second is None:
            return first
        own, rival = (second, first) if second.pid == pid else (first, second)
        return replace(own, rival=rival.pid) if has_rival else own

    def forget(self, node: str) -> None:
        with self._lock:
            self._nodes.pop(node, None)


def _keep(known: _Node, answer: Answer) -> Answer | None:
    """Put *answer* in; what the same process said before comes back."""
    if known.latest.pid == answer.pid:
        same, known.latest = known.latest, answer
        return same
    before = known.other if known.other and known.other.pid == answer.pid else None
    known.changes = known.changes + 1 if before else 1
    known.other, known.latest = known.latest, answer
    return before


def _lasting(answer: Answer) -> Answer:
    return replace(
        answer,
        at=0.0,
        started=None,
        active=None,
        waiting=None,
        processes=None,
        prefetch=None,
        is_narrow=False,
    )


def _answer(said: Any, at: float) -> Answer:
    limits = said["autoscale"]
    return Answer(
        at=at,
        pid=int(said["pid"]),
        autoscale=None if limits is None else (int(limits[0]), int(limits[1])),
        queues={str(name): str(digest) for name, digest in said["queues"].items()},
        refused={
            str(name): (str(digest), str(reason))
            for name, (digest, reason) in said["refused"].items()
        },
        # A worker that booted with an older Cyme does not tell these.
        started=_number(said.get("started")),
        active=_number(said.get("active")),
        waiting=_number(said.get("waiting")),
        processes=_number(said.get("processes")),
        prefetch=_number(said.get("prefetch")),
        is_narrow=said.get("is_narrow") is True,
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
