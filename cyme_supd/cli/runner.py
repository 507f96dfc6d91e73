"""``cyme-runner``: runs jobs on a host that needs no branch."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import sys
from typing import Any

import click

from cyme_supd import __version__
from cyme_supd.config import DEFAULT_ROOT, LOGLEVELS
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.naming import check_queue_name
from cyme_supd.errors import Conflict, CymeError
from cyme_supd.runner.alone import Alone
from cyme_supd.runner.runner import Me, Runner
from cyme_supd.seal import Seal, read_key


@click.command(
    context_settings={
        "auto_envvar_prefix": "CYME_RUNNER",
        "help_option_names": ["-h", "--help"],
    },
    epilog="Flags win over the environment (CYME_RUNNER_BROKER=...).",
)
@click.option("-b", "--broker", required=True, help="URL of the broker that orders come from.")
@click.option(
    "-q", "--queues", default="cronq_jobs", show_default=True, help="Names, with commas between."
)
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 1000),
    help="Runs at once; else as many as there are cores.",
)
@click.option("--key-file", help="The key of runners; else runner.key in the root.")
@click.option(
    "-D", "--instance-dir", default=DEFAULT_ROOT, show_default=True, help="Root: runs/ is there."
)
@click.option(
    "-n", "--name", default="cyme-runner", show_default=True, help="What runs tell of it."
)
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(LOGLEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What is said on standard error.",
)
@click.version_option(__version__, prog_name="cyme-runner")
def command(**options: Any) -> None:
    """Run the jobs that come through the broker's queues.

    ^C lets what runs end, and a second ^C ends it.
    """
    logging.basicConfig(
        level=options["loglevel"].upper(), format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        run(options)
    except CymeError as exc:
        click.echo(f"cyme-runner: {exc}", err=True)
        sys.exit(exc.exit)


def run(options: dict[str, Any]) -> None:
    parse_broker(options["broker"])
    queues = [check_queue_name("queue", name) for name in options["queues"].split(",")]
    root = os.path.abspath(options["instance_dir"])
    seal = Seal(read_key(options["key_file"] or os.path.join(root, "runner.key")))
    os.umask(0o077)
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "runner.lock"), "a") as lock:
        take(lock)
        # There are secrets in them, and what runs here inherits none of it.
        for name in ("CYME_RUNNER_BROKER", "CYME_RUNNER_KEY_FILE"):
            os.environ.pop(name, None)
        serve(options, queues, root, seal)


def take(lock: Any) -> None:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Conflict(f"{lock.name} is another runner's", "give each its own -D") from None


def serve(options: dict[str, Any], queues: list[str], root: str, seal: Seal) -> None:
    host = socket.gethostname()
    slots = options["concurrency"] or os.cpu_count() or 1
    runner = Runner(options["broker"], seal, root, Me(host, options["name"], os.getpid()))
    alone = Alone(options["broker"], queues, slots, runner, f"{host}:{root}")
    asked = []

    def stop(*_: Any) -> None:
        asked.append(1)
        alone.stop()
        if len(asked) > 1:
            runner.kill()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    click.echo(f"cyme-runner {__version__}: {', '.join(queues)}, {slots} at once")
    alone.run()
    runner.close()


def main() -> None:
    command()


if __name__ == "__main__":
    main()
