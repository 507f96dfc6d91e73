"""How long a branch takes to end.

Once with stand-ins for workers that each take 1.5 s to stop, beside a stock
supervisord with as many programs of the same script, and once with real
workers, beside the stop of one bare ``celery worker``. From SIGINT to
supervisord, which is what ^C sends, until its process is gone. The stock
supervisord alone makes a round of the first take a minute.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, peers
from benchmarks.figures import Table
from tests.support import eventually

STAND_INS = 40
STAND_IN_S = 1.5
STAND_INS_TARGET = 1.5
WORKERS = 12
WORKERS_TARGET = 4.0

#: Takes its time to end, whatever it is told at its start; ``ready`` in its
#: folder says that it would.
SCRIPT = f"""#!{sys.executable} -IS
import os, signal, time

def finish(*_):
    time.sleep({STAND_IN_S})
    os._exit(0)

signal.signal(signal.SIGTERM, finish)
open("ready", "w").close()
while True:
    signal.pause()
"""


def main() -> None:
    pairs = harness.pairs_wanted(__doc__)
    with harness.valkey() as broker:
        stop_stand_ins(broker, pairs)
        stop_workers(broker, pairs)


def stop_stand_ins(broker: str, pairs: int) -> None:
    ours: list[float] = []
    stock: list[float] = []
    with harness.folder() as place:
        script = write_script(place)
        for _ in range(pairs):
            ours.append(stop_of_ours(broker, script))
            stock.append(stop_of_stock(script))
    table = Table(f"^C with {STAND_INS} stand-ins that take {STAND_IN_S} s to stop")
    table.ours("ours: until supervisord is gone", ours)
    table.peer("one stand-in", [STAND_IN_S], STAND_INS_TARGET)
    table.peer("stock supervisord", stock)
    table.print()


def write_script(place: Path) -> Path:
    script = place / "stand-in"
    script.write_text(SCRIPT)
    script.chmod(0o700)
    return script


def stop_of_ours(broker: str, script: Path) -> float:
    names = [f"s{number}" for number in range(STAND_INS)]
    with harness.branch(broker) as branch:
        branch.ask("POST", "/bar/", command=str(script))
        for name in names:
            branch.ask("POST", f"/bar/instances/!/{name}/")
        # A worker that does not answer holds up the next for ten seconds:
        # those that wait for their turn are started from here.
        eventually(lambda: set(names) <= set(processes(branch)), harness.DEADLINE_S)
        branch.supervisord.start(names)
        wait_until_ready([branch.paths.instances / name for name in names])
        return harness.seconds_to_end(branch.process.pid, signal.SIGINT)


def stop_of_stock(script: Path) -> float:
    names = [f"s{number}" for number in range(STAND_INS)]
    with (
        harness.folder() as place,
        peers.stock(place, {name: [str(script)] for name in names}) as running,
    ):
        wait_until_ready([place / name for name in names])
        return harness.seconds_to_end(running.process.pid, signal.SIGINT)


def processes(branch: harness.Branch) -> dict[str, Any]:
    found = branch.supervisord.call("supervisor.getAllProcessInfo")
    return {record["name"]: record for record in found}


def wait_until_ready(folders: Sequence[Path]) -> None:
    eventually(lambda: all((each / "ready").exists() for each in folders), harness.DEADLINE_S)


def stop_workers(broker: str, pairs: int) -> None:
    ours: list[float] = []
    one: list[float] = []
    with harness.folder() as place:
        peers.write_app(place, broker)
        for _ in range(pairs):
            with harness.branch(broker) as branch:
                argv = start_workers(branch)
                ours.append(harness.seconds_to_end(branch.process.pid, signal.SIGINT))
            with peers.worker(peers.lean(argv, "peer@bench"), place) as (_, pid):
                one.append(harness.seconds_to_end(pid, signal.SIGTERM))
    table = Table(f"^C with {WORKERS} workers")
    table.ours("ours: until supervisord is gone", ours)
    table.peer("SIGTERM to one celery worker", one, WORKERS_TARGET)
    table.print()


def start_workers(branch: harness.Branch) -> list[str]:
    """Until all answer; what the first was launched with."""
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        branch.ask("POST", f"/foo/instances/!/{name}/")

    def are_ready() -> bool:
        return all(branch.ask("GET", f"/foo/instances/{name}/")["ready"] for name in names)

    eventually(are_ready, harness.DEADLINE_S, every_s=0.2)
    argv: list[str] = branch.launch(names[0])["argv"]
    return argv


if __name__ == "__main__":
    main()
