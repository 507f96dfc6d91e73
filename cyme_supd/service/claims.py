"""Names of instances and categories stay one fleet's, though its branches have a store each."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cyme_supd.clock import Clock
from cyme_supd.domain.claim import Claim
from cyme_supd.domain.jobfields import check_category
from cyme_supd.domain.mailbox import Mailbox
from cyme_supd.domain.naming import check_instance_name, check_name
from cyme_supd.domain.ports import Store, Transaction
from cyme_supd.domain.presence import Gathered
from cyme_supd.errors import Conflict, CymeError, NotFound, Unavailable
from cyme_supd.service.fleet import Fleet

#: The mailbox's command.
CLAIM = "claim"
#: What is claimed.
INSTANCE, CATEGORY = "instance", "category"
#: One that lives answers by then.
CLAIM_S = 2.0

log = logging.getLogger(__name__)

#: Raises ``Conflict`` in the transaction that makes the instance, where it may not.
Check = Callable[[Transaction], None]


class Claims:
    def __init__(self, fleet: Fleet, mailbox: Mailbox, store: Store, clock: Clock) -> None:
        self._fleet = fleet
        self._mailbox = mailbox
        self._store = store
        self._clock = clock

    @contextmanager
    def held(self, name: str, kind: str = INSTANCE) -> Iterator[Check]:
        """Claim a *name* that is not here, for the transaction that makes what is called so.

        Raises ``Conflict`` where another branch has it, or claims it and
        stands; ``Unavailable`` where one that lives does not say.
        """
        others = [] if self._fleet.is_shared else self._fleet.others()
        if not others:
            # One store has one key for it; whoever cannot be asked is not waited for.
            yield _nothing
            return
        claim = self._note(_key(name, kind))
        told = {"kind": kind, "name": name, "branch": claim.branch, "draw": claim.draw}
        try:
            found = self._mailbox.scatter(CLAIM, told, CLAIM_S, others)
            _check_granted(name, found)
            yield lambda tx: self._check(tx, claim)
        finally:
            self._drop(claim)

    def answer(self, arguments: Mapping[str, Any], _left_s: float) -> dict[str, Any]:
        """Whether another branch may have a name; if so, no claim here stands against it."""
        kind, name = str(arguments.get("kind", INSTANCE)), str(arguments.get("name"))
        branch = check_name("branch", str(arguments.get("branch")))
        draw = str(arguments.get("draw"))
        look = _has_category if kind == CATEGORY else _has_instance
        with self._store.writing() as tx:
            try:
                reason = look(tx, name)
            except NotFound:
                return self._given(tx, _key(name, kind), branch, draw)
        return {"is_free": False, "reason": reason}

    def _given(self, tx: Transaction, name: str, branch: str, draw: str) -> dict[str, Any]:
        mine = tx.claim(name)
        if mine is None or mine.is_over(self._clock.now()):
            return {"is_free": True}
        if mine.stands_against(branch, draw):
            return {"is_free": False, "reason": "it was asked for there at the same moment"}
        tx.save_claim(replace(mine, is_lost=True))
        return {"is_free": True}

    def _note(self, name: str) -> Claim:
        now = self._clock.now()
        claim = Claim(name, self._fleet.here, secrets.token_hex(8), now)
        with self._store.writing() as tx:
            before = tx.claim(name)
            if before is not None and not before.is_over(now):
                raise Conflict(f"{name} is being made at this moment", "ask again to edit it")
            tx.save_claim(claim)
        return claim

    def _check(self, tx: Transaction, claim: Claim) -> None:
        now = tx.claim(claim.name)
        if now is None or now.draw != claim.draw or now.is_lost:
            raise Conflict(
                f"the name {claim.name!r} was asked for on another branch at the same moment",
                "ask again to edit it",
            )

    def _drop(self, claim: Claim) -> None:
        try:
            with self._store.writing() as tx:
                now = tx.claim(claim.name)
                if now is not None and now.draw == claim.draw:
                    tx.remove_claim(claim.name)
        except CymeError as exc:
            # It is over by itself in a while.
            log.warning("the claim of %s stays: %s", claim.name, exc)


def _nothing(_tx: Transaction) -> None:
    """No claim is needed."""


def _has_instance(tx: Transaction, name: str) -> str:
    app = tx.instance(check_instance_name(name)).app
    return f"it is an instance of app {app!r} there"


def _has_category(tx: Transaction, name: str) -> str:
    tx.category(check_category(name))
    return "it is a category there"


def _key(name: str, kind: str) -> str:
    """What a claim is stored under: no instance is called as one of another kind is."""
    if kind == INSTANCE:
        return name
    return f"{kind}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _check_granted(name: str, found: Gathered) -> None:
    for branch, said in sorted(found.answers.items()):
        if not said.get("is_free"):
            raise Conflict(
                f"the name {name!r} is taken on branch {branch!r}: {said.get('reason')}",
                "names are unique across branches",
            )
    missing = sorted({*found.silent, *found.errors})
    if missing:
        raise Unavailable(
            f"whether {name} is free is not known: {', '.join(missing)} did not say", "ask again"
        )
