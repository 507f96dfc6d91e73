"""What may never happen, and what is so once everything works again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.foresight import foresee
from cyme_supd.domain.recall import Files, recalled
from cyme_supd.domain.restarts import CRASH_LOOPING, FREE_ENDS
from cyme_supd.domain.spec import Worker
from cyme_supd.domain.status import ProcessState, Status
from cyme_supd.testing.store import MemoryView
from tests.simulation.branch import BRANCH
from tests.simulation.supervisord import FOREIGN
from tests.unit.values import RECONNECT_S, the_launch

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.workers import Worker as Running
    from tests.simulation.world import World


#: What was seen so short a time ago may be believed; the disk may be slow meanwhile.
AT_ONCE_S = 1.0
#: The same of what only the workers can tell.
KNOWN_S = 15.0
#: As the rule of restarts has it: who is up for longer did not end soon.
SETTLED_S = 60.0
#: So often one may be ended for what ails it until it is left alone for longer
#: than anybody here waits, and within which time.
TREATED, TREATED_WITHIN_S = 2, 1200.0


class Laws:
    """``broken`` is the first one that was; ``acts`` what the branch has done.

    What the branch wants is judged by what it read last: edits that came
    later are for its next look.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.broken: str | None = None
        self.acts: list[tuple[str, str]] = []
        self._is_blind = True
        self._view: MemoryView | None = None
        self._identities: dict[tuple[str, int, str], str] = {}
        # How often each has ended soon and by itself, in a row.
        self._soon_ends: dict[str, int] = {}
        self._treated: dict[str, list[float]] = {}

    def violate(self, text: str) -> None:
        self._world.scheduler.tell("BROKEN: %s", text)
        self.broken = self.broken or text

    # The store

    def on_blind(self) -> None:
        """The branch could not read what is wanted."""
        self._is_blind = True

    def on_read(self, view: MemoryView) -> None:
        self._is_blind = False
        self._view = view

    def on_write(self, before: Sequence[Worker], after: Sequence[Worker]) -> None:
        """Only what is being deleted goes, and nothing that is wanted changes."""
        left = {worker.name: worker for worker in after}
        for worker in before:
            if worker.name not in left and not worker.instance.is_deleting:
                self.violate(f"the branch forgot {worker.name}, which nobody deleted")
            elif left.pop(worker.name, worker) != worker:
                self.violate(f"the branch edited {worker.name}")
        if left:
            self.violate(f"the branch created {', '.join(left)}")

    def on_statuses(self, statuses: Mapping[str, Status]) -> None:
        """Ready is who has said so itself, this process and not the one before."""
        for process in self._world.processes:
            status = statuses.get(process.name)
            is_ready = status is not None and status.ready and status.pid == process.pid
            if is_ready and not (process.worker and process.worker.has_answered):
                self.violate(f"{process.name} is told to be ready, and has never answered")

    # What the branch does

    def on_act(self, verb: str, name: str) -> None:
        if name != FOREIGN:
            # Of that it is tried again and again whether the name is free by now.
            self.acts.append((verb, name))
        worker = self._wanted(name)
        if self._is_blind:
            self.violate(f"{verb} {name}, without knowing what is wanted")
        elif worker is None:
            self.violate(f"{verb} {name}, which is not wanted, nor being deleted")
        elif verb == "start":
            self._check_start(worker)
        elif verb in ("stop", "kill"):
            self._check_stop(verb, worker)
        elif verb in ("remove", "unlink", "drop"):
            self._check_removal(verb, worker)

    def _check_start(self, worker: Worker) -> None:
        if worker.instance.is_deleting or not worker.instance.is_enabled:
            self.violate(f"start {worker.name}, which should not run")

    def _check_stop(self, verb: str, worker: Worker) -> None:
        process = self._world.process_of(worker.name)
        if worker.instance.is_deleting or not worker.instance.is_enabled or process is None:
            return
        programs = self._world.branch.programs
        known = programs.seen.get(worker.name)
        is_other = known is None or known.pid != process.pid
        seen_at = programs.seen_at.get(worker.name, -AT_ONCE_S)
        if is_other and self._world.scheduler.now_s - seen_at < AT_ONCE_S:
            # It replaced one that ended this moment, and nobody can know that yet.
            return
        if not self.has_reason_to_end(worker, process):
            self.violate(f"{verb} {worker.name}, which is as it should be")

    def has_reason_to_end(self, worker: Worker, process: Process) -> bool:
        running = process.worker
        if self._soon_ends.get(worker.name, 0) > FREE_ENDS:
            return True
        if running is None:
            return False
        if running.identity != self._identity(worker) or _has_other(worker, running):
            return True
        if running.is_ending:
            # What it was asked to end for may be over; it ends.
            return True
        if is_sick := self._is_sick(running):
            self._treated.setdefault(worker.name, []).append(self._world.scheduler.now_s)
        return is_sick

    def _is_sick(self, running: Running) -> bool:
        """Whether it had time to be well, and was not when that could be known."""
        now_s, broker = self._world.scheduler.now_s, running.broker
        until_s = now_s if broker.is_up else broker.ill_since_s
        if now_s - until_s > KNOWN_S or until_s - broker.well_since_s < RECONNECT_S:
            return False
        is_over = not (running.is_hung or running.is_deaf)
        return not is_over or now_s - running.well_at_s < KNOWN_S

    def has_treated(self, name: str) -> bool:
        """Whether it has been ended so often of late that it is left alone for now."""
        since_s = self._world.scheduler.now_s - TREATED_WITHIN_S
        return sum(at_s > since_s for at_s in self._treated.get(name, ())) >= TREATED

    # What happens to processes

    def on_end(self, process: Process) -> None:
        if process.is_asked_to_end:
            return
        lived_s = self._world.scheduler.now_s - process.begun_s
        has_settled = lived_s > SETTLED_S + KNOWN_S and process.worker is not None
        ends = 0 if has_settled else self._soon_ends.get(process.name, 0) + 1
        self._soon_ends[process.name] = ends

    def on_given_up(self, name: str) -> None:
        """supervisord will start it no more: that is often enough."""
        self._soon_ends[name] = FREE_ENDS + 1

    def _check_removal(self, verb: str, worker: Worker) -> None:
        if not worker.instance.is_deleting:
            self.violate(f"{verb} {worker.name}, which nobody deleted")
        elif verb == "unlink" and self._is_ours(worker.name):
            self.violate(f"the files of {worker.name} went before its program")

    def _is_ours(self, name: str) -> bool:
        return name != FOREIGN and name in self._world.supervisord.programs

    def _wanted(self, name: str) -> Worker | None:
        if self._view is None:
            return None
        return next((each for each in self._view.workers(BRANCH) if each.name == name), None)

    def _identity(self, worker: Worker) -> str:
        key = (worker.name, worker.instance.generation, str(worker.instance.created_at))
        if key not in self._identities:
            self._identities[key] = the_launch(worker).identity
        return self._identities[key]

    # After every step

    def check(self) -> None:
        """At most one of each, and what is not ours untouched."""
        seen: set[str] = set()
        for process in self._world.processes:
            if process.worker is not None and process.is_alive:
                if process.name in seen:
                    self.violate(f"two of {process.name} run")
                seen.add(process.name)
        supervisord = self._world.supervisord
        if supervisord.is_alive:
            theirs = supervisord.programs.get(FOREIGN)
            if theirs is None or theirs.is_ours or theirs.state is not ProcessState.RUNNING:
                self.violate("a program that is not Cyme's was touched")

    # In the end

    def differences(self) -> list[str]:
        """In what the world is not as it is wanted; empty when it is."""
        with self._world.store.reading() as view:
            workers = view.workers(BRANCH)
            found = [text for worker in workers for text in self._of_one(worker)]
            statuses = view.statuses(BRANCH)
        names = {worker.name for worker in workers}
        for worker in workers:
            if worker.name != FOREIGN:
                found.extend(self._of_status(worker, statuses.get(worker.name)))
                found.extend(self._of_plan(worker, statuses.get(worker.name)))
        found.extend(self._leftovers(names))
        return found

    def _of_one(self, worker: Worker) -> Iterator[str]:
        name = worker.name
        process = self._world.process_of(name)
        program = self._world.supervisord.programs.get(name)
        if worker.instance.is_deleting:
            yield f"{name} is not gone"
        elif name == FOREIGN:
            return
        elif program is None:
            yield f"{name} is not known to supervisord"
        elif not worker.instance.is_enabled:
            if process is not None or program.state is not ProcessState.STOPPED:
                yield f"{name} is {program.state}"
        elif process is None or program.state is not ProcessState.RUNNING:
            yield f"{name} does not run, it is {program.state}"
        elif process.worker is not None:
            yield from self._of_process(worker, process.worker)
        if program is not None and program.stop_timeout_s != worker.stop_timeout_s:
            yield f"{name} has another stop timeout"
        if self._world.disk.written(name) != the_launch(worker).digest:
            yield f"{name} has another launch file"

    def _of_process(self, worker: Worker, running: Running) -> Iterator[str]:
        name = worker.name
        wanted = {queue.name: str(entry(queue)["digest"]) for queue in worker.queues}
        if running.identity != self._identity(worker):
            yield f"{name} was launched with something else"
        if running.is_hung or running.is_deaf:
            yield f"{name} is not well"
        if not running.is_connected:
            yield f"{name} is not connected"
        if running.queues != {running.own: "", **wanted}:
            yield f"{name} consumes from {running.queues}, not from {wanted}"
        if running.autoscale != (worker.autoscale if worker.is_autoscaled else None):
            yield f"{name} has limits {running.autoscale}"

    def _of_status(self, worker: Worker, status: Status | None) -> Iterator[str]:
        process = self._world.process_of(worker.name)
        program = self._world.supervisord.programs.get(worker.name)
        is_up = worker.instance.is_enabled
        wanted = (
            worker.instance.generation,
            program.state if program else None,
            process.pid if process else None,
            is_up,
            is_up,
            tuple(sorted(queue.name for queue in worker.queues)) if is_up else (),
        )
        fields = ("generation", "state", "pid", "ready", "consuming", "queues")
        told = tuple(getattr(status, field, "nothing") for field in fields)
        if told != wanted and not worker.instance.is_deleting:
            yield f"of {worker.name} the store says {told}, not {wanted}"
        conditions = status.conditions if status else ()
        if is_up and any(each.type == CRASH_LOOPING for each in conditions):
            yield f"of {worker.name} the store says that it ends too often"

    def _of_plan(self, worker: Worker, status: Status | None) -> Iterator[str]:
        """Whoever goes by store and files alone has nothing to plan either."""
        name, disk = worker.name, self._world.disk
        running = disk.running(name, status.pid) if status and status.pid else None
        files = Files(disk.written(name), disk.queues(name), running)
        seen = recalled(worker, worker, status, files)
        for step in foresee(worker, the_launch(worker), seen):
            yield f"of {name} the plan says {step}"

    def _leftovers(self, names: set[str]) -> Iterator[str]:
        disk, programs = self._world.disk, self._world.supervisord.programs
        if left := programs.keys() - names - {FOREIGN}:
            yield f"programs are left: {sorted(left)}"
        if left := (disk.sections.keys() | disk.folders()) - names:
            yield f"files are left: {sorted(left)}"
        if FOREIGN in disk.sections:
            yield f"there is a section of {FOREIGN}"
        if alive := {each.name for each in self._world.processes if each.is_alive} - names:
            yield f"processes are left: {sorted(alive)}"


def _has_other(worker: Worker, running: Running) -> bool:
    """Whether it is bound to, or would be bound again to, a declaration of before."""
    for queue in worker.queues:
        digest = entry(queue)["digest"]
        for known in (running.queues, running.taken):
            if known.get(queue.name) not in (None, "", digest):
                return True
    return False
