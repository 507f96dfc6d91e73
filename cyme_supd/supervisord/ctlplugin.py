"""``supervisorctl cyme status|why|pause|resume|restart|disable|enable NAME``::

    [ctlplugin:cyme]
    supervisor.ctl_factory = cyme_supd.supervisord.ctlplugin:make_cyme_controllerplugin
    root = /absolute/root/of/the/branch

Runs inside supervisorctl and asks the branch over HTTP: what is stopped by
supervisorctl alone the branch starts again.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from supervisor.supervisorctl import ControllerPluginBase, LSBInitExitStatuses

from cyme_supd.client import Client, Instance
from cyme_supd.config import Config, load
from cyme_supd.errors import CymeError, Invalid, NotFound, Unavailable

_KNOWN = {True: "true", False: "false", None: "not known"}
_READY = {True: "ready", False: "not ready", None: "not known"}


def make_cyme_controllerplugin(controller: Any, root: str) -> CymeControllerPlugin:
    return CymeControllerPlugin(controller, root)


class CymeControllerPlugin(ControllerPluginBase):  # type: ignore[misc]
    """What supervisorctl's ``cyme`` does; supervisorctl finds it by its name."""

    def __init__(self, controller: Any, root: str) -> None:
        super().__init__(controller)
        self._root = root

    def do_cyme(self, line: str) -> None:
        with warnings.catch_warnings(record=True) as told:
            try:
                self._do(*(shlex.split(line) or ["status"]))
            except (CymeError, ValueError) as exc:
                self._fail(str(exc))
        for each in told:
            self.ctl.output(f"cyme: warning: {each.message}")

    def help_cyme(self) -> None:
        for line in _USAGE:
            self.ctl.output(line)

    def _do(self, word: str, *names: str) -> None:
        branch = Branch(self._root)
        if word == "status" and not names:
            for seen in branch.own():
                self.ctl.output(status_line(seen))
        elif word in _ACTS and names:
            for name in names:
                self._one(_ACTS[word], branch, name)
        else:
            raise Invalid(f"no such words: {word!r}. Say one of: {'; '.join(_WORDS)}")

    def _one(self, act: Act, branch: Branch, name: str) -> None:
        try:
            for line in act(branch.find(name)):
                self.ctl.output(line)
        except CymeError as exc:
            self._fail(f"{name}: {exc}")

    def _fail(self, line: str) -> None:
        self.ctl.output(f"cyme: {line}")
        self.ctl.exitstatus = LSBInitExitStatuses.GENERIC


class Branch:
    """The branch of a root, over HTTP."""

    def __init__(self, root: str) -> None:
        try:
            self._config: Config = load(root)
        except (OSError, TypeError, ValueError) as exc:
            raise Unavailable(
                f"the settings of the branch in {root} cannot be read: {exc}"
            ) from None
        if not self._config.has_httpd:
            raise Unavailable("the branch runs --without-httpd, and cannot be asked")
        self._client = Client(self._config.local_url, self._config.local_token)

    def own(self) -> Iterator[Instance]:
        """All that this branch runs."""
        for app in self._client.all():
            yield from (one for one in app.instances if one.info["branch"] == self._config.id)

    def find(self, name: str) -> Instance:
        """The one of this name, on whatever branch it is: names are the fleet's."""
        for app in self._client.all():
            try:
                return app.instances.get(name)
            except NotFound:
                continue
        raise NotFound("there is no such instance")


Act = Callable[[Instance], list[str]]


def status_line(one: Instance) -> str:
    """As supervisorctl's own, with what that cannot know."""
    return f"{one.name:<33}{_state(one)}"


def _state(one: Instance) -> str:
    seen = one.info
    pid = f"pid {seen['pid']}, " if seen["pid"] else ""
    enabled = "" if one.is_enabled else "disabled, "
    queues = ", ".join(one.queue_names) or "no queues"
    return f"{seen['state'] or '?':<10}{pid}{enabled}{_READY[seen['ready']]}, {queues}"


def _status(one: Instance) -> list[str]:
    return [status_line(one)]


def _why(one: Instance) -> list[str]:
    """What holds of it, each with since when and why."""
    lines = [_state(one)]
    for each in one.info["conditions"]:
        because = ": ".join(filter(None, (each["reason"], each["message"])))
        lines.append(f"{each['type']} is {_KNOWN[each['status']]} since {each['since']}: {because}")
    return [f"{one.name}: {line}" for line in lines]


def _acting(word: str) -> Act:
    def act(one: Instance) -> list[str]:
        said = getattr(one, word)()
        return [f"{one.name}: {word}: {said.get('reason') or 'done'}"]

    return act


_ACTS: dict[str, Act] = {
    "status": _status,
    "why": _why,
    **{word: _acting(word) for word in ("pause", "resume", "restart", "disable", "enable")},
}
_USAGE = (
    "cyme status [NAME...]       workers, and whether they take work",
    "cyme why NAME...            what holds of a worker, since when and why",
    "cyme pause|resume NAME...   have it take no new work, or some again",
    "cyme restart NAME...        stop it warmly and start it",
    "cyme disable|enable NAME... have it not run, or run",
)
_WORDS = [line.partition("  ")[0].partition("... ")[0] for line in _USAGE]
