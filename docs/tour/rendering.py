"""The tour as a person reads it: at a terminal as it happens, or in the README."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from docs.tour.runner import Done
from docs.tour.steps import STEPS, Step, with_names

WIDTH = 95
INDENT = "    "
#: What a reader sees of names that are different each time.
FIXED: Mapping[str, Any] = {
    "port": 8000,
    "url": "http://127.0.0.1:8000",
    "branch": "branch1",
    "with_broker": "",
    "target": "http://127.0.0.1:8080",
    "worker": "7c2d9f04-5b1e-4a86-93d7-e1f0a2b6c358",
    "task": "1d8e6a3c-90f2-4b57-8c1d-6f2e4a7b9035",
    "posted": "e4b7c1f9-2a60-4d3e-b8a5-07d9c6f1e283",
    "pid": 4242,
}
FOLDER = "/srv/cyme"
BROKER_PORT = "6380"


def commands(steps: Iterable[Step] = STEPS, names: Mapping[str, Any] = FIXED) -> list[str]:
    """What a reader of the README types, in order."""
    return [
        with_names(step.command, names)
        for step in steps
        if step.is_in_readme and step.does != "interrupt"
    ]


def readme(taken: Iterable[Done], names: Mapping[str, Any], folder: str) -> str:
    """The tour that was *taken*, with what differs each time made the same each time."""
    shown = [done for done in taken if done.step.is_in_readme]
    return normalised("\n".join(_paragraphs(shown)), names, folder)


def _paragraphs(taken: Iterable[Done]) -> Iterator[str]:
    for done in taken:
        yield from narrated(done)


def narrated(done: Done) -> list[str]:
    """The lines of one step, without what the worker said."""
    lines = title(done.step)
    if done.step.does == "interrupt":
        return lines
    command = textwrap.indent(f"$ {done.command}", INDENT).splitlines()
    answer = [INDENT + line for line in _answer(done)]
    return [*lines, *command, *answer]


def title(step: Step) -> list[str]:
    """The paragraph that the step begins, if any, with an empty line around it."""
    if not step.title:
        return []
    words = step.title if step.does == "interrupt" else f"{step.title}::"
    return ["", *textwrap.wrap(words, WIDTH, break_on_hyphens=False), ""]


def own_words(done: Done) -> str:
    """What the worker itself says after the step, as a remark at a terminal."""
    if done.own is None:
        return "the workers: nobody answers"
    own, names = done.own, [name for name in done.own.queues if not name.startswith("dq.")]
    queues = ", ".join(["its own queue", *names])
    return f"the worker: process {own.pid}, consumes from {queues}; {own.min} to {own.max}"


def _answer(done: Done) -> list[str]:
    if done.heard.value is None:
        return _text(done)
    shown = done.heard.value
    if done.step.shows is not None:
        shown = picked(shown, done.step.shows.split())
    # Lines end behind a comma, nowhere else.
    glued = as_json(shown).replace(" ", "\xa0").replace(",\xa0", ", ")
    lines = textwrap.wrap(glued, WIDTH - 4, subsequent_indent=" ", break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines]


def _text(done: Done) -> list[str]:
    lines = [line.rstrip() for line in done.heard.text.splitlines()]
    # What the branch prints of a tour of its own is not this one.
    return lines[:6] if done.step.does == "start" else lines


def picked(value: Any, keys: Iterable[str]) -> Any:
    """*value* with these dotted *keys* and no others, ``...`` where some are left out."""
    if not isinstance(value, Mapping):
        return value
    inner: dict[str, list[str]] = {}
    for key in keys:
        first, _, rest = key.partition(".")
        inner.setdefault(first, []).extend([rest] if rest else [])
    kept = {
        key: picked(value[key], rest) if rest else value[key]
        for key, rest in inner.items()
        if key in value
    }
    return kept if kept.keys() == value.keys() else {**kept, "...": ...}


def as_json(value: Any) -> str:
    """*value* as the branch writes JSON, with an ellipsis where one stands."""
    text = json.dumps(value, ensure_ascii=False, default=lambda _: "...")
    return text.replace('"...": "..."', "...")


def normalised(text: str, names: Mapping[str, Any], folder: str) -> str:
    """*text* as it would be if every tour had the same names, places and times."""
    text = text.replace(folder, FOLDER)
    # The longest first: one may be a part of another.
    for name in sorted(FIXED, key=lambda name: -len(str(names.get(name, "")))):
        if name not in ("port", "pid") and names.get(name):
            text = text.replace(str(names[name]), str(FIXED[name]))
    rules: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
        (rf":{names['port']}\b", f":{FIXED['port']}"),
        (r"(?<=@127\.0\.0\.1:)\d+", BROKER_PORT),
        (r'(?<="port": )\d+', BROKER_PORT),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?", "2026-01-01 12:00:00.000"),
        (r"(?<=uptime )\d+:\d\d:\d\d", "0:00:09"),
        (r'(?<="pid": )\d+|(?<=pid )\d+', _each_its_own(int(FIXED["pid"]))),
    )
    for pattern, put in rules:
        text = re.sub(pattern, put, text)
    return text


def _each_its_own(first: int) -> Callable[[re.Match[str]], str]:
    """Numbers from *first* on, the same for the same."""
    seen: dict[str, int] = {}
    return lambda found: str(seen.setdefault(found[0], first + len(seen)))
