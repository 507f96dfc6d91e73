"""Who the request at hand is of, for those who write down what it changes."""

from __future__ import annotations

from contextvars import ContextVar, Token

from cyme_supd.domain.audit import Actor

#: What a branch does by itself.
ITSELF = Actor(agent="cyme-branch")
_acting: ContextVar[Actor] = ContextVar("acting", default=ITSELF)


def acting() -> Actor:
    return _acting.get()


def begin(actor: Actor) -> Token[Actor]:
    """What this thread does from now on, *actor* does; until :func:`end`."""
    return _acting.set(actor)


def end(token: Token[Actor]) -> None:
    _acting.reset(token)
