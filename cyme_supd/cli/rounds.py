"""The rounds of ``cyme doctor``: checks side by side, none of which keeps the others waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Generic, TypeVar

from cyme_supd.cli import examining, probing
from cyme_supd.cli.local import open_config
from cyme_supd.config import Config
from cyme_supd.domain.findings import Finding, error, fine, has_errors, warning
from cyme_supd.errors import CymeError, Timeout
from cyme_supd.supervisord.conf import check_root

WITHIN_S = 3.0
#: Apps that are looked at; each asks brokers and workers.
MOST_APPS = 16

Answer = TypeVar("Answer")
Check = Callable[[], Iterable[Finding]]


def examine(root: str, within_s: float = WITHIN_S) -> list[Finding]:
    """What there is to say of the branch on *root*, in a few rounds of *within_s* at most.

    Raises nothing: what cannot be found out is a finding.
    """
    host: dict[str, Check] = {"versions": examining.versions, "clock": examining.clock}
    asked = _Asked(partial(open_config, root), within_s)
    found = checked(host, within_s)
    try:
        config = asked.answer()
    except CymeError as exc:
        return [error("root", exc.message, exc.hint), *found]
    except Exception as exc:
        return [_fault("root", exc), *found]
    here = replace(config, root=os.path.abspath(root))
    first = checked({"root": partial(_root, here, config.root)}, within_s)
    return [*first, *found, *_rounds(here, within_s)]


def _root(config: Config, written: str) -> Iterable[Finding]:
    """*written* is where the root was when a branch was last started on it."""
    check_root(config.root)
    if Path(written).resolve() != Path(config.root).resolve():
        yield error(
            "root",
            f"{config.root} was {written}: it has been moved, or copied",
            "start cyme-branch on it if it was moved; a copy is never to run beside the other",
        )
    else:
        yield fine("root", f"{config.root} is that of branch {config.id}")


def _rounds(config: Config, within_s: float) -> list[Finding]:
    first = {
        "rights": partial(examining.rights, config.paths),
        "disk": partial(examining.disk, config),
        "supervisord": partial(probing.supervisord, config),
        "web": partial(probing.web, config),
        "store": partial(probing.store, config),
        "broker": partial(probing.control_broker, config),
        "fleet": partial(probing.fleet, config),
        "orphans": partial(probing.processes, config),
    }
    found = checked(first, within_s)
    # All others begin with what is stored: without a store each would say the same.
    if has_errors(each for each in found if each.what == "store"):
        return found
    asked = _Asked(partial(_stored, config), within_s)
    try:
        return [*found, *checked(asked.answer(), within_s)]
    except CymeError as exc:
        return [*found, error("store", exc.message, exc.hint)]
    except Exception as exc:
        return [*found, _fault("store", exc)]


def _stored(config: Config) -> dict[str, Check]:
    """The checks that what is stored asks for."""
    checks: dict[str, Check] = {"branch": partial(probing.branch, config)}
    for url in probing.app_brokers(config):
        checks[f"broker {url}"] = partial(probing.app_broker, url)
    found = probing.apps(config)
    for name in found[:MOST_APPS]:
        checks[f"orphans {name}"] = partial(probing.app, config, name)
    if len(found) > MOST_APPS:
        checks["orphans"] = partial(_unseen, len(found))
    return checks


def _unseen(apps: int) -> Iterable[Finding]:
    yield warning(
        "orphans",
        f"{MOST_APPS} of {apps} apps were looked at",
        "of any other GET /<app>/orphans/ tells",
    )


def checked(checks: Mapping[str, Check], within_s: float) -> list[Finding]:
    """All that they found, in their order; the first word of a name is what was looked at."""
    asked = {name: _Asked(partial(_all, check), within_s) for name, check in checks.items()}
    return [each for name, one in asked.items() for each in _findings(name.split()[0], one)]


def _all(check: Check) -> list[Finding]:
    return list(check())


def _findings(what: str, asked: _Asked[list[Finding]]) -> list[Finding]:
    try:
        return asked.answer()
    except CymeError as exc:
        return [error(what, exc.message, exc.hint)]
    except Exception as exc:
        return [_fault(what, exc)]


def _fault(what: str, exc: Exception) -> Finding:
    return error(what, f"it cannot be looked at: {exc or type(exc).__name__}", "see what is there")


class _Asked(Generic[Answer]):
    """A question that is under way in a thread, which nobody waits for if it hangs.

    Not even Python at its end, as it does for those of an executor.
    """

    def __init__(self, question: Callable[[], Answer], within_s: float) -> None:
        self._question = question
        self._within_s = within_s
        self._ends_at = time.monotonic() + within_s
        self._answers: list[Answer] = []
        self._errors: list[Exception] = []
        self._thread = Thread(target=self._run, name="doctor", daemon=True)
        self._thread.start()

    def answer(self) -> Answer:
        """Raises what the question did, and ``Timeout``."""
        self._thread.join(max(0.0, self._ends_at - time.monotonic()))
        if self._errors:
            raise self._errors[0]
        if not self._answers:
            raise Timeout(
                f"it was not known within {self._within_s:g} s",
                "see whether its disk or its network hangs",
            )
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._question())
        except Exception as exc:
            self._errors.append(exc)
