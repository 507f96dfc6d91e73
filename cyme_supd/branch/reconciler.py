"""Makes it so: the only thread that acts on workers."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from cyme_supd.branch.actor import Actor
from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.branch.lease import ActedForElsewhere, Right, RootLock
from cyme_supd.branch.meter import Meter
from cyme_supd.branch.releasing import release
from cyme_supd.branch.rollouts import Rollouts
from cyme_supd.branch.workqueue import Work, WorkQueue
from cyme_supd.clock import Clock
from cyme_supd.domain.health import (
    NAME_TAKEN,
    Patience,
    hindered,
    may_be_reconnecting,
    refused,
    status_of,
)
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.moving import is_released
from cyme_supd.domain.pause import in_force, until_next_end_s
from cyme_supd.domain.plan import Forget, Release, Stop, is_answering, plan
from cyme_supd.domain.ports import Launches, Programs, RemoteControl, Store, View
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Branch, Observation, Process, Status
from cyme_supd.domain.transitions import transitions
from cyme_supd.errors import Conflict, CymeError, NotFound, ShuttingDown
from cyme_supd.service.audit import events

log = logging.getLogger(__name__)

#: How soon to look again at a worker that is on its way up.
SOON_S = 1.0
#: Nobody is looked at again sooner for what is due and has not come yet.
AGAIN_S = 0.1
#: Workers that are looked at in one go; then others may come first.
SLICE = 50
#: How often workers are asked that have not answered since their broker is back.
MISSING_S = 2.0
#: How often one looks whether nobody acts for the branch elsewhere any more.
ELSEWHERE_S = 3.0
#: How old what supervisord says may be when a worker is acted on.
STALE_S = 0.05
#: A worker says by itself when it is ready; after this it is asked.
ASK_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the reconciler works with; the ports of one branch."""

    store: Store
    programs: Programs
    launches: Launches
    remote: RemoteControl
    queue: WorkQueue
    clock: Clock


class Reconciler:
    """Looks at instances one by one: load, observe, plan, act, write down.

    Level-triggered: what to do follows from what is, never from what
    happened, so a pass that was lost or repeated does no harm. *about* says
    what to store of the branch itself, *launch_of* how a worker is launched;
    *broker* is listened to even where no worker uses it; *reconnect_s* is
    what workers are given to reconnect when theirs is back; *attendant*
    remembers what each has been through; *right* is needed to act at all;
    *meter* counts what is done.
    """

    def __init__(
        self,
        around: Surroundings,
        about: Callable[[], Branch],
        launch_of: Callable[[Worker], Launch],
        broker: str,
        max_starting: int,
        reconnect_s: float,
        attendant: Attendant | None = None,
        right: Right | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._store = around.store
        self._programs = around.programs
        self._launches = around.launches
        self._remote = around.remote
        self._queue = around.queue
        self._clock = around.clock
        self._right = right or RootLock(around.store)
        self._has_right = True
        self._meter = meter or Meter()
        self._about = about
        self._branch = about().id
        self._patience = Patience(about().sup_interval, reconnect_s)
        rule = Rule(self._patience.interval_s, reconnect_s)
        self._attendant = attendant or Attendant(around.clock, rule)
        self._launch_of = launch_of
        self._broker = broker
        self._brokers = {broker}
        self._actor = Actor(
            around.programs,
            around.launches,
            around.remote,
            around.clock,
            max_starting,
            on_action=self._meter.acted,
        )
        # As they are stored; nobody else writes them.
        self._statuses: dict[str, Status] = {}
        self._has_statuses = False
        # Every edit of what a worker inherits gives it a generation.
        self._wanted: dict[str, tuple[int, Launch]] = {}
        self._asked: dict[str, float] = {}
        # In one question at the end of the pass: every worker of a broker sees it.
        self._to_ask: list[Worker] = []
        self._rollouts = Rollouts(self._branch)
        # Those that have not answered since their broker is back.
        self._missing: set[str] = set()
        #: Whether there was a full pass, which only who acts for the branch makes.
        self.has_looked = False
        # Nothing of these is left here, and that is to be stored.
        self._released: list[Worker] = []

    @property
    def is_acting(self) -> bool:
        """Whether it has looked at everybody, and nobody acts for the branch elsewhere."""
        return self.has_looked and self._has_right

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """The body of the thread: a full pass every interval, others when asked."""
        next_full = self._clock.monotonic()
        while not stop.is_set():
            beat()
            left_s = min(next_full - self._clock.monotonic(), self._right.due_in_s())
            work = self._queue.take(max(0.0, left_s))
            begun_at = self._clock.monotonic()
            if work.is_full or begun_at >= next_full:
                work = Work(is_full=True)
            is_done = self._survive(work)
            self._meter.passed(work.is_full, self._clock.monotonic() - begun_at, is_done)
            if not is_done:
                stop.wait(SOON_S if self._has_right else ELSEWHERE_S)
                next_full = self._clock.monotonic()
            elif work.is_full:
                next_full = begun_at + self._until_next_full()

    def _until_next_full(self) -> float:
        """One question reaches all of them, however many there are."""
        interval_s = self._patience.interval_s
        return min(MISSING_S, interval_s) if self._missing else interval_s

    def _survive(self, work: Work) -> bool:
        """One pass; False where it could not be finished."""
        try:
            self._right.keep()
            self._has_right = True
            self.full_pass() if work.is_full else self.partial_pass(work)
            return True
        except ActedForElsewhere as exc:
            log.log(logging.WARNING if self._has_right else logging.DEBUG, "held back: %s", exc)
            self._has_right = False
        except ShuttingDown:
            log.debug("supervisord is stopping: nothing is changed any more")
        except CymeError as exc:
            # Not known is not gone: everything stays as it is.
            log.warning("pass given up: %s", exc)
        except Exception:
            log.exception("pass failed")
        # Perhaps half of it was stored.
        self._has_statuses = False
        return False

    def full_pass(self) -> None:
        """Look at every instance of the branch, and store that it was done."""
        # Where supervisord says nothing there is nothing to go by.
        self._programs.processes(())
        with self._store.reading() as view:
            workers = view.workers(self._branch)
            self._read_statuses(view)
        self._brokers = {self._broker, *(worker.broker for worker in workers)}
        self._remote.use(self._brokers)
        self._remote.ask_all()
        self._rollouts.enroll(workers)
        self._meter.saw(workers)
        self._attendant.begin()
        self._reconcile_slices(workers)
        self._attendant.end()
        with self._right.renewing() as tx:
            tx.save_branch(replace(self._about(), observed_at=self._clock.now()))
        self.has_looked = True

    def _reconcile_slices(self, workers: list[Worker]) -> None:
        """All of them, a few at a time: whoever asks for something meanwhile comes first."""
        looked_at: set[str] = set()
        for start in range(0, len(workers), SLICE):
            some = workers[start : start + SLICE]
            # What is known here of those that came first is from before.
            self._reconcile([each for each in some if each.name not in looked_at])
            if start + SLICE < len(workers):
                work = self._queue.take(0.0)
                if work.is_full:
                    self._queue.resync()
                looked_at |= self.partial_pass(work)

    def partial_pass(self, work: Work) -> set[str]:
        """Look at the names in *work*, and where there was a hint at every new spec.

        Returns the names that were looked for.
        """
        names = set(work.names)
        if not names and not work.is_hinted:
            return names
        with self._store.reading() as view:
            if work.is_hinted:
                names.update(view.pending(self._branch))
            workers = view.workers_named(names)
            self._read_statuses(view)
        workers = [worker for worker in workers if worker.instance.branch == self._branch]
        self._brokers.update(worker.broker for worker in workers)
        self._remote.use(self._brokers)
        self._reconcile(workers)
        return names

    def _read_statuses(self, view: View) -> None:
        if not self._has_statuses:
            self._statuses = view.statuses(self._branch)
            self._rollouts.load(view.rollouts(self._branch))
            self._has_statuses = True

    def _launch(self, worker: Worker) -> Launch:
        generation, launch = self._wanted.get(worker.name, (0, None))
        if launch is None or generation != worker.instance.generation:
            launch = self._launch_of(worker)
            self._wanted[worker.name] = (worker.instance.generation, launch)
        return launch

    def _reconcile(self, workers: Collection[Worker]) -> None:
        self._right.keep()
        changed: list[Status] = []
        gone: list[str] = []
        names = [worker.name for worker in workers]
        processes, read_at = self._programs.processes(names), self._clock.monotonic()
        for worker in workers:
            self._right.check()  # Whatever took so long: not both may act.
            if is_released(worker.instance):
                # By now it may be another branch's, and so what is stored of it.
                continue
            if self._clock.monotonic() - read_at > STALE_S:
                # Others had to be waited for; a process may be another by now.
                processes, read_at = self._programs.processes(names), self._clock.monotonic()
            try:
                status = self._pass(worker, processes.get(worker.name))
            except ShuttingDown:
                raise
            except Conflict as exc:
                status = self._refused(worker, exc)
            except CymeError as exc:
                # One that cannot be helped now must not keep others waiting.
                self._queue.put_later(worker.name, SOON_S)
                before = self._statuses.get(worker.name)
                status = hindered(worker, str(exc), before, self._clock.now())
                level = logging.WARNING if status is None or status != before else logging.DEBUG
                log.log(level, "%s: %s", worker.name, exc)
                if status is None:
                    continue
            if status is None:
                gone.append(worker.name)
            elif status != self._statuses.get(worker.name):
                changed.append(status)
        self._write(changed, gone)
        to_ask, self._to_ask = self._to_ask, []
        if to_ask:
            self._remote.ask(to_ask)
        self._queue.put(self._actor.turns())
        if turn := self._actor.next_turn():
            self._queue.put_later(*turn)

    def _pass(self, worker: Worker, process: Process | None) -> Status | None:
        """One worker: act, and say what was seen; ``None`` when it is to be forgotten."""
        wanted = self._launch(worker)
        worker = in_force(worker, self._clock.now())
        self._await_resumption(worker)
        before = self._statuses.get(worker.name)
        seen = self._attendant.attend(worker, self._observe(worker, process), before)
        is_due = self._rollouts.note(worker, wanted, seen, self._patience)
        for action in plan(worker, wanted, seen, is_due):
            if isinstance(action, Forget):
                return None
            if is_due and isinstance(action, Stop):
                self._rollouts.stopping(worker, seen)
            if isinstance(action, Release):
                self._released.append(worker)
                continue
            self._actor.act(worker, action)
        if seen.answer is not None and seen.answer.refused and seen.commanded_at is None:
            self._actor.told(worker.name)
        self._follow_up(worker, seen)
        self._note_missing(worker, seen)
        return status_of(worker, wanted, seen, before, self._patience, self._clock.now())

    def _await_resumption(self, worker: Worker) -> None:
        """Look again when the first of its pauses ends."""
        left_s = until_next_end_s(worker, self._clock.now())
        if left_s is not None:
            self._queue.put_later(worker.name, left_s)

    def _observe(self, worker: Worker, process: Process | None) -> Observation:
        pid = process.pid if process else None
        return Observation(
            process=process,
            stop_timeout_s=self._programs.stop_timeout_s(worker.name),
            running=self._launches.running(worker.name, pid) if pid else None,
            written=self._launches.written(worker.name),
            answer=self._remote.answer(worker, pid),
            pulse=self._remote.pulse(worker.broker),
            now=self._clock.monotonic(),
            commanded_at=self._actor.commanded_at(worker.name),
            is_asked_to_end=self._actor.is_asked_to_end(worker.name),
        )

    def _follow_up(self, worker: Worker, seen: Observation) -> None:
        """Look again soon at a worker that is on its way up, and ask it then."""
        name = worker.name
        due_s = self._attendant.look_again_s(name, seen)
        if due_s is not None:
            self._queue.put_later(name, max(AGAIN_S, due_s))
        if seen.process is None or not seen.process.state.is_up or is_answering(seen):
            if seen.process is not None and not seen.process.state.is_down:
                self._actor.arrived(name)
            self._asked.pop(name, None)
            return
        if seen.now - self._asked.setdefault(name, seen.now) >= ASK_AFTER_S:
            self._asked[name] = seen.now
            if seen.pulse.is_well is not False:
                self._to_ask.append(worker)
        self._queue.put_later(name, SOON_S)

    def _note_missing(self, worker: Worker, seen: Observation) -> None:
        """Remember it while it may be reconnecting and has not answered yet."""
        if (
            seen.answer is not None
            and is_answering(seen)
            and seen.answer.at < seen.pulse.since
            and may_be_reconnecting(seen, self._patience)
        ):
            self._missing.add(worker.name)
        else:
            self._missing.discard(worker.name)

    def _refused(self, worker: Worker, exc: Conflict) -> Status:
        """That its name is somebody else's; into the log once, however often it is tried."""
        before = self._statuses.get(worker.name)
        status = refused(worker, NAME_TAKEN, exc.message, before, self._clock.now())
        is_known = before is not None and before.conditions == status.conditions
        log.log(logging.DEBUG if is_known else logging.WARNING, "%s: %s", worker.name, exc)
        return status

    def _write(self, changed: list[Status], gone: list[str]) -> None:
        progress = self._rollouts.judge()
        self._queue.put(self._rollouts.newly_due)
        released, self._released = self._released, []
        now = self._clock.now()
        done = events(list(self._actor.done), self._branch, now)
        if not changed and not gone and not progress and not released and not done:
            return
        with self._store.writing() as tx:
            tx.save_statuses(changed)
            tx.save_transitions(transitions(self._statuses, changed, now))
            tx.save_audit(done)
            for rollout in progress:
                tx.save_rollout(rollout)
            for name in gone:
                with contextlib.suppress(NotFound):
                    tx.remove_instance(name)
            for worker in released:
                release(tx, worker)
        self._actor.done.clear()
        self._statuses.update({status.name: status for status in changed})
        for name in gone:
            self._statuses.pop(name, None)
            self._wanted.pop(name, None)
            self._missing.discard(name)
            self._rollouts.forget(name)
            self._attendant.forget(name)
            log.info("%s: forgotten", name)
