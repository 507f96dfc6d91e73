"""Jobs in a worker with the bundled app: as tasks, in the processes of its pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cyme_supd.domain.orders import RunEnd, Started
from tests.dispatching import Dispatcher
from tests.support import eventually

StartWorker = Callable[[Dispatcher], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_worker(root: Path) -> Iterator[StartWorker]:
    begun: list[subprocess.Popen[bytes]] = []

    def start(dispatcher: Dispatcher) -> subprocess.Popen[bytes]:
        words = f"worker -Q {dispatcher.queue} -c 2 -n w1@{os.getpid()} --without-mingle"
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "cyme_supd.workers.bundled:app", *words.split()],
            env={
                **os.environ,
                "CELERY_BROKER_URL": dispatcher.url,
                "CYME_LAUNCH_DIRECTORY": str(root / "instances" / "w1"),
            },
            stdin=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        with process:
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
            process.kill()


def test_a_worker_runs_jobs(
    dispatcher: Dispatcher, start_worker: StartWorker, tmp_path: Path, root: Path
) -> None:
    done, go = tmp_path / "done", tmp_path / "go"
    worker = start_worker(dispatcher)
    runs = [
        dispatcher.order(2, command=f"echo $CYME_RUN_ID $CELERY_BROKER_URL >> {done}; echo out")
        for _ in range(4)
    ]
    for run in runs:
        end = eventually(lambda run=run: dispatcher.ended(run), 60)
        assert (end.status, end.tail, end.instance) == (RunEnd.SUCCEEDED, b"out\n", "w1")
    eventually(lambda: len(dispatcher.refusals) >= 4, 20)
    assert sorted(done.read_text().split()) == sorted(runs)
    assert len(list((root / "runs" / "j1").iterdir())) == 4
    # Warm: what runs ends, and is told.
    last = dispatcher.order(command=f"until [ -e {go} ]; do sleep 0.05; done; echo bye")
    eventually(lambda: dispatcher.all(Started, last), 20)
    worker.terminate()
    go.touch()
    assert worker.wait(60) == 0
    assert eventually(lambda: dispatcher.ended(last)).tail == b"bye\n"


def test_a_process_of_the_pool_is_killed(
    dispatcher: Dispatcher, start_worker: StartWorker, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    worker = start_worker(dispatcher)
    run = dispatcher.order(command=f"echo $CYME_RUN_ID >> {done}; sleep 4344.25")
    (started,) = eventually(lambda: dispatcher.all(Started, run), 60)
    job = psutil.Process(started.pid)
    keeper = job.parent()
    assert keeper is not None
    child = keeper.parent()
    assert child is not None
    assert child.pid != worker.pid
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: not job.is_running() and not keeper.is_running())
    eventually(lambda: len(psutil.Process(worker.pid).children()) == 2, 60)
    other = dispatcher.order(argv=("true",))
    assert eventually(lambda: dispatcher.ended(other), 60).status == RunEnd.SUCCEEDED
    # Its order was done with when it was granted, and comes to nobody else.
    assert run not in dispatcher.refusals
    assert done.read_text().split() == [run]
