"""Who the request at hand is of, for those who write down what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cyme_supd.domain.audit import Actor

#: What a branch does by itself.
ITSELF = Actor(agent="cyme-branch")
_acting: ContextVar[Actor] = ContextVar("acting", default=ITSELF)


def acting() -> Actor:
    return _acting.get()


def acts(actor: Actor) -> None:
    """What this thread does from now on, *actor* does."""
    _acting.set(actor)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)
