"""Somebody acts past the branch: supervisorctl, signals, a queue that harms its consumers."""

from __future__ import annotations

import os
import random
import xmlrpc.client
from contextlib import suppress
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue

from tests.faults.conftest import EMBEDDED
from tests.faults.fleet import Fleet
from tests.faults.rows import RUNS, Hit, Row, repeat
from tests.support import eventually

pytestmark = [pytest.mark.rows, pytest.mark.timeout(3600)]

#: What supervisorctl's words are to supervisord, and more often the worse ones.
WORDS = ("stop", "restart", "remove", "KILL", "TERM", "INT", "QUIT", "USR1", "reread", "start")
#: In the longer suite each run is so many words.
MORE = 16 if RUNS > 1 else 2


def test_supervisorctl(fleet: Fleet, broker_name: str) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)

    def meddle(_: int) -> Hit:
        name = chance.choice(sorted(fleet.wanted))
        word = chance.choice(WORDS)
        print(word, name)
        with fleet.supervisor() as supervisor, suppress(xmlrpc.client.Fault):
            say(supervisor, word, name)
        return Hit.now(name)

    row = Row("supervisorctl, a random word", broker_name, 25, 17)
    repeat(row, fleet, meddle, MORE * RUNS).check()


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
