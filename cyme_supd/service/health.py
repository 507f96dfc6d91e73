"""Whether the branch does its work, and what is wrong when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.status import Branch
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.service.context import Context
from cyme_supd.service.observed import is_fresh

THREAD_SILENT_S = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """``is_ok`` is the verdict; ``parts`` says of each part how it is."""

    is_ok: bool
    parts: Mapping[str, Any] = field(default_factory=dict)


class HealthCheck:
    def __init__(self, context: Context) -> None:
        self._context = context

    def check(self) -> Health:
        """Never raises: a store that cannot be read is an answer too.

        A broker that only some app uses is shown and does not make the
        branch ill; the one for apps that name none does.
        """
        try:
            branch = self._branch()
        except CymeError as exc:
            return Health(False, {"store": {"ok": False, "reason": exc.message}})
        parts = {"store": {"ok": True}, "reconciler": self._reconciler(branch)}
        health = branch.health if branch else {}
        parts["supervisord"] = dict(health.get("supervisord") or {"ok": None})
        parts["threads"] = _threads(health.get("threads") or {})
        brokers: Mapping[str, Any] = health.get("brokers") or {}
        own = brokers.get(parse_broker(self._context.here.broker).key) or {"ok": None}
        parts["broker"] = dict(own)
        is_ok = all(part.get("ok") is not False for part in parts.values())
        parts["brokers"] = {"all": [dict(one) for one in brokers.values()]}
        return Health(is_ok, parts)

    def _branch(self) -> Branch | None:
        with self._context.store.reading() as view:
            try:
                return view.branch(self._context.here.id)
            except NotFound:
                return None

    def _reconciler(self, branch: Branch | None) -> dict[str, Any]:
        now = self._context.clock.now()
        observed_at = branch.observed_at if branch else None
        lag_s = (now - observed_at).total_seconds() if observed_at else None
        return {"ok": is_fresh(branch, now), "lag_s": lag_s}


def _threads(ages: Mapping[str, float]) -> dict[str, Any]:
    silent = sorted(name for name, age_s in ages.items() if age_s > THREAD_SILENT_S)
    return {"ok": not silent, "silent": silent, "ages_s": dict(ages)}
