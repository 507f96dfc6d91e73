"""What takes a while: who is done, who is next, who failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from cyme_supd.cli.asking import APPS, Wanted
from cyme_supd.cli.output import show
from cyme_supd.config import load
from cyme_supd.errors import CymeError, SpawnFailed, Timeout

#: As many as a branch lets wait without turning others away.
AT_ONCE = 8
LOOK_EVERY_S = 0.2


@dataclass
class Progress:
    """``failed`` is why, by name; ``exit`` that of the first that failed."""

    title: str
    done: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    exit: int = 0
    left: int = 0

    @property
    def total(self) -> int:
        return len(self.done) + len(self.failed) + self.left

    def fail(self, name: str, reason: str, code: int) -> None:
        self.failed[name] = reason
        self.exit = self.exit or code


#: The same object over and over, whenever it has moved.
Steps = Iterator[Progress]


def conclude(wanted: Wanted, works: Sequence[Steps]) -> None:
    """Do the *works* one after another, show how far they are, then what came of them.

    Exits with the code of the first failure, after which no other work begins.
    """
    done: list[str] = []
    failed: dict[str, str] = {}
    code = 0
    for steps in works:
        last = _watched(steps)
        done += last.done
        failed.update(last.failed)
        code = code or last.exit
        if code:
            break
    show(wanted, {"done": sorted(done), "failed": failed})
    if code:
        sys.exit(code)


def _watched(steps: Steps) -> Progress:
    """The end of *steps*, which somebody at a terminal sees on the way."""
    if not sys.stderr.isatty():
        return _last(steps)
    # As long to import as all the rest together.
    from cyme_supd.cli.bars import watched

    return _last(watched(steps))


def _last(steps: Steps) -> Progress:
    found = Progress("")
    for each in steps:
        found = each
    return found


@dataclass(frozen=True)
class _News:
    """Of one instance: it ``has_begun``, or has ended, with an ``error`` or without."""

    name: str
    has_begun: bool = False
    error: Exception | None = None


def each(wanted: Wanted, title: str, apps: Sequence[str], word: str) -> Steps:
    """Have every instance of the *apps* do *word*, some at once."""
    names = [(app, name) for app in apps for name in _names(wanted, app)]
    progress = Progress(title, left=len(names))
    todo: SimpleQueue[tuple[str, str]] = SimpleQueue()
    news: SimpleQueue[_News] = SimpleQueue()
    for one in names:
        todo.put(one)
    # A WSGI application in this process is called by one at a time. Whoever
    # interrupts does not wait for what is asked already: daemons end with the rest.
    for _ in range(min(len(names), 1 if wanted.local else AT_ONCE)):
        Thread(target=_ask, args=(wanted, word, todo, news), daemon=True).start()
    yield progress
    while progress.left:
        _note(progress, news.get())
        yield progress


def _names(wanted: Wanted, app: str) -> list[str]:
    """Its instances; of the one branch that is asked, where its store may have those of others."""
    where = (app, "instances")
    names = wanted.names(*where)
    if not wanted.local:
        return names
    own = load(wanted.instance_dir).id
    return [name for name in names if wanted.read(where, name)["branch"] == own]


def _ask(
    wanted: Wanted,
    word: str,
    todo: SimpleQueue[tuple[str, str]],
    news: SimpleQueue[_News],
) -> None:
    with suppress(Empty):
        while True:
            app, name = todo.get_nowait()
            news.put(_News(name, has_begun=True))
            try:
                wanted.change("POST", (app, "instances"), name, word)
            except Exception as exc:
                news.put(_News(name, error=exc))
            else:
                news.put(_News(name))


def _note(progress: Progress, news: _News) -> None:
    if news.has_begun:
        progress.next = [*progress.next, news.name]
        return
    progress.next = [name for name in progress.next if name != news.name]
    progress.left -= 1
    if news.error is None:
        progress.done.append(news.name)
    elif isinstance(news.error, CymeError):
        progress.fail(news.name, str(news.error), news.error.exit)
    else:
        raise news.error


def restart(wanted: Wanted, app: str) -> Steps:
    """Begin a rolling restart of *app*, and follow it."""
    wanted.change("POST", APPS, app, "restart")
    yield from rolling(wanted, app)


def rolling(wanted: Wanted, app: str) -> Steps:
    """How far the rolling restart of *app* is, until it is over."""
    progress = Progress(f"restart {app}")
    while True:
        found = wanted.read(APPS, app, "restart")
        _follow(progress, found)
        yield progress
        if found["state"] != "running":
            return
        time.sleep(LOOK_EVERY_S)


def _follow(progress: Progress, found: dict[str, Any]) -> None:
    stopped_at = found["stopped_at"]
    progress.done = found["restarted"]
    left = [name for name in found["left"] if name != stopped_at]
    progress.left, progress.next = len(left), left[: found["max_unavailable"] or 1]
    if stopped_at:
        progress.fail(stopped_at, found["reason"], SpawnFailed.exit)
    elif found["state"] == "aborted":
        progress.exit = Timeout.exit
