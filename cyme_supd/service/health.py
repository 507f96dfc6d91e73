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
            branch, holder = self._stored()
        except CymeError as exc:
            return Health(False, {"store": {"ok": False, "reason": exc.message}})
        parts = {"store": {"ok": True}, "reconciler": self._reconciler(branch)}
        health = branch.health if branch else {}
        if self._context.here.is_shared:
            parts["lease"] = self._lease(holder)
        parts["supervisord"] = dict(health.get("supervisord") or {"ok": None})
        parts["threads"] = _threads(health.get("threads") or {})
        brokers: Mapping[str, Any] = health.get("brokers") or {}
        own = brokers.get(parse_broker(self._context.here.broker).key) or {"ok": None}
        parts["broker"] = dict(own)
        is_ok = all(part.get("ok") is not False for part in parts.values())
        parts["brokers"] = {"all": [dict(one) for one in brokers.values()]}
        return Health(is_ok, parts)

    def _stored(self) -> tuple[Branch | None, str | None]:
        """The branch's row, and who has the lease on it."""
        id, now = self._context.here.id, self._context.clock.now()
        with self._context.store.reading() as view:
            try:
                return view.branch(id), view.lease_holder(id, now)
            except NotFound:
                return None, None

    def _lease(self, holder: str | None) -> dict[str, Any]:
        """All else in the row is of who has it, which may be another on another host."""
        here = self._context.here
        if holder == here.holder:
            return {"ok": True}
        if holder is None:
            return {"ok": False, "reason": f"nobody acts for branch {here.id!r} at the moment"}
        reason = f"held back: {holder} acts for branch {here.id!r}; two that run need two ids"
        return {"ok": False, "reason": reason}

    def _reconciler(self, branch: Branch | None) -> dict[str, Any]:
        now = self._context.clock.now()
        observed_at = branch.observed_at if branch else None
        lag_s = (now - observed_at).total_seconds() if observed_at else None
        return {"ok": is_fresh(branch, now), "lag_s": lag_s}


def _threads(ages: Mapping[str, float]) -> dict[str, Any]:
    silent = sorted(name for name, age_s in ages.items() if age_s > THREAD_SILENT_S)
    return {"ok": not silent, "silent": silent, "ages_s": dict(ages)}
