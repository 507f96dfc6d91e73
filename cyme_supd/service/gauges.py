"""How queues are, as the branch's own process has seen it last."""

from __future__ import annotations

from collections.abc import Mapping

from cyme_supd.domain.metrics import MESSAGES, OLDEST
from cyme_supd.domain.samples import Point
from cyme_supd.metrics import Metrics


def queues_seen(metrics: Metrics) -> Mapping[tuple[str, ...], Point]:
    """By app and name; those from which no instance of the branch is to consume are not there."""
    told = metrics.totals().gauges
    names = {labels for family, labels in told if family in (MESSAGES.name, OLDEST.name)}
    return {
        labels: Point(told.get((MESSAGES.name, labels)), told.get((OLDEST.name, labels)))
        for labels in names
    }
