"""Takes an order, claims its run, and runs what is granted: at most once.

Orders may come any number of times, of runs that are over, too. What is
started is what whoever holds the database has granted, to one claim alone.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cyme_supd.domain.orders import (
    MAX_TAIL,
    MAX_TEXT,
    Alive,
    Claim,
    Ended,
    Grant,
    Message,
    Order,
    Output,
    Refusal,
    RunEnd,
    Started,
    Withdrawal,
)
from cyme_supd.errors import CymeError, ShuttingDown, Unavailable
from cyme_supd.runner.desk import Answer, Desk
from cyme_supd.runner.journal import Journal
from cyme_supd.runner.logs import Logs, tail
from cyme_supd.runner.outbox import Outbox
from cyme_supd.runner.process import End, Process
from cyme_supd.seal import Seal

log = logging.getLogger(__name__)

#: A claim is made again after so long without an answer, and given up after.
ASK_EVERY_S = 5.0
ANSWER_WITHIN_S = 30.0
ALIVE_EVERY_S = 10.0
OUTPUT_EVERY_S = 3.0
#: How long one that ends waits for the broker to keep what is told last.
LAST_S = 5.0
#: How soon a runner that is to stop gives up a claim.
LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Me:
    """Who runs, as people know it."""

    host: str
    instance: str
    pid: int


@dataclass(slots=True)
class _Running:
    is_cancelled: bool = False
    is_killed: bool = False
    process: Process | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Runner:
    """One for a process; any number of its threads handle orders."""

    def __init__(
        self,
        broker: str,
        seal: Seal,
        root: str | Path,
        me: Me,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._seal = seal
        self._me = me
        self._answer_within_s = answer_within_s
        self._logs = Logs(root)
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._stop = threading.Event()
        self._outbox = Outbox(broker, seal)
        self._journal = Journal(root, broker, self._outbox.put_now)
        self._desk = Desk(broker, seal, self._cancel)

    def handle(self, order: str, settled: Callable[[], None] = lambda: None) -> RunEnd | None:
        """Run what the sealed *order* is about, to its end; None where it is not to be run.

        ``settled`` is called as soon as the order has no meaning any more.
        Raises ``Unsealed`` or ``Invalid`` for what is no order, and
        ``Unavailable`` for one that is to be given back.
        """
        known: Order = self._seal.open(order, (Order,))
        grant = self._granted(known)
        if grant is None:
            settled()
            return None
        running = _Running()
        with self._lock:
            self._running[grant.nonce] = running
        try:
            settled()
            return self._run(known.reply, grant, running)
        finally:
            with self._lock:
                self._running.pop(grant.nonce, None)

    def flush(self, within_s: float) -> bool:
        """Wait until the broker keeps how the runs ended; whether it does."""
        return self._outbox.flush(within_s)

    def stop(self) -> None:
        """Claim nothing more; what runs goes on."""
        self._stop.set()

    def kill(self) -> None:
        """End all that runs, at once."""
        self.stop()
        with self._lock:
            found = list(self._running.values())
        for each in found:
            with each.lock:
                each.is_cancelled = each.is_killed = True
                if each.process is not None:
                    each.process.kill()

    def close(self) -> None:
        """When nothing is handled any more."""
        self.stop()
        self._desk.close()
        self._journal.close()
        if not self._outbox.close(LAST_S):
            log.error("the broker was not told how all runs ended: some are lost")

    def _cancel(self, nonce: str) -> None:
        with self._lock:
            running = self._running.get(nonce)
        if running is None:
            return
        with running.lock:
            running.is_cancelled = True
            if running.process is not None:
                running.process.cancel()

    def _granted(self, order: Order) -> Grant | None:
        if self._stop.is_set():
            raise ShuttingDown("this runner takes no more runs")
        me = self._me
        nonce = secrets.token_hex(16)
        claim = Claim(order.run, order.job, nonce, self._desk.name, me.host, me.instance, me.pid)
        self._journal.note(order.run, nonce, order.reply)
        answers = self._desk.ask(nonce)
        try:
            answer = self._answer(order.reply, claim, answers)
        finally:
            # Before the claim is withdrawn: then nothing is started by it.
            self._desk.forget(nonce)
        if answer is None:
            self._withdraw(order, nonce)
        if isinstance(answer, Refusal):
            self._journal.forget(nonce)
            log.info("run %s is not for this runner: %s", order.run, answer.reason)
        return answer if isinstance(answer, Grant) else None

    def _answer(
        self, reply: str, claim: Claim, answers: queue.SimpleQueue[Answer]
    ) -> Answer | None:
        deadline = time.monotonic() + self._answer_within_s
        ask_at = 0.0
        while (now := time.monotonic()) < deadline and not self._stop.is_set():
            if now >= ask_at and self._desk.is_listening:
                self._ask(reply, claim)
                ask_at = now + ASK_EVERY_S
            try:
                answer = answers.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if answer.run == claim.run and _is_for(answer, claim.job):
                return answer
            log.error("the answer to the claim of run %s is about another", claim.run)
        return None

    def _ask(self, reply: str, claim: Claim) -> None:
        try:
            self._outbox.put_now(reply, claim)
        except Unavailable as exc:
            log.warning("run %s cannot be claimed: %s", claim.run, exc)

    def _withdraw(self, order: Order, nonce: str) -> None:
        """Nobody has answered: once this is kept, the order has done what it can."""
        log.warning("nobody has granted run %s: its claim is withdrawn", order.run)
        try:
            self._outbox.put_now(order.reply, Withdrawal(order.run, nonce))
        except Unavailable:
            self._journal.give_up(order.run, nonce, order.reply)
            raise
        self._journal.forget(nonce)

    def _run(self, reply: str, grant: Grant, running: _Running) -> RunEnd:
        def tell(said: Message) -> None:
            self._outbox.put(reply, said)

        begun = datetime.now(UTC)
        path = self._logs.path(grant.job, grant.run)
        try:
            self._logs.prepare(grant.job, grant.run)
            end = self._watch(grant, running, path, tell)
        except Exception as exc:
            is_foreseen = isinstance(exc, CymeError | OSError)
            log.log(logging.ERROR, "run %s: %s", grant.run, exc, exc_info=not is_foreseen)
            error = str(exc)[:MAX_TEXT] if is_foreseen else "the runner failed"
            now = datetime.now(UTC)
            end = End(RunEnd.FAILED, None, None, error, begun, now, 0, False)
        tell(self._ended(grant, end, path))
        self._journal.forget(grant.nonce)
        self._tidy(grant.job)
        return end.status

    def _watch(
        self, grant: Grant, running: _Running, path: Path, tell: Callable[[Message], None]
    ) -> End:
        process = Process(grant, path, begin=partial(self._journal.forget, grant.nonce))
        try:
            with running.lock:
                running.process = process
                if running.is_killed:
                    process.kill()
                elif running.is_cancelled:
                    process.cancel()
            tell(Started(grant.run, grant.nonce, process.pid, process.started_at))
            alive_at, told = time.monotonic() + ALIVE_EVERY_S, 0
            while (end := process.wait(OUTPUT_EVERY_S)) is None:
                if time.monotonic() >= alive_at:
                    alive_at = time.monotonic() + ALIVE_EVERY_S
                    tell(Alive(grant.run, grant.nonce, datetime.now(UTC)))
                size, last = tail(path, MAX_TAIL)
                if size != told:
                    told = size
                    tell(Output(grant.run, grant.nonce, size, last))
            return end
        finally:
            process.close()

    def _ended(self, grant: Grant, end: End, path: Path) -> Ended:
        return Ended(
            run=grant.run,
            nonce=grant.nonce,
            status=end.status,
            exit_code=end.exit_code,
            signal=end.signal,
            error=end.error,
            started_at=end.started_at,
            finished_at=end.finished_at,
            size=end.size,
            is_truncated=end.is_truncated,
            tail=tail(path, MAX_TAIL)[1],
            host=self._me.host,
            instance=self._me.instance,
            pid=self._me.pid,
        )

    def _tidy(self, job: str) -> None:
        try:
            self._logs.prune(job)
        except OSError as exc:
            log.warning("old output stays: %s", exc)


def _is_for(answer: Answer, job: str) -> bool:
    return isinstance(answer, Refusal) or answer.job == job
