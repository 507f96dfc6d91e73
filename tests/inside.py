"""Plugins for the supervisord of a test: what it is put through from inside."""

from __future__ import annotations

import os
import select
from typing import Any

from supervisor import events

from cyme_supd.supervisord.journal import Journal


class Nothing:
    """No methods."""


def conf(name: str) -> str:
    """The section that loads :func:`name` of this module."""
    return f"\n[rpcinterface:{name}]\nsupervisor.rpcinterface_factory=tests.inside:{name}\n"


def sleep_on(supervisord: Any) -> Nothing:
    """Its poll() has no timeout any more: only what is polled can end it."""
    poller = supervisord.options.poller
    poll = poller.poll
    poller.poll = lambda _timeout: poll(100_000)
    return Nothing()


def dawdle(supervisord: Any) -> Nothing:
    """Between fork and exec a child takes its time."""
    options = supervisord.options

    def setpgrp() -> None:
        os.setpgrp()
        select.select([], [], [], 0.5)

    options.setpgrp = setpgrp
    return Nothing()


def break_journal(supervisord: Any) -> Nothing:
    """What the extension does about a change of state raises."""

    def touch(*_: object) -> None:
        raise RuntimeError("sabotage")

    Journal.touch = touch  # type: ignore[assignment]
    return Nothing()


def break_methods(supervisord: Any) -> Nothing:
    """A method of the extension has a mistake in it."""

    def since(*_: object) -> None:
        raise TypeError("a mistake of ours")

    Journal.since = since  # type: ignore[assignment]
    return Nothing()


def raise_in_event(supervisord: Any) -> Nothing:
    """What a plugin does that takes no care."""

    def callback(_event: object) -> None:
        raise RuntimeError("careless")

    events.subscribe(events.ProcessStateRunningEvent, callback)
    return Nothing()


class Turns:
    """How often supervisord's loop has looked for something to do."""

    def __init__(self) -> None:
        self.number = 0

    def count(self) -> int:
        return self.number


def turns(supervisord: Any) -> Turns:
    """Its loop takes its time, so that what can be done in one turn is."""
    poller = supervisord.options.poller
    poll, counted = poller.poll, Turns()

    def slow(timeout: float) -> Any:
        select.select([], [], [], 0.03)
        counted.number += 1
        return poll(timeout)

    poller.poll = slow
    return counted
