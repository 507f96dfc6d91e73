"""People who edit specs, at any time, by what the service lets them do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from cyme_supd.domain.spec import Instance
from cyme_supd.errors import CymeError
from cyme_supd.service import Service, ThisBranch
from cyme_supd.testing.brokers import MemoryBrokerQueues
from cyme_supd.testing.launches import MemoryLaunches
from cyme_supd.testing.mailbox import MemoryFleet
from cyme_supd.testing.publisher import MemoryPublisher
from cyme_supd.testing.questions import MemoryQuestions
from cyme_supd.testing.strays import MemoryStrays
from cyme_supd.testing.taskbroker import MemoryTaskBroker
from tests.simulation.branch import BRANCH
from tests.simulation.supervisord import FOREIGN
from tests.unit.service_support import Backends, Logs, RunLogs
from tests.unit.values import BROKER, INTERVAL_S, the_launch

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_S = 3.0
LONGEST_STOP_S = 20
OTHER_BROKER = "amqp://guest:guest@127.0.0.1:7001//"
#: Those of an app that has a broker of its own.
APPS = {"foo": None, "bar": OTHER_BROKER}


class People:
    """Edits come from *random*: the world's, or one that its faults do not change."""

    queues = ("q1", "q2", "q3")
    names = ("w1", "w2", "w3", "w4", "w5", "w6")

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._is_busy = False
        self._crowd = 0
        nobody = MemoryFleet(world.scheduler)
        self._service = Service(
            store=world.store,
            hints=world,
            questions=MemoryQuestions(),
            broker_queues=MemoryBrokerQueues(),
            logs=Logs(),
            publisher=MemoryPublisher(),
            task_broker=MemoryTaskBroker(),
            backends=Backends(),
            launched=MemoryLaunches(),
            launch_of=the_launch,
            run_logs=RunLogs(),
            strays=MemoryStrays(),
            mailbox=nobody,
            presence=nobody,
            clock=world.scheduler,
            here=ThisBranch(BRANCH, BROKER, is_root=False, sup_interval=INTERVAL_S),
        )
        self._kinds: list[Callable[[], str]] = [
            *[self.create] * 5,
            *[self.delete] * 2,
            *[self.autoscale] * 3,
            *[self.consume] * 4,
            *[self.consume_no_longer] * 2,
            *[self.enable] * 3,
            self.disable,
            self.restart,
            *[self.redeclare] * 2,
            self.remove_queue,
            self.change_pool,
            self.change_stop_timeout,
            self.change_app,
            self.move_app,
        ]
        for app, broker in APPS.items():
            more = {"broker": broker} if broker else {}
            self._service.apps.put(app, {"stop_timeout_s": LONGEST_STOP_S, **more})
            for queue in self.queues:
                self._service.queues.put(app, queue, {})

    def begin(self) -> None:
        self._is_busy = True
        self._crowd += 1
        self._next(self._crowd)

    def end(self) -> None:
        self._is_busy = False

    def _next(self, crowd: int) -> None:
        delay_s = self._random.expovariate(1 / EVERY_S)
        self._world.scheduler.after(delay_s, self._edit_and_go_on, crowd)

    def _edit_and_go_on(self, crowd: int) -> None:
        if self._is_busy and crowd == self._crowd:
            self.edit()
            self._next(crowd)

    def edit(self) -> None:
        """One request; what is refused changes nothing."""
        kind = self._random.choice(self._kinds)
        try:
            text = kind()
        except CymeError as exc:
            text = f"{kind.__name__}: {exc.message}"
        self._world.scheduler.tell("somebody: %s", text)

    def create_one(self, name: str, app: str = "foo") -> None:
        self._service.instances.put(app, name, {}, None)

    def delete_one(self, name: str, app: str = "foo") -> None:
        self._service.instances.delete(app, name, False, None)

    def instances(self) -> list[Instance]:
        with self._world.store.reading() as view:
            return [worker.instance for worker in view.workers(BRANCH)]

    def _one(self) -> Instance:
        found = self.instances()
        if not found:
            raise CymeError("there is none")
        return self._random.choice(found)

    # The requests

    def create(self) -> str:
        app = self._random.choice(sorted(APPS))
        name = self._random.choice(self.names)
        if self._random.random() < 0.03:
            name = FOREIGN
        self._service.instances.put(app, name, self._some_limits(), None)
        return f"create {name}"

    def _some_limits(self) -> dict[str, object]:
        most = self._random.randint(1, 6)
        return {"max_concurrency": most, "min_concurrency": self._random.randint(1, most)}

    def delete(self) -> str:
        one = self._one()
        is_forced = self._random.random() < 0.3
        self._service.instances.delete(one.app, one.name, is_forced, None)
        return f"delete {one.name}{' by force' if is_forced else ''}"

    def autoscale(self) -> str:
        one = self._one()
        limits = self._some_limits()
        self._service.instances.autoscale(one.app, one.name, limits, None)
        return f"autoscale {one.name} {limits}"

    def consume(self) -> str:
        one, queue = self._one(), self._random.choice(self.queues)
        self._service.consumers.add(one.app, one.name, queue, None)
        return f"{one.name} consumes from {queue}"

    def consume_no_longer(self) -> str:
        one, queue = self._one(), self._random.choice(self.queues)
        self._service.consumers.delete(one.app, one.name, queue, None)
        return f"{one.name} consumes no longer from {queue}"

    def enable(self) -> str:
        one = self._one()
        self._service.instances.enable(one.app, one.name, None)
        return f"enable {one.name}"

    def disable(self) -> str:
        one = self._one()
        self._service.instances.disable(one.app, one.name, None)
        return f"disable {one.name}"

    def restart(self) -> str:
        one = self._one()
        self._service.instances.restart(one.app, one.name, None)
        return f"restart {one.name}"

    def redeclare(self) -> str:
        app, queue = self._random.choice(sorted(APPS)), self._random.choice(self.queues)
        key = f"key{self._random.randint(1, 3)}"
        self._service.queues.put(app, queue, {"routing_key": key})
        return f"declare {queue} of {app} with {key}"

    def remove_queue(self) -> str:
        app, queue = self._random.choice(sorted(APPS)), self._random.choice(self.queues)
        self._service.queues.delete(app, queue, None)
        return f"remove queue {queue} of {app}"

    def change_pool(self) -> str:
        one, pool = self._one(), self._random.choice(["prefork", "threads", "solo"])
        limits = {"max_concurrency": 1, "min_concurrency": 1} if pool == "solo" else {}
        self._service.instances.put(one.app, one.name, {"pool": pool, **limits}, None)
        return f"{one.name} gets pool {pool}"

    def change_stop_timeout(self) -> str:
        one, timeout_s = self._one(), self._random.randint(2, LONGEST_STOP_S)
        self._service.instances.put(one.app, one.name, {"stop_timeout_s": timeout_s}, None)
        return f"{one.name} may take {timeout_s} s to stop"

    def change_app(self) -> str:
        app = self._random.choice(sorted(APPS))
        self._service.apps.put(app, {"arguments": f"-O fair -X {self._random.randint(1, 3)}"})
        return f"{app} gets other arguments"

    def move_app(self) -> str:
        app = self._random.choice(sorted(APPS))
        broker = self._random.choice([BROKER, OTHER_BROKER])
        self._service.apps.put(app, {"broker": broker})
        return f"{app} moves to {broker}"
