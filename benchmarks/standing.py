"""A branch without a supervisord: ``python -m benchmarks.standing ROOT COUNT``.

All by which a branch answers the others is the real thing, in a process of its
own as it is there: mailbox, controllers, application and store. Its settings
are in the root. *COUNT* instances are stored once the app is known here; no
worker runs for them.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import harness
from cyme_supd.branch.beats import Beats
from cyme_supd.branch.neighbours import Neighbours
from cyme_supd.branch.workqueue import WorkQueue
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config, load
from cyme_supd.domain.spec import Instance
from cyme_supd.errors import CymeError
from cyme_supd.store.engine import database_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.support import eventually

APP = "foo"


def main(root: str, count: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    config, clock = load(root), SystemClock()
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    if not config.database:
        migrate(store.engine)
    standing = Neighbours(config, store, clock, Beats(clock), clock.now(), WorkQueue(clock))
    standing.start(_thread, stop)
    eventually(lambda: _knows(store), harness.DEADLINE_S)
    fill(store, config.id, count)
    print("ready", flush=True)
    stop.wait()
    standing.stop()


def _thread(name: str, body: Callable[[Callable[[], None]], None]) -> None:
    threading.Thread(target=body, args=(lambda: None,), name=name, daemon=True).start()


def _knows(store: SqlStore) -> bool:
    try:
        with store.reading() as view:
            view.app(APP)
        return True
    except CymeError:
        return False


def fill(store: SqlStore, branch: str, count: int) -> None:
    """Instances that are not to run."""
    at = SystemClock().now()
    with store.writing() as tx:
        for number in range(count):
            tx.add_instance(Instance(named(branch, number), APP, branch, at, is_enabled=False))


def named(branch: str, number: int) -> str:
    return f"{branch}-{number:04}"


@contextmanager
def beside(asked: harness.Branch, ids: Sequence[str], count: int) -> Iterator[None]:
    """Such branches at the broker, and the database, of the one that is *asked*."""
    own = load(asked.paths.root)
    roots = [_prepared(own, asked.paths.root.parent / id, id) for id in ids]
    processes = []
    try:
        for root in roots:
            argv = [sys.executable, "-m", "benchmarks.standing", str(root), str(count)]
            processes.append(harness.start(argv, Path.cwd(), root / "out"))
        for root in roots:
            eventually(partial(_is_ready, root / "out"), harness.DEADLINE_S)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            harness.end(process)


def _is_ready(output: Path) -> bool:
    return "ready" in output.read_text()


def _prepared(own: Config, root: Path, id: str) -> Path:
    root.mkdir()
    replace(own, root=str(root), id=id, has_srs=False, has_embedded_broker=False).save()
    return root


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
