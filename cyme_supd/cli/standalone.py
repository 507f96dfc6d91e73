"""What commands have in common that are parts of a branch without one."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cyme_supd import __version__
from cyme_supd.config import DEFAULT_ROOT, LOGLEVELS, Config, load
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.database import parse_database
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.orders import RUNNER_KEY
from cyme_supd.errors import Conflict, CymeError, Invalid, NotFound, Unavailable
from cyme_supd.seal import KEY_BYTES, read_key
from cyme_supd.store.engine import database_url
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.schema import check_schema

log = logging.getLogger("cyme_supd.scheduler")

STORE_EVERY_S = 1.0
_KEY_FILE = "The key of runners; else the one in the database."
_SECRETS = ("BROKER", "DATABASE", "KEY_FILE")


@dataclass(frozen=True, slots=True)
class Standalone:
    """What such a process works with; ``stop`` is set by a signal, ``key`` for who needs it."""

    name: str
    broker: str
    key: bytes
    store: SqlStore
    stop: threading.Event


def standalone_command(
    program: str, needs_key: bool = True, more: Callable[[Any], Any] = lambda function: function
) -> Callable[[Any], click.Command]:
    """Make *program* of a function that gives all its options to :func:`run`; *more* adds some."""
    prefix = program.upper().replace("-", "_")
    frame = click.command(
        context_settings={"auto_envvar_prefix": prefix, "help_option_names": ["-h", "--help"]},
        epilog=f"Flags win over the environment ({prefix}_DATABASE=...).",
    )
    version = click.version_option(__version__, prog_name=program)

    def decorate(function: Any) -> click.Command:
        return frame(_with_options(program, needs_key)(more(version(function))))

    return decorate


def _with_options(default_name: str, needs_key: bool) -> Callable[[Any], Any]:
    options = (
        click.option("--database", help="URL of the database that branches share."),
        click.option("-b", "--broker", help="URL of the control broker, of jobs without an app."),
        *([click.option("--key-file", help=_KEY_FILE)] if needs_key else []),
        click.option(
            "-D",
            "--instance-dir",
            default=DEFAULT_ROOT,
            show_default=True,
            help="Root of a branch on this host, whose database and broker are the defaults.",
        ),
        click.option(
            "-n", "--name", default=default_name, show_default=True, help="What is told of it."
        ),
        click.option(
            "-l",
            "--loglevel",
            type=click.Choice(LOGLEVELS, case_sensitive=False),
            default="INFO",
            show_default=True,
            help="What is said on standard error.",
        ),
    )

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def run(program: str, options: dict[str, Any], body: Callable[[Standalone], None]) -> None:
    """Call *body* with what the *options* mean; it is to return soon after ``stop`` is set."""
    logging.basicConfig(
        level=options["loglevel"].upper(), format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("amqp").setLevel(logging.WARNING)
    prefix = program.upper().replace("-", "_")
    for name in _SECRETS:
        os.environ.pop(f"{prefix}_{name}", None)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _run(options, stop, body)
    except CymeError as exc:
        click.echo(f"{program}: {exc}", err=True)
        sys.exit(exc.exit)


def _run(
    options: dict[str, Any], stop: threading.Event, body: Callable[[Standalone], None]
) -> None:
    name = check_name("name", options["name"])
    config = _branch(options)
    broker = options["broker"] or (config and config.broker)
    if not broker:
        raise Invalid("no broker", "name the one of the branches with --broker")
    store = SqlStore(_database(options, config), parse_broker(broker).url, branch=name)
    try:
        if _await(store, stop):
            key = _key(store, options["key_file"]) if "key_file" in options else b""
            body(Standalone(name, broker, key, store, stop))
    finally:
        store.close()


def _branch(options: dict[str, Any]) -> Config | None:
    """That on the root, if there is one."""
    if options["database"] and options["broker"]:
        return None
    try:
        return load(os.path.abspath(options["instance_dir"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        raise Invalid(f"the settings of the branch cannot be read: {exc}") from None


def _database(options: dict[str, Any], config: Config | None) -> str:
    if options["database"]:
        parse_database(options["database"])
        return str(options["database"])
    if config is None:
        raise Invalid(
            f"no database, and no branch in {options['instance_dir']}",
            "name the one of the branches with --database, or the root of one with -D",
        )
    return database_url(config)


def _await(store: SqlStore, stop: threading.Event) -> bool:
    """Wait for the database; whether it is there, and nobody has said to stop."""
    said = ""
    while not stop.is_set():
        try:
            check_schema(store.engine)
            return True
        except Unavailable as exc:
            if str(exc) != said:
                said = str(exc)
                log.warning("waiting for the database: %s", said)
            stop.wait(STORE_EVERY_S)
    return False


def _key(store: SqlStore, path: str | None) -> bytes:
    """The key that all at the database have; it is that in *path* where they have none yet."""
    given = read_key(path) if path else None
    with store.writing() as tx:
        shared = tx.shared_key(RUNNER_KEY)
        if shared is None and given is not None:
            shared = tx.share_key(RUNNER_KEY, given.hex())
    if shared is None:
        raise NotFound(
            "the database has no key of runners",
            "start a branch on it, or give its runner.key with --key-file",
        )
    found = bytes.fromhex(shared)
    if len(found) != KEY_BYTES or given not in (None, found):
        raise Conflict(
            "the key of runners in the database is another one",
            "leave --key-file out, and copy runner.key from the root of a branch to runners",
        )
    return found
