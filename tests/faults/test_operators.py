"""Somebody acts past the branch: supervisorctl, signals, a queue that harms its consumers."""

from __future__ import annotations

import os
import random
import xmlrpc.client
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue

from tests.acceptance import processes
from tests.faults.conftest import EMBEDDED, a_fleet
from tests.faults.fleet import Fleet
from tests.faults.rows import Hit, Row, repeat
from tests.support import eventually

pytestmark = [pytest.mark.rows, pytest.mark.timeout(3600)]

#: What supervisorctl's words are to supervisord, and more often the worse ones.
WORDS = ("stop", "restart", "remove", "KILL", "TERM", "INT", "QUIT", "USR1", "reread", "start")
#: Those that end no process.
HARMLESS = frozenset({"USR1", "reread", "start"})
#: How many of them, in so many pieces: each is a test, which may not take for ever.
OPS = int(os.environ.get("CYME_FAULT_OPS", "2"))
PIECES = max(1, OPS // 100)


@dataclass
class Said:
    """Of all the pieces on one broker."""

    row: Row
    words: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def said(broker_name: str) -> Said:
    return Said(Row("supervisorctl, a random word", broker_name, 25, 17))


@pytest.fixture(scope="module")
def tended(broker_url: str | None, yard: Path) -> Iterator[Fleet]:
    """In which nobody who ends a worker again a moment later takes it for one that crashes."""
    with a_fleet(yard, "--restart-max-rate", "1/s", broker=broker_url) as fleet:
        yield fleet


@pytest.mark.parametrize("piece", range(PIECES))
def test_supervisorctl(tended: Fleet, said: Said, piece: int) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)

    def say_one(number: int) -> Hit:
        name = chance.choice(sorted(tended.wanted))
        word = chance.choice(WORDS)
        said.words[word] += 1
        print(number, word, name)
        return meddle(tended, word, name)

    repeat(said.row, tended, say_one, len(range(piece, OPS, PIECES)))
    said.row.note = ", ".join(f"{word} {count}" for word, count in sorted(said.words.items()))
    said.row.check()


def meddle(fleet: Fleet, word: str, name: str) -> Hit:
    """Say it; who is to end has ended then."""
    pid = fleet.pids()[name]
    hit = Hit.now(name)
    with fleet.supervisor() as supervisor, suppress(xmlrpc.client.Fault):
        say(supervisor, word, name)
    if word not in HARMLESS:
        # A worker that was sent a signal looks as it ever did for a moment.
        eventually(lambda: not processes.is_running(pid), 20)
    return hit


def say(supervisor: xmlrpc.client.ServerProxy, word: str, name: str) -> None:
    if word == "reread":
        supervisor.reloadConfig()
    elif word.isupper():
        supervisor.signalProcess(name, word)
    elif word == "start":
        supervisor.startProcess(name, False)
    else:
        supervisor.stopProcess(name)
        if word == "restart":
            supervisor.startProcess(name, False)
        elif word == "remove":
            supervisor.removeProcessGroup(name)


def test_a_queue_that_its_broker_refuses(fleet: Fleet, broker_name: str) -> None:
    """There already, with another type of exchange: asked to consume it a worker would end.

    On Redis nothing is refused but what the interface itself does.
    """
    names: list[str] = []

    def poison(_: int) -> Hit:
        name = f"poison-{uuid4().hex[:8]}"
        if broker_name != EMBEDDED:
            with Connection(fleet.host.broker) as line:
                Queue(name, Exchange(name, "topic"), "key")(line.channel()).declare()
        kind = "bogus" if broker_name == EMBEDDED else "direct"
        made = fleet.host.client.post(f"/yard/queues/{name}/", json={"exchange_type": kind})
        hit = Hit.now()
        if broker_name == EMBEDDED:
            assert made.status_code == 400
            return hit
        names.append(name)
        asked = fleet.host.client.post(f"/yard/instances/w3/queues/{name}/", json={"timeout": 5})
        assert asked.status_code in (200, 201, 202, 408, 409)
        eventually(lambda: is_quarantined(fleet, name), 15)
        clean(fleet, [name])
        return hit

    try:
        row = repeat(Row("queue that harms its consumer", broker_name, 15, 18), fleet, poison)
    finally:
        clean(fleet, names)
    row.check()


def is_quarantined(fleet: Fleet, queue: str) -> bool:
    conditions = fleet.host.get("/yard/instances/w3/")["conditions"]
    return any(each["type"] == "Quarantined" and queue in each["message"] for each in conditions)


def clean(fleet: Fleet, names: list[str]) -> None:
    fleet.host.post("/yard/instances/w3/", queues=[])
    for name in names:
        fleet.host.client.delete(f"/yard/queues/{name}/")
        with Connection(fleet.host.broker) as line:
            channel = line.channel()
            channel.queue_delete(name)
            channel.exchange_delete(name)
