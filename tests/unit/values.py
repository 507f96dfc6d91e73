"""Specs and observations for tests of what is pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cyme_supd.domain.presence import Heartbeat
from cyme_supd.domain.spec import App, Instance, Worker
from cyme_supd.domain.status import (
    Answer,
    Observation,
    Process,
    ProcessState,
    Pulse,
    Running,
)
from cyme_supd.testing.played import the_launch as the_launch
from cyme_supd.testing.remote import declared

AT = datetime(2011, 8, 15, 22, 6, 43, tzinfo=UTC)
BROKER = "redis://:secret@127.0.0.1:7000/0"
NOW = 1000.0
INTERVAL_S = 5.0
RECONNECT_S = 35.0


def an_app(**changes: Any) -> App:
    return replace(App("foo", AT), **changes)


def a_worker(app: App | None = None, **changes: Any) -> Worker:
    instance = replace(Instance("w1", "foo", "b1", AT), **changes)
    return Worker(instance, app or an_app(), (), BROKER)


def a_heartbeat(id: str = "b1", **changes: Any) -> Heartbeat:
    plain = Heartbeat(id, "http://127.0.0.1:8000", 8000, "0", AT, 5.0, 2, "INFO")
    return replace(plain, **changes)


def seen(worker: Worker, state: ProcessState | None, **changes: Any) -> Observation:
    """*worker* in *state*, otherwise all as it should be; it does not answer."""
    wanted = the_launch(worker)
    pid = 100 if state is not None and state.has_process else None
    observation = Observation(
        process=Process("w1", state, pid) if state else None,
        stop_timeout_s=worker.stop_timeout_s if state else None,
        running=Running(pid, wanted.identity) if pid else None,
        written=wanted.digest,
        answer=None,
        pulse=Pulse(True, 0.0),
        now=NOW,
    )
    return replace(observation, **changes)


def converged(worker: Worker, **changes: Any) -> Observation:
    """*worker* up and answering, everything as it should be."""
    limits = worker.autoscale if worker.is_autoscaled else None
    answer = Answer(at=NOW, pid=100, autoscale=limits, queues=declared(worker))
    return replace(seen(worker, ProcessState.RUNNING), **{"answer": answer, **changes})
