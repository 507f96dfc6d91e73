"""``python -m docs.tour``: take the tour, and say how it went."""

from __future__ import annotations

import argparse
import secrets
import shlex
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any, NoReturn

from docs.tour import rendering
from docs.tour.place import Place, Wrong, free_port, place
from docs.tour.readme import README, with_section
from docs.tour.runner import Done, Runner
from docs.tour.steps import STEPS
from docs.tour.target import target
from docs.tour.worker import borrowed, masked


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("make tour", description=__doc__)
    parser.add_argument("--broker", metavar="URL", help="one to take it on; else the embedded one")
    parser.add_argument("--readme", action="store_true", help="write the README's tour")
    wanted = parser.parse_args(argv)
    # As ^C does: what was started is ended.
    signal.signal(signal.SIGTERM, _end)
    try:
        _take(wanted.broker, wanted.readme)
    except Wrong as exc:
        print(f"tour: {_without_password(str(exc), wanted.broker)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tour: interrupted", file=sys.stderr)
        return 130
    return 0


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _take(broker: str | None, is_for_readme: bool) -> None:
    begun = time.monotonic()
    names = _names(broker)
    with ExitStack() as stack:
        if broker:
            stack.enter_context(borrowed(broker, names["branch"]))
        here = stack.enter_context(place())
        runner = Runner(here, stack.enter_context(target()), names)
        taken = []
        for done in runner.take(STEPS):
            taken.append(done)
            if not is_for_readme:
                _narrate(done, broker)
        if is_for_readme:
            _write(taken, runner, here)
    print(
        f"\n{len(taken)} steps in {time.monotonic() - begun:.1f} s, all of them as they should be."
    )


def _names(broker: str | None) -> dict[str, Any]:
    """What steps may name before any has kept something of its answer."""
    port = free_port()
    return {
        "port": port,
        "url": f"http://127.0.0.1:{port}",
        # On a broker that others use, too, a worker's name is nobody else's.
        "branch": f"tour-{secrets.token_hex(3)}" if broker else rendering.FIXED["branch"],
        "with_broker": f" -b {shlex.quote(broker)}" if broker else "",
    }


def _narrate(done: Done, broker: str | None) -> None:
    lines = rendering.narrated(done)
    if done.step.does != "interrupt":
        lines.append(f"{rendering.INDENT}# {rendering.own_words(done)}")
    print(_without_password("\n".join(lines), broker), flush=True)


def _without_password(text: str, broker: str | None) -> str:
    return text.replace(broker, masked(broker)) if broker else text


def _write(taken: list[Done], runner: Runner, here: Place) -> None:
    tour = rendering.readme(taken, runner.names, str(here.folder))
    README.write_text(with_section(README.read_text(), tour))


if __name__ == "__main__":
    sys.exit(main())
