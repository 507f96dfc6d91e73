"""Types every step, and holds the answer, the worker and the web server to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyme_supd.config import load
from docs.tour.place import Place, Wrong, listens, wait_for
from docs.tour.steps import Says, Step, with_names
from docs.tour.target import Target
from docs.tour.worker import Own, Workers


@dataclass(frozen=True)
class Heard:
    """What came of a command: its text, and as JSON where it is that."""

    text: str
    value: Any = None


@dataclass(frozen=True)
class Done:
    """A step that was taken; ``own`` is what its worker said afterwards."""

    step: Step
    command: str
    heard: Heard
    own: Own | None = None


class Runner:
    """Takes steps in order. ``names`` is what is known so far."""

    def __init__(self, place: Place, target: Target, names: Mapping[str, Any]) -> None:
        self.names: dict[str, Any] = {**names, "target": target.url}
        self._place = place
        self._target = target
        self._workers: Workers | None = None

    def take(self, steps: Sequence[Step]) -> Iterator[Done]:
        """Each step once it was taken. Raises ``Wrong`` at the first that went otherwise."""
        for step in steps:
            command = with_names(step.command, self.names)
            try:
                yield self._take(step, command)
            except Wrong as exc:
                raise Wrong(f"{' '.join(command.split())}: {exc}") from None
            except subprocess.TimeoutExpired as exc:
                raise Wrong(f"{command}: still not done after {exc.timeout:g} s") from None

    def _take(self, step: Step, command: str) -> Done:
        heard = getattr(self, f"_{step.does}")(step, command)
        own = None
        if step.does != "interrupt":
            self._check_target(step)
            own = self._check_worker(step)
        return Done(step, command, heard, own)

    # The four things a step may do

    def _start(self, step: Step, command: str) -> Heard:
        text = self._place.start(command, self.names["port"])
        config = load(self._place.folder / "instances")
        self._workers = Workers(config.broker, config.id)
        return Heard(text)

    def _ask(self, step: Step, command: str) -> Heard:
        wanted: Any = None
        heard = Heard("")

        def is_as_wanted() -> bool:
            nonlocal wanted, heard
            heard = self._typed(step, command)
            wanted = list(differences(with_names(step.answer, self.names), heard.value))
            return not wanted

        if not wait_for(is_as_wanted, step.within_s):
            raise Wrong("; ".join(wanted))
        self._keep(step, heard.value)
        return heard

    def _typed(self, step: Step, command: str) -> Heard:
        done = self._place.run(command)
        if done.returncode:
            raise Wrong(" ".join(done.stderr.split()))
        if done.stderr != str(step.status):
            raise Wrong(f"the answer is {done.stderr}, not {step.status}: {done.stdout.strip()}")
        try:
            return Heard(done.stdout, json.loads(done.stdout))
        except ValueError:
            raise Wrong(f"the answer is no JSON: {done.stdout[:200]!r}") from None

    def _run(self, step: Step, command: str) -> Heard:
        done = self._place.run(command)
        text = done.stdout.strip()
        if done.returncode or done.stderr:
            raise Wrong(f"it ended with {done.returncode}: {' '.join(done.stderr.split()) or text}")
        if step.answer and (wanted := with_names(step.answer, self.names)) not in text:
            raise Wrong(f"it does not say {wanted!r}: {text!r}")
        return Heard(text)

    def _interrupt(self, step: Step, command: str) -> Heard:
        code = self._place.interrupt()
        if code:
            raise Wrong(f"the branch ended with {code}")
        if not wait_for(lambda: not self._place.left(), 5.0):
            raise Wrong(f"it left processes behind: {self._place.left()}")
        if listens(self.names["port"]):
            raise Wrong(f"port {self.names['port']} is still listened on")
        return Heard("")

    # What others say of it

    def _keep(self, step: Step, value: Any) -> None:
        for name, key in step.keeps.items():
            self.names[name] = value[key]

    def _check_target(self, step: Step) -> None:
        if step.arrives is None:
            return
        same = self._target.got.count(step.arrives)
        if same != 1:
            raise Wrong(f"the web server got {self._target.got}, and {same} times {step.arrives}")

    def _check_worker(self, step: Step) -> Own | None:
        assert self._workers is not None
        if step.worker is None:
            if others := self._workers.anybody():
                raise Wrong(f"workers answer that should not be there: {', '.join(others)}")
            return None
        name, said = self.names["worker"], step.worker
        problem = ""
        own: Own | None = None

        def agrees() -> bool:
            nonlocal problem, own
            own = self._workers.ask(name) if self._workers else None
            problem = disagreement(said, own, name, self.names.get("pid"))
            return not problem

        if not wait_for(agrees, step.within_s) or own is None:
            raise Wrong(f"the worker itself {problem}")
        self.names["pid"] = own.pid
        return own


def disagreement(said: Says, own: Own | None, name: str, pid: int | None) -> str:
    """What the worker of this *name* says otherwise, in words; empty where nothing.

    *pid* is the process that it was before.
    """
    if own is None:
        return "is silent"
    queues = tuple(sorted((f"dq.{name}", *said.queues)))
    if own.queues != queues:
        return f"consumes from {', '.join(own.queues)}, not from {', '.join(queues)}"
    if (own.max, own.min) != (said.max, said.min):
        return f"scales from {own.min} to {own.max}, not from {said.min} to {said.max}"
    if said.is_new_process and own.pid == pid:
        return f"is still process {own.pid}"
    return ""


def differences(wanted: Any, got: Any, at: str = "the answer") -> Iterator[str]:
    """Where *got* is not what was *wanted*; of an object only what was wanted counts."""
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for key, inner in wanted.items():
            if key in got:
                yield from differences(inner, got[key], f"{at}'s {key}")
            else:
                yield f"{at} has no {key}"
    elif wanted != got:
        yield f"{at} is {got!r}, not {wanted!r}"
