"""Use-cases of branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyme_supd.domain.naming import check_name
from cyme_supd.domain.ports import View
from cyme_supd.domain.status import Branch
from cyme_supd.service.context import Context
from cyme_supd.service.observed import is_fresh


@dataclass(frozen=True, slots=True)
class BranchDetails:
    """``host`` is what the branch last wrote about its machine: ``load_average``,
    ``disk_use``, ``memory``, where it did."""

    branch: Branch
    is_live: bool
    instances: int
    host: Mapping[str, Any] = field(default_factory=dict)


class Branches:
    def __init__(self, context: Context) -> None:
        self._context = context

    def names(self, after: str = "", limit: int | None = None) -> list[str]:
        """Ids of those that live, in order."""
        with self._context.store.reading() as view:
            ids = sorted(id for id in view.branch_ids() if id > after and self._is_live(view, id))
        return ids if limit is None else ids[:limit]

    def get(self, id: str) -> BranchDetails:
        check_name("branch", id)
        with self._context.store.reading() as view:
            branch = view.branch(id)
            instances = view.instance_count(id)
        return BranchDetails(
            branch=branch,
            is_live=is_fresh(branch, self._context.clock.now()),
            instances=instances,
            host=branch.health.get("host") or {},
        )

    def _is_live(self, view: View, id: str) -> bool:
        # Whoever answers lives, even while its reconciler is being restarted.
        return id == self._context.here.id or is_fresh(view.branch(id), self._context.clock.now())
