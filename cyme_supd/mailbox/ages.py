"""How old a question is, where two hosts' clocks need not agree. Pure."""

from __future__ import annotations

#: How long it is believed that a clock was not set.
BELIEVED_S = 60.0
#: Of how many senders something is kept at the most.
MOST = 10_000


class Ages:
    """Compares what each sender's clock says with the hearer's.

    The least difference that was seen is that of the clocks, and what is more
    is age: so what has lain at the broker while this process was stopped is
    old, and what a host sends whose clock is an hour late is not. Who is heard
    for the first time is believed. Times are epoch seconds; ``now`` is
    monotonic.
    """

    def __init__(self) -> None:
        self._least: dict[str, tuple[float, float]] = {}

    def age_s(self, sender: str, sent_at: float, received_at: float, now: float) -> float:
        difference = received_at - sent_at
        least, seen_at = self._least.get(sender, (difference, now))
        if difference <= least or now - seen_at > BELIEVED_S:
            if len(self._least) >= MOST:
                self._least.clear()
            self._least[sender] = (difference, now)
            return 0.0
        return difference - least
