"""What the inside asks of the outside: the seams that adapters and fakes fill.

Each is one protocol with one contract suite, passed by the fake in
:mod:`cyme_supd.testing` and by the real adapter. Every method may raise
:exc:`~cyme_supd.errors.Unavailable`; what else it raises it says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from cyme_supd.domain.accounts import Accounts, AccountsEdit
from cyme_supd.domain.audit import Event, Query
from cyme_supd.domain.catalogue import Entry, Version
from cyme_supd.domain.claim import Claim
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.jobstore import Jobs, JobsEdit
from cyme_supd.domain.launch import Launch
from cyme_supd.domain.ledgerstore import Ledger, LedgerEdit
from cyme_supd.domain.merging import Merged
from cyme_supd.domain.moving import Moving
from cyme_supd.domain.orphans import Inventory, Stray
from cyme_supd.domain.rollout import RolloutStatus
from cyme_supd.domain.runstore import RunHistory, RunHistoryEdit
from cyme_supd.domain.samples import Sampled, SampledEdit
from cyme_supd.domain.spec import App, Instance, Queue, Worker
from cyme_supd.domain.status import Answer, Branch, Process, Pulse, Running, Status
from cyme_supd.domain.tail import Piece, Place
from cyme_supd.domain.task import Task
from cyme_supd.domain.transitions import Transitions, TransitionsEdit
from cyme_supd.domain.whole import Whole


class View(Accounts, Whole, Sampled, Transitions, Jobs, RunHistory, Ledger, Protocol):
    """One consistent look at the store. Lookups raise ``NotFound``."""

    def app_names(self, after: str = "", limit: int | None = None) -> list[str]:
        """Those not being deleted, in the order of their names."""

    def app(self, name: str) -> App:
        """Also one that is being deleted: its name is taken until it is gone."""

    def queue_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]: ...
    def queue(self, app: str, name: str) -> Queue: ...

    def instance_names(self, app: str, after: str = "", limit: int | None = None) -> list[str]:
        """Those not being deleted, in the order of their names."""

    def instance(self, name: str) -> Instance:
        """Also one that is being deleted: its name is taken until it is gone."""

    def born(self, branch: str) -> dict[str, datetime]:
        """When each instance of the branch was created, those being deleted too, by name."""

    def instance_count(self, branch: str) -> int:
        """How many instances the branch has, without those being deleted."""

    def worker(self, name: str) -> Worker:
        """The instance with all it inherits."""

    def workers_named(self, names: Collection[str]) -> list[Worker]:
        """Those of them that are there, in the order of their names."""

    def workers(self, branch: str) -> list[Worker]:
        """Of every instance of the branch, those being deleted too."""

    def pending(self, branch: str) -> list[str]:
        """Names whose generation is ahead of the status stored for them."""

    def status(self, name: str) -> Status | None: ...
    def branch(self, id: str) -> Branch: ...
    def branch_ids(self) -> list[str]: ...

    def is_draining(self, id: str) -> bool:
        """Whether the branch is to have no new instances."""

    def moving(self, id: str) -> Moving | None:
        """How far the branch is that was asked to move its instances away."""

    def lease_holder(self, branch: str, now: datetime) -> str | None:
        """Who alone acts for the branch, where many share the store; ``None`` for nobody.

        *now* counts only where the database has no clock of its own.
        """

    def receipt(self, token: str) -> bool | None:
        """Whether the instance was taken that came by this move; ``None`` for a new one."""

    def claim(self, name: str) -> Claim | None:
        """The claim on a name that was noted here, an old one too."""

    def rollouts(self, branch: str | None = None, app: str | None = None) -> list[RolloutStatus]:
        """How far rolling restarts got: of a branch, of an app, or of both."""

    def task(self, id: str) -> Task | None:
        """How it ended; ``None`` while it has not, or nobody knows any more."""

    def audit(self, query: Query) -> list[Event]:
        """What was changed, the newest first."""

    def catalogue_index(self) -> dict[str, Version]:
        """By key, of every app and queue and of those whose deletion is remembered."""

    def catalogue_digest(self) -> str:
        """The same where the index is the same; cheap as long as nothing changes."""

    def entries(self, keys: Collection[str]) -> list[Entry]:
        """Those that are there, tombstones too, in the order of their keys."""

    def next_version(self) -> Version:
        """The stamp for a change that is executed on several branches, here first."""


class Transaction(
    View,
    AccountsEdit,
    SampledEdit,
    TransitionsEdit,
    JobsEdit,
    RunHistoryEdit,
    LedgerEdit,
    Protocol,
):
    """A look that also writes; all of it or none is stored.

    Every app and queue that it adds, edits or removes gets a newer version.
    """

    def add_app(self, app: App) -> None:
        """Raises ``Conflict`` where the name is taken."""

    def save_app(self, app: App) -> None: ...

    def remove_app(self, name: str) -> None:
        """With its queues. Raises ``Conflict`` while it has instances."""

    def add_queue(self, queue: Queue) -> None: ...
    def save_queue(self, queue: Queue) -> None: ...
    def remove_queue(self, app: str, name: str) -> None: ...

    def add_instance(self, instance: Instance) -> None:
        """Raises ``Conflict`` where the name is taken."""

    def save_instance(self, instance: Instance) -> Instance:
        """Store the edit under the next generation; the stored one comes back.

        Raises ``Conflict`` while it is being handed over to another branch.
        """

    def touch_instances(self, app: str) -> list[Instance]:
        """Give every instance of the app its next generation: its app changed."""

    def remove_instance(self, name: str) -> None:
        """The instance and its status; and its app, if that only waited for this."""

    def save_statuses(self, statuses: Iterable[Status]) -> None:
        """Of instances that are gone by now: passed over."""

    def save_branch(self, branch: Branch) -> None: ...

    def drain(self, id: str, is_draining: bool) -> None: ...
    def save_moving(self, id: str, moving: Moving | None) -> None: ...

    def save_receipt(self, token: str, is_taken: bool) -> None:
        """Kept for good: who asks again, however late, is told the same."""

    def save_claim(self, claim: Claim) -> None:
        """In the place of the one that was there."""

    def remove_claim(self, name: str) -> None: ...
    def take_lease(self, branch: str, holder: str, now: datetime, lasts_s: float) -> str:
        """Have *holder* alone act for the branch from now on, for *lasts_s* seconds.

        Who has the lease comes back: *holder*, unless another's has not run out.
        *now* counts only where the database has no clock of its own. Raises
        ``NotFound`` for a branch that is not stored.
        """

    def save_rollout(self, status: RolloutStatus) -> None:
        """Of an app that is gone by now: passed over."""

    def save_tasks(self, ended: Iterable[Task]) -> None:
        """Those that are stored already stay as they are: the first word stands."""

    def remove_tasks(self, before: datetime) -> int:
        """Forget those that ended before then; how many comes back."""

    def save_audit(self, events: Iterable[Event]) -> None:
        """Nobody edits or removes them any more."""

    def merge(self, entries: Iterable[Entry]) -> Merged:
        """Take what is newer than the catalogue here."""

    def forget_decisions(self, before: datetime) -> int:
        """Drop what branches did of themselves; what people did stays."""

    def forget_tombstones(self, before: datetime) -> int:
        """Forget deletions that were made before then; how many comes back."""


class Store(Protocol):
    def reading(self) -> AbstractContextManager[View]: ...

    def writing(self, stamp: Version | None = None) -> AbstractContextManager[Transaction]:
        """Alone among all who write: what was looked at in it stays true to its end.

        With a *stamp* its changes of the catalogue have that for their version.
        """

    def recording(self) -> AbstractContextManager[Transaction]:
        """Store what nobody else decides on: a branch's row, lease and samples, tasks that ended.

        And runs, which are decided on with their rows locked. Nothing else. It waits for
        nobody who writes, where the database can do that.
        """

    def version(self) -> int:
        """Another number whenever somebody else committed; cheap to ask for."""


class Programs(Protocol):
    """The programs of one supervisord. All raise ``ShuttingDown`` while it ends."""

    def processes(self, names: Collection[str] | None = None) -> dict[str, Process]:
        """Of every program that is not the branch's own, or those *names*, by name.

        A snapshot kept up to date by whoever listens; no call goes out.
        """

    def stop_timeout_s(self, name: str) -> int | None:
        """The stop timeout this program was applied with, if known."""

    def apply(self, name: str, stop_timeout_s: int) -> None:
        """Write the program's section and make supervisord take it, stopped."""

    def start(self, names: Sequence[str]) -> None: ...
    def stop(self, names: Sequence[str]) -> None: ...
    def kill(self, names: Sequence[str]) -> None: ...

    def remove(self, name: str) -> None:
        """Take program and section away; one that is not there is no error."""


class Launched(Protocol):
    """What the files say that lie between a branch and the processes it launches."""

    def written(self, name: str) -> str | None:
        """The digest of the launch file on disk."""

    def queues(self, name: str) -> Mapping[str, str]:
        """By name, the digests of the declarations in the launch file on disk."""

    def running(self, name: str, pid: int) -> Running | None:
        """What process *pid* was launched with, if it got that far."""


class Launches(Launched, Protocol):
    """The same files, for the one who writes them."""

    def write(self, name: str, launch: Launch) -> None: ...

    def remove(self, name: str) -> None:
        """Raises ``Unavailable`` while a process of that name has not ended."""


class RemoteControl(Protocol):
    """The workers, as they can be reached through their brokers.

    Nothing here waits for a worker: questions go out, answers are there
    when one looks again. What is put to a broker without a pulse is lost.
    """

    def answer(self, worker: Worker, pid: int | None = None) -> Answer | None:
        """Its latest; that of process *pid*, where others answer by its name too."""

    def pulse(self, broker: str) -> Pulse: ...
    def ask(self, workers: Sequence[Worker]) -> None: ...

    def ask_all(self) -> None:
        """Everybody at every broker in use: one message each, for any fleet."""

    def autoscale(self, workers: Sequence[Worker], max: int, min: int) -> None: ...

    def consume(self, worker: Worker, entries: Sequence[Mapping[str, Any]]) -> None:
        """Have it consume from queues; each entry is a full declaration."""

    def cancel(self, worker: Worker, queues: Sequence[str]) -> None: ...

    def forget(self, worker: Worker) -> None:
        """Drop its answers: the process they came from is gone.

        What was to be dropped of it, and is not yet, stays: another may start.
        """

    def drop_queue(self, worker: Worker) -> None:
        """Delete the worker's own queue, unless somebody uses it or something is in it.

        When its broker is back, if that has no pulse.
        """

    def use(self, brokers: Iterable[str]) -> None:
        """Listen at exactly these brokers from now on."""


class Hints(Protocol):
    """Web's nudge to the reconciler: something was stored. May be lost."""

    def send(self) -> None: ...


class WorkerQuestions(Protocol):
    """What a use-case itself asks of a worker, read only, and waits for."""

    def stats(self, worker: Worker, timeout_s: float) -> dict[str, object]:
        """Celery's own; raises ``Unavailable`` when no answer comes in time."""

    def stats_of_all(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> Mapping[str, Mapping[str, object]]:
        """The same of all at one broker, by instance; the silent are left out.

        Raises ``Unavailable`` when the broker does not answer.
        """

    def active(
        self, workers: Sequence[Worker], timeout_s: float
    ) -> Mapping[str, tuple[RunningTask, ...]]:
        """The tasks they run, likewise."""

    def inventories(self, workers: Sequence[Worker], timeout_s: float) -> Mapping[str, Inventory]:
        """What they have, by instance, likewise."""


class Logs(Protocol):
    def tail(self, name: str, size: int) -> bytes:
        """The last *size* bytes of a worker's log; empty where there is none."""

    def read(self, name: str, place: Place | None, size: int) -> Piece:
        """What comes after *place*, or the end of the log where that is ``None``.

        At most the last *size* bytes of it. Of a file that is another by now, or
        was cut off before *place*, it is all that is in it.
        """


class Strays(Protocol):
    """Processes of this host that workers of the branch have left behind."""

    def strays(self) -> list[Stray]:
        """Those that no program has any more, nor a worker that still runs.

        What a worker has detached from itself is its own as long as it runs.
        """
