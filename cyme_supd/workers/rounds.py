"""How long it takes until workers answer a question to all of them."""

from __future__ import annotations

from collections.abc import Callable

#: Nobody answers a question that is so old: see pidbox.QUESTION_EXPIRES_S.
GIVEN_UP_AFTER_S = 60.0


class AskingRound:
    """``on_answer(seconds)`` is called for the first answer of each node in a round.

    Answers do not tell which question they are for. So a round that nobody
    has answered yet is not ended by the next question: that would make
    workers who are slow look quick.
    """

    def __init__(self, on_answer: Callable[[float], None]) -> None:
        self._on_answer = on_answer
        # Replaced as a whole: one thread asks, another hears.
        self._round: tuple[float, set[str]] | None = None

    def asked(self, now: float) -> None:
        """All of them are being asked."""
        running = self._round
        if running is None or running[1] or now - running[0] >= GIVEN_UP_AFTER_S:
            self._round = now, set()

    def answered(self, node: str, now: float) -> None:
        running = self._round
        if running is not None and node not in running[1]:
            running[1].add(node)
            self._on_answer(now - running[0])
