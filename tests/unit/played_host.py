"""A branch's host, played: programs, workers and clock do what a test says."""

from __future__ import annotations

from dataclasses import replace

from cyme_supd.branch.care import Attendant, Rule
from cyme_supd.branch.lease import Right
from cyme_supd.branch.meter import Meter
from cyme_supd.branch.reconciler import Reconciler, Surroundings
from cyme_supd.branch.workqueue import Work, WorkQueue
from cyme_supd.domain.spec import App, Instance, Worker
from cyme_supd.domain.status import Branch, ProcessState, Status
from cyme_supd.metrics import Metrics
from cyme_supd.testing.clock import FakeClock
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.testing.programs import FakePrograms
from cyme_supd.testing.remote import FakeRemoteControl
from cyme_supd.testing.store import MemoryStore
from tests.unit.values import AT, BROKER, INTERVAL_S, RECONNECT_S, the_launch


class Host:
    """A branch whose programs, workers and clock do what a test says."""

    def __init__(self, max_starting: int = 4) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(BROKER)
        self.programs = FakePrograms()
        self.launches = MemoryLaunches()
        self.remote = FakeRemoteControl(self.clock)
        self.queue = WorkQueue(self.clock)
        self.max_starting = max_starting
        self.metrics = Metrics()
        self.begin_again()
        with self.store.writing() as tx:
            tx.add_app(App("foo", AT))

    def begin_again(self) -> None:
        """The branch dies and is back: it knows what is stored, and no more."""
        self.reconciler = self.another()

    def another(self, attendant: Attendant | None = None, right: Right | None = None) -> Reconciler:
        """The reconciler of a branch process that has just started."""
        return Reconciler(
            Surroundings(
                self.store, self.programs, self.launches, self.remote, self.queue, self.clock
            ),
            about=self.about,
            launch_of=the_launch,
            broker=BROKER,
            max_starting=self.max_starting,
            reconnect_s=RECONNECT_S,
            attendant=attendant
            or Attendant(self.clock, Rule(INTERVAL_S, RECONNECT_S), chance=lambda: 0.5),
            right=right,
            meter=Meter(self.metrics),
        )

    def about(self) -> Branch:
        return Branch("b1", "http://h", 1, "0", INTERVAL_S, 2, "INFO", None, AT)

    def create(self, name: str = "w1", **fields: object) -> None:
        with self.store.writing() as tx:
            tx.add_instance(replace(Instance(name, "foo", "b1", AT), **fields))  # type: ignore[arg-type]

    def edit(self, name: str = "w1", **changes: object) -> None:
        with self.store.writing() as tx:
            tx.save_instance(replace(tx.instance(name), **changes))  # type: ignore[arg-type]

    def hint(self) -> None:
        self.reconciler.partial_pass(Work(is_hinted=True))

    def look(self, name: str = "w1") -> None:
        self.reconciler.partial_pass(Work(frozenset({name})))

    def comes_up(self, name: str = "w1") -> None:
        """Its process starts, answers, and the branch hears it."""
        pid = self.programs.pid(name)
        self.launches.launched(name, pid)
        self.remote.says(self.worker(name), pid)
        self.look(name)

    def worker(self, name: str = "w1") -> Worker:
        with self.store.reading() as view:
            return view.worker(name)

    def status(self, name: str = "w1") -> Status:
        with self.store.reading() as view:
            status = view.status(name)
        assert status is not None
        return status

    def state(self, name: str = "w1") -> ProcessState | None:
        process = self.programs.processes().get(name)
        return process.state if process else None


def with_one_ready() -> Host:
    host = Host()
    host.create()
    host.hint()
    host.comes_up()
    return host
