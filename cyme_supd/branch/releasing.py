"""What the reconciler writes down of instances that another branch is to have."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from cyme_supd.domain.moving import Step
from cyme_supd.domain.ports import Transaction
from cyme_supd.domain.spec import Worker
from cyme_supd.errors import NotFound

log = logging.getLogger(__name__)


def release(tx: Transaction, worker: Worker) -> None:
    """Store that nothing of it is left here, unless it is to stay by now."""
    move = worker.instance.move
    with contextlib.suppress(NotFound):
        stored = tx.instance(worker.name)
        if move is not None and stored.move == move and stored.branch == worker.instance.branch:
            tx.save_instance(replace(stored, move=replace(move, step=Step.RELEASED)))
            log.info("%s: released, for branch %s", worker.name, move.to)
