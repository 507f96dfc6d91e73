"""What a pass over a thousand workers costs.

A real branch with a thousand programs under its supervisord, each ``sleep``,
and a thousand pidbox nodes that answer in their place,
each on its own channel, in eight processes. A pair is a window of ten
seconds, two full passes, with edits at odd moments: each is timed from its
hint until supervisord has been told. A pass is also timed from inside, by the
branch's own parts in this process once the branch itself is stopped: from its
beginning until every answer to its question is in the table.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness, nodes
from benchmarks.costs import Pids, busy, pss_mb, tree
from benchmarks.figures import ENOUGH_PAIRS, Table
from cyme_supd.branch.hints import HintSender
from cyme_supd.branch.main import BranchProcess
from cyme_supd.config import load
from cyme_supd.domain.spec import Worker
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from tests.support import eventually

PLAYERS = 8
#: Programs that supervisord is asked about in one call.
CHUNK = 25
WINDOW_S = 10.0
PASS_S = {"RabbitMQ": 1.0, "Valkey": 2.0}
CPU_PERCENT = 10.0
MORE_MB = 60.0
HINT_S = 0.1
#: Between edits, at random.
PAUSE_S = (0.1, 0.9)
APP = "bar"
SETTLE_S = 15.0


@dataclass
class Samples:
    """``cpu`` in percent of a core by process, ``idle`` and ``full`` MB by process."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    full: dict[str, float] = field(default_factory=dict)
    hints: list[float] = field(default_factory=list)
    questions: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


def main() -> None:
    numbers = harness.wanted(__doc__, pairs=ENOUGH_PAIRS, workers=1000)
    pairs, names = numbers["pairs"], [f"n{number:04}" for number in range(numbers["workers"])]
    for name in PASS_S:
        samples = Samples()
        with harness.BROKERS[name]() as broker, harness.branch(broker) as branch:
            time.sleep(SETTLE_S)
            samples.idle = memory(tree(branch))
            with populated(branch, broker, names):
                measure(branch, names, pairs, samples)
                stop_branch(branch)
                measure_inside(branch.paths.root, max(pairs, 5), samples)
        report(name, len(names), samples)


@contextmanager
def populated(branch: harness.Branch, broker: str, names: Sequence[str]) -> Iterator[None]:
    """With all instances, running and ready."""
    with ExitStack() as stack:
        script = branch.paths.root / "stand-in"
        script.write_text("#!/bin/sh\nexec sleep inf\n")
        script.chmod(0o700)
        branch.ask("POST", f"/{APP}/", command=str(script))
        for name in names:
            branch.ask("POST", f"/{APP}/instances/!/{name}/")
        eventually(lambda: len(known(branch)) == len(names), 4 * harness.DEADLINE_S, every_s=1.0)
        stand_in(branch, names)
        start_all(branch)
        for number in range(PLAYERS):
            stack.enter_context(playing(branch, broker, names[number::PLAYERS]))
        eventually(lambda: ready(branch) == len(names), 4 * harness.DEADLINE_S, every_s=1.0)
        time.sleep(SETTLE_S)
        yield


@contextmanager
def playing(branch: harness.Branch, broker: str, names: Sequence[str]) -> Iterator[None]:
    config = load(branch.paths.root)
    argv = [sys.executable, "-m", "benchmarks.nodes", broker, config.id, config.root, *names]
    output = branch.paths.root / f"players.{names[0]}"
    process = harness.start(argv, Path.cwd(), output)
    try:
        eventually(lambda: "ready" in output.read_text(), harness.DEADLINE_S)
        yield
    finally:
        harness.end(process)


def known(branch: harness.Branch) -> list[dict[str, Any]]:
    """The instances' programs, as supervisord has them."""
    answer = branch.supervisord.changes("", 0)
    assert answer is not None
    return [one for one in answer["programs"] if one["ours"]]


def stand_in(branch: harness.Branch, names: Sequence[str]) -> None:
    """Have their programs be ``sleep`` without the launcher, which would take minutes."""
    for name in names:
        path = branch.paths.sections / f"{name}.conf"
        lines = path.read_text().splitlines()
        replaced = ["command=/bin/sleep inf" if _is_command(line) else line for line in lines]
        path.write_text("\n".join([*replaced, ""]))
    for some in chunks(names):
        branch.supervisord.apply(some)


def _is_command(line: str) -> bool:
    return line.startswith("command=")


def start_all(branch: harness.Branch) -> None:
    """Start those that the reconciler has not, and say what they were launched with."""
    for some in chunks([one["name"] for one in known(branch) if not one["pid"]]):
        branch.supervisord.start(some)
    for one in known(branch):
        folder = branch.paths.instances / one["name"]
        if not (folder / "running.json").exists():
            identity = json.loads((folder / "launch.json").read_text())["identity"]
            said = json.dumps({"pid": one["pid"], "identity": identity})
            (folder / "running.json").write_text(said)


def chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]


def ready(branch: harness.Branch) -> int:
    config = load(branch.paths.root)
    store = SqlStore(database_url(config), config.broker)
    try:
        with store.reading() as view:
            return sum(status.ready is True for status in view.statuses(config.id).values())
    finally:
        store.close()


def measure(branch: harness.Branch, names: Sequence[str], pairs: int, samples: Samples) -> None:
    """Processor time and edits, while the branch does its passes."""
    pids = tree(branch)
    with Editor(branch) as editor:
        for number in range(pairs):
            # Without edits first: what passes cost by themselves.
            window(branch, pids, names[0], samples)
            until = time.monotonic() + WINDOW_S
            while time.monotonic() < until:
                samples.hints.append(editor.edit(names[number]))
                time.sleep(random.uniform(*PAUSE_S))
    samples.full = memory(pids)


def window(branch: harness.Branch, pids: Pids, first: str, samples: Samples) -> None:
    heard = nodes.heard_by(branch.paths, first)
    before, asked, begun = busy(pids), len(heard.read_text().splitlines()), time.perf_counter()
    time.sleep(WINDOW_S)
    elapsed = time.perf_counter() - begun
    for name, seconds in busy(pids).items():
        samples.cpu.setdefault(name, []).append(100 * (seconds - before[name]) / elapsed)
    asked = len(heard.read_text().splitlines()) - asked
    samples.questions.append(asked / (WINDOW_S / load(branch.paths.root).sup_interval))


class Editor:
    """Edits specs as the web does, and sees what supervisord is told."""

    def __init__(self, branch: harness.Branch) -> None:
        config = load(branch.paths.root)
        self._store = SqlStore(database_url(config), config.broker)
        self._hints = HintSender(config.paths.hints)
        self._supervisord = branch.supervisord
        self._timeout_s = 100

    def __enter__(self) -> Editor:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def edit(self, name: str) -> float:
        """Seconds from the hint until supervisord has the new stop timeout."""
        self._timeout_s += 1
        with self._store.writing() as tx:
            tx.save_instance(replace(tx.instance(name), stop_timeout_s=self._timeout_s))
        position = self._position()
        begun = time.perf_counter()
        self._hints.send()
        while not self._is_told(name, position):
            if time.perf_counter() - begun > harness.DEADLINE_S:
                raise TimeoutError(f"{name} is not told")
        return time.perf_counter() - begun

    def _position(self) -> str:
        answer = self._supervisord.changes("", 0)
        assert answer is not None
        return str(answer["position"])

    def _is_told(self, name: str, position: str) -> bool:
        answer = self._supervisord.changes(position, 10)
        assert answer is not None
        return any(
            one["name"] == name and one["stop_timeout_s"] == self._timeout_s
            for one in answer["programs"]
        )


def memory(pids: Pids) -> dict[str, float]:
    return {name: pss_mb(pid) for name, pid in pids.items()}


def stop_branch(branch: harness.Branch) -> None:
    branch.supervisord.call("supervisor.stopProcess", "cyme:branch")


def measure_inside(root: Path, rounds: int, samples: Samples) -> None:
    """Passes of the branch's own parts, one after the other."""
    process = BranchProcess(load(root))
    listening: Callable[..., Any] = process.programs.listen
    stop = process.stop
    body = partial(listening, stop, lambda _names: None, lambda: None)
    threading.Thread(target=body, daemon=True).start()
    try:
        eventually(lambda: process.programs.is_reachable)
        process.reconciler.full_pass()
        with process.store.reading() as view:
            workers = view.workers(process.config.id)
        answered(process, workers, since=0.0)
        for _ in range(rounds):
            begun = process.clock.monotonic()
            process.reconciler.full_pass()
            samples.own.append(process.clock.monotonic() - begun)
            samples.answered.append(answered(process, workers, begun) - begun)
    finally:
        stop.set()
        process.remote.stop()


def answered(process: BranchProcess, workers: Sequence[Worker], since: float) -> float:
    """When the last of the answers came that are newer than *since* (monotonic)."""

    def last() -> float:
        answers = [process.remote.answer(worker) for worker in workers]
        times = [0.0 if answer is None else answer.at for answer in answers]
        return max(times) if min(times) > since else 0.0

    at: float = eventually(last, harness.DEADLINE_S, every_s=0.05)
    return at


def report(broker: str, workers: int, samples: Samples) -> None:
    table = Table(f"a full pass over {workers} workers, {broker}")
    table.ours("ours: until the last has answered", samples.answered)
    table.limit("limit", PASS_S[broker])
    table.part("  of it: load, observe, plan, write", samples.own)
    table.print()
    table = Table(f"questions a pass at each broker, {broker}", "", 1)
    table.ours("ours", samples.questions)
    table.limit("limit", 2.0)
    table.print()
    table = Table(f"a pass every 5 s over {workers} workers, {broker}", "%", 2)
    table.ours("ours: % of a core", totals(samples.cpu))
    table.limit("limit", CPU_PERCENT)
    for name, each in samples.cpu.items():
        table.part(f"  of it: {name}", each)
    table.print()
    table = Table(f"memory with {workers} workers above that with none, {broker}", "MB", 1)
    more = {name: full - samples.idle[name] for name, full in samples.full.items()}
    table.ours("ours: PSS", [sum(more.values())])
    table.limit("limit", MORE_MB)
    for name, one in more.items():
        table.part(f"  of it: {name}", [one])
    table.print()
    table = Table(f"hint to supervisord meanwhile, {len(samples.hints)} edits, {broker}")
    table.ours("ours", samples.hints)
    table.limit("limit", HINT_S)
    ordered = sorted(samples.hints)
    table.part("  95 of 100 are below", [ordered[int(0.95 * (len(ordered) - 1))]])
    table.print()


def totals(parts: dict[str, list[float]]) -> list[float]:
    return [sum(each) for each in zip(*parts.values(), strict=True)]


if __name__ == "__main__":
    main()
