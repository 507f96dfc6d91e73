"""Use-cases of plans: what would be done, and whose running tasks that touches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain

from cyme_supd.domain.foresight import (
    ENDING,
    RESTART,
    Census,
    Order,
    RunningTask,
    Step,
    foresee,
    order_of,
)
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.pause import in_force
from cyme_supd.domain.ports import View
from cyme_supd.domain.recall import Files, member, recalled
from cyme_supd.domain.rollout import Member, RolloutStatus
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import Branch, Observation, Status
from cyme_supd.errors import CymeError
from cyme_supd.service.context import Context
from cyme_supd.service.looking import branch_or_none
from cyme_supd.service.observed import broker_key, why_broker_down, why_down
from cyme_supd.service.rehearsal import Draft
from cyme_supd.service.together import together

#: What workers have to tell of the tasks they run, and what it takes to leave
#: their broker after that.
CENSUS_S, LEAVE_S = 0.6, 0.25
#: Of more workers all statuses of the branch are read at once.
MANY = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, as far as was seen at ``observed_at``.

    ``turns`` are those of a rolling restart: who together, and who after
    them. ``waits_for`` says what keeps all that from being done now.
    ``purged`` messages would be dropped.
    """

    steps: tuple[Step, ...] = ()
    turns: tuple[tuple[str, ...], ...] = ()
    census: Census = field(default_factory=Census)
    waits_for: str = ""
    observed_at: datetime | None = None
    purged: int | None = None

    @property
    def restarting(self) -> tuple[str, ...]:
        """Those that get a new process, in the order in which they would."""
        back = self._of(RESTART, "start")
        return tuple(name for name in self._of(*ENDING) if name in back)

    @property
    def stopping(self) -> tuple[str, ...]:
        """Those that are left without a process."""
        back = self._of(RESTART, "start")
        return tuple(name for name in self._of(*ENDING) if name not in back)

    def _of(self, *actions: str) -> dict[str, None]:
        """Names, in order and each once."""
        return dict.fromkeys(step.instance for step in self.steps if step.action in actions)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored of the workers concerned and of their branch."""

    branch: Branch | None
    statuses: Mapping[str, Status | None]
    rollouts: list[RolloutStatus]


@dataclass(frozen=True, slots=True)
class _Case:
    """A worker as it should be, as it should have been before, and as it was seen."""

    worker: Worker
    before: Worker
    wanted: Launch
    status: Status | None
    seen: Observation

    @property
    def name(self) -> str:
        return self.worker.name

    @property
    def has_process(self) -> bool:
        return self.seen.process is not None and self.seen.process.state.has_process

    @property
    def is_in_rollouts(self) -> bool:
        instance = self.worker.instance
        return instance.is_enabled and not instance.is_deleting and instance.move is None

    def member(self) -> Member:
        return member(self.worker, self.wanted, self.seen, self.status)


class Plans:
    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, app: str) -> Plan:
        """What the branch would do about the app's workers, if it looked now."""
        check_name("app", app)
        with self._context.store.reading() as view:
            view.app(app)
            # What another's would be launched with lies on its host.
            here = self._context.here.id
            names = [one.name for one in view.instances(app) if one.branch == here]
            workers = view.workers_named(names)
            known = self._known(view, workers)
        cases = [self._case(worker, worker, known) for worker in workers]
        return self._plan(cases, cases, known)

    def of(self, draft: Draft) -> Plan:
        """What would come after a change, and would not without it."""
        with self._context.store.reading() as view:
            names = [worker.name for worker in draft.workers]
            stored = {worker.name: worker for worker in view.workers_named(names)}
            edited = [each for each in draft.workers if each != stored.get(each.name)]
            known = self._known(view, edited)
        cases = [self._case(each, stored.get(each.name, each), known) for each in edited]
        rolled = [one for one in cases if one.worker.app.rollout != one.before.app.rollout]
        return replace(self._plan(cases, rolled, known), purged=draft.purged)

    def _known(self, view: View, workers: Sequence[Worker]) -> _Known:
        here = self._context.here.id
        statuses: Mapping[str, Status | None]
        if len(workers) > MANY:
            statuses = view.statuses(here)
        else:
            statuses = {worker.name: view.status(worker.name) for worker in workers}
        return _Known(branch_or_none(view, here), statuses, view.rollouts(here))

    def _case(self, worker: Worker, before: Worker, known: _Known) -> _Case:
        launched, status = self._context.launched, known.statuses.get(worker.name)
        pid = status.pid if status else None
        files = Files(
            written=launched.written(worker.name),
            queues=launched.queues(worker.name),
            running=launched.running(worker.name, pid) if pid else None,
        )
        return _Case(
            worker=in_force(worker, self._context.clock.now()),
            before=before,
            wanted=self._context.launch_of(worker),
            status=status,
            seen=recalled(worker, before, status, files),
        )

    def _plan(self, cases: Sequence[_Case], rolled: Sequence[_Case], known: _Known) -> Plan:
        """*rolled* are those whose turn in a rolling restart is looked at."""
        order = _order([one for one in rolled if one.is_in_rollouts], known)
        place = {name: at for at, name in enumerate(chain(*order.turns))}
        steps: list[Step] = []
        ending: list[_Case] = []
        for case in sorted(cases, key=lambda one: place.get(one.name, -1)):
            found = foresee(case.worker, case.wanted, case.seen, case.name in place)
            steps.extend(found)
            if case.has_process and any(step.action in ENDING for step in found):
                ending.append(case)
        return Plan(
            steps=tuple(steps),
            turns=order.turns,
            census=self._census(ending, known.branch),
            waits_for=(self._why_not_now(cases, known.branch) if steps else "") or _kept(order),
            observed_at=known.branch.observed_at if known.branch else None,
        )

    def _why_not_now(self, cases: Sequence[_Case], branch: Branch | None) -> str:
        keys = dict.fromkeys(broker_key(case.worker) for case in cases)
        return why_down(branch, keys, self._context.clock.now())

    def _census(self, ending: Sequence[_Case], branch: Branch | None) -> Census:
        """The tasks that run where a process is to end; no outage keeps it waiting."""
        # At the broker that a process was started with.
        workers = [case.before for case in ending]
        now = self._context.clock.now()
        down = {each.name: why_broker_down(branch, broker_key(each), now) for each in workers}
        told = self._told([each for each in workers if not down[each.name]])
        known = {name: why for name, why in down.items() if why}
        return replace(told, silent={**known, **told.silent})

    def _told(self, workers: Sequence[Worker]) -> Census:
        if not workers:
            return Census()
        with self._context.waits.slot() as is_free:
            if is_free:
                return self._counted(workers)
        reason = "too many requests are waiting already, so it was not asked"
        return Census(silent={worker.name: reason for worker in workers})

    def _counted(self, workers: Sequence[Worker]) -> Census:
        """All brokers are asked at once, each for its workers."""
        at_brokers: defaultdict[str, list[Worker]] = defaultdict(list)
        for worker in workers:
            at_brokers[worker.broker].append(worker)
        ask = self._context.questions.active
        questions = {url: partial(ask, some, CENSUS_S) for url, some in at_brokers.items()}
        answers = together(questions, CENSUS_S + LEAVE_S)
        running: list[RunningTask] = []
        silent: dict[str, str] = {}
        for worker in workers:
            answer = answers[worker.broker]
            if isinstance(answer, CymeError):
                silent[worker.name] = answer.message
            elif worker.name in answer:
                running.extend(answer[worker.name])
            else:
                silent[worker.name] = f"it did not answer within {CENSUS_S:g} s"
        return Census(tuple(running), silent)


def _order(cases: Sequence[_Case], known: _Known) -> Order:
    """Of the rolling restart of the app whose workers all *cases* are."""
    rollout = cases[0].worker.app.rollout if cases else None
    if rollout is None:
        return Order()
    app, branch = cases[0].worker.app.name, cases[0].worker.instance.branch
    before = next((status for status in known.rollouts if status.app == app), None)
    return order_of(app, branch, rollout, [case.member() for case in cases], before)


def _kept(order: Order) -> str:
    if not order.absent:
        return ""
    return f"{', '.join(order.absent)}: the rolling restart waits until it consumes again"
