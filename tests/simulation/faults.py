"""What goes wrong, how often and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cyme_supd.domain.healing import IN_PROCESS_POOLS
from cyme_supd.domain.status import ProcessState
from tests.simulation.brokers import Broker

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.workers import Worker
    from tests.simulation.world import World

EVERY_S = 4.0


class Faults:
    """Shares are of calls or messages; in good times all are none."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scheduler = world.scheduler
        self._storm = 0
        self._is_stormy = False
        self._calls_left: int | None = None
        self._crashes: dict[str, int] = {}
        # How many the branch has made, and which of them was the last act.
        self.calls = self.last_act = 0
        self.slow = self.call_failures = self.disk_failures = self.store_failures = 0.0
        self.lost_hints = 0.0
        self._news_s = 0.01
        kinds: list[tuple[int, Callable[[], None]]] = [
            (5, self._crash_worker),
            (4, self._hang_worker),
            (1, self._deafen_worker),
            (2, self._crash_at_boot),
            (3, self._break_broker),
            (3, self._hang_broker),
            (3, self._refuse_queue),
            (4, self._kill_branch_now),
            (6, self._kill_branch_in_a_call),
            (2, self._kill_supervisord),
            (1, self._shut_supervisord_down),
            (2, self._hang_supervisord),
            (4, self._fail_calls),
            (3, self._disturb_messages),
            (2, self._jump),
            (1, self._give_up_program),
            (4, self._meddle),
        ]
        self._weights = [weight for weight, _ in kinds]
        self._kinds = [kind for _, kind in kinds]

    # What others ask

    def is_last_call(self) -> bool:
        """Whether the branch is to die at this call of its."""
        self.calls += 1
        if self._calls_left is None:
            return False
        self._calls_left -= 1
        if self._calls_left > 0:
            return False
        self._calls_left = None
        return True

    def die_at_call(self, number: int) -> None:
        self._calls_left = number

    def crashes_at_boot(self, name: str) -> bool:
        left = self._crashes.get(name, 0)
        self._crashes[name] = max(0, left - 1)
        return left > 0

    def news_delay_s(self) -> float:
        """How late the branch hears of what supervisord does."""
        return self._scheduler.between(0.001, self._news_s)

    # Good times and bad times

    def begin(self) -> None:
        self._is_stormy = True
        self._storm += 1
        self.slow = self._scheduler.between(0.0, 0.5)
        self.lost_hints = 0.2
        self._next(self._storm)

    def end(self) -> None:
        """Everything works again; what is broken gets well."""
        self._is_stormy = False
        self._calls_left = None
        self._crashes.clear()
        self._heal_calls()
        self.lost_hints = 0.0
        world = self._world
        for broker in world.brokers.values():
            self._heal_messages(broker)
            broker.refused.clear()
            broker.come_back()
        world.supervisord.go_on()
        world.begin_supervisord()
        world.begin_branch()
        for process in world.processes:
            worker = process.worker
            if worker is not None and not self._is_to_be_replaced(process, worker):
                worker.go_on()

    def _is_to_be_replaced(self, process: Process, worker: Worker) -> bool:
        """Whether the branch is to see to it, should it hang or be deaf.

        Not where nobody starts it again; and silence alone is no proof where
        tasks run in the process that should answer, or where all of a broker's
        workers are silent at once.
        """
        if process.on_exit is None or self._world.laws.has_treated(process.name):
            return False
        if not worker.is_hung or worker.is_stopped:
            return True
        beside = [each.worker for each in self._world.processes if each is not process]
        speak = [each for each in beside if each and each.broker is worker.broker]
        is_alone = not any(not each.is_hung and each.is_connected for each in speak)
        return worker.pool not in IN_PROCESS_POOLS and not is_alone

    def _next(self, storm: int) -> None:
        delay_s = self._scheduler.random.expovariate(1 / EVERY_S)
        self._scheduler.after(delay_s, self._strike, storm)

    def _strike(self, storm: int) -> None:
        if self._is_stormy and storm == self._storm:
            (kind,) = self._scheduler.random.choices(self._kinds, self._weights)
            self._scheduler.tell("fault: %s", kind.__name__)
            kind()
            self._next(storm)

    def _later(self, most_s: float, what: Callable[..., None], *args: object) -> None:
        # Most are short, some are long.
        delay_s = min(most_s, self._scheduler.random.expovariate(4 / most_s))
        self._scheduler.after(delay_s, what, *args)

    # Workers

    def _a_process(self) -> Process | None:
        there = [process for process in self._world.processes if process.is_alive]
        return self._scheduler.random.choice(there) if there else None

    def _crash_worker(self) -> None:
        if process := self._a_process():
            process.exit(-9)

    def _hang_worker(self) -> None:
        process = self._a_process()
        if process is not None and process.worker is not None:
            process.worker.hang()
            self._later(60.0, self._go_on, process.worker, self._storm)

    def _go_on(self, worker: Worker, storm: int) -> None:
        # In good times one that hangs goes on by itself no more.
        if self._is_stormy and storm == self._storm:
            worker.go_on()

    def _deafen_worker(self) -> None:
        process = self._a_process()
        if process is not None and process.worker is not None:
            process.worker.go_deaf()

    def _crash_at_boot(self) -> None:
        if process := self._a_process():
            self._crashes[process.name] = self._scheduler.random.randint(1, 4)

    # Brokers

    def _a_broker(self) -> Broker:
        brokers = self._world.brokers
        return brokers[self._scheduler.random.choice(sorted(brokers))]

    def _break_broker(self) -> None:
        broker = self._a_broker()
        broker.go_down()
        self._later(60.0, broker.come_back)

    def _hang_broker(self) -> None:
        broker = self._a_broker()
        broker.hang()
        self._later(40.0, broker.come_back)

    def _refuse_queue(self) -> None:
        broker = self._a_broker()
        name = self._scheduler.random.choice(self._world.people.queues)
        broker.refused ^= {name}

    def _disturb_messages(self) -> None:
        broker = self._a_broker()
        # So few that nobody is taken for hung for that.
        broker.lost = self._scheduler.between(0.0, 0.15)
        broker.late = self._scheduler.between(0.0, 0.6)
        broker.doubled = self._scheduler.between(0.0, 0.5)
        self._later(60.0, self._heal_messages, broker)

    def _heal_messages(self, broker: Broker) -> None:
        broker.lost = broker.late = broker.doubled = 0.0

    # The branch and what it calls

    def _kill_branch_now(self) -> None:
        self._world.kill_branch()

    def _kill_branch_in_a_call(self) -> None:
        self.die_at_call(self._scheduler.random.randint(1, 40))

    def _kill_supervisord(self) -> None:
        self._world.end_supervisord()

    def _shut_supervisord_down(self) -> None:
        self._world.supervisord.shut_down()

    def _hang_supervisord(self) -> None:
        self._world.supervisord.hang()
        self._later(40.0, self._world.supervisord.go_on)

    def _fail_calls(self) -> None:
        share = self._scheduler.between(0.05, 1.0)
        what = self._scheduler.random.choice(
            ["call_failures", "disk_failures", "store_failures", "news"]
        )
        if what == "news":
            self._news_s = self._scheduler.between(0.1, 10.0)
        else:
            setattr(self, what, share)
        self._later(30.0, self._heal_calls)

    def _heal_calls(self) -> None:
        self.call_failures = self.disk_failures = self.store_failures = 0.0
        self._news_s = 0.01
        if not self._is_stormy:
            self.slow = 0.0

    def _jump(self) -> None:
        seconds = self._scheduler.random.choice([-3600.0, -5.0, 5.0, 3600.0])
        self._scheduler.jump(seconds)
        self._world.supervisord.clock_jumped(seconds)

    def _give_up_program(self) -> None:
        for name in sorted(self._world.supervisord.programs):
            self._world.supervisord.give_up(name)

    def _meddle(self) -> None:
        """Somebody at supervisorctl."""
        supervisord = self._world.supervisord
        names = sorted(name for name, each in supervisord.programs.items() if each.is_ours)
        if names and not (supervisord.is_hung or supervisord.is_stopping):
            name = self._scheduler.random.choice(names)
            state = supervisord.programs[name].state
            if state in (ProcessState.STOPPED, ProcessState.EXITED):
                supervisord.start(name)
            else:
                supervisord.stop(name)
