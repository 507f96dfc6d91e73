"""From settings to a root directory that supervisord can be started on."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from cyme_supd.branch import attached, embedded
from cyme_supd.branch.rootlock import end_leftovers, lock_root
from cyme_supd.config import Config, Paths, load, write_private
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.database import parse_database
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.orders import RUNNER_KEY
from cyme_supd.errors import Conflict, Invalid, NotFound, Unavailable
from cyme_supd.seal import make_key, write_key
from cyme_supd.store.access import is_anybody
from cyme_supd.store.engine import database_url, open_engine, sqlite_url
from cyme_supd.store.migrations import MIGRATION_TIMEOUT_S, migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.schema import is_current
from cyme_supd.supervisord import descriptors
from cyme_supd.supervisord.conf import Tree, check_root, render_supervisord_conf
from cyme_supd.supervisord.host import HostSupervisord
from cyme_supd.supervisord.rendering import encode
from cyme_supd.supervisord.repair import repair
from cyme_supd.supervisord.sections import SectionFiles

_MODULES = {"branch": "cyme_supd.branch.main", "web": "cyme_supd.branch.web"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to become, and what a person should be told first.

    ``host`` is the supervisord that the branch's programs were given to, where
    that was there before: then there is nothing to become.
    """

    config: Config
    argv: tuple[str, ...]
    warnings: tuple[str, ...]
    host: HostSupervisord | None = None


def prepare(root: str, wanted: Mapping[str, Any]) -> Prepared:
    """Make *root* ready and take its lock; the lock is this process' from now on.

    *wanted* are fields of :class:`~cyme_supd.config.Config`; ``id``, ``broker``
    and ``database`` may be ``None``: the kept id or a new one, an embedded
    broker, a file in the root.
    """
    os.umask(0o077)
    paths = Paths(check_root(root))
    _make_folders(paths)
    lock_root(paths)
    before = _before(paths)
    attached.check_elsewhere(before, wanted)
    host = attached.reach(paths, wanted)
    end_leftovers(paths, host.pids() if host else ())
    config = _settle(paths, wanted, before)
    if host:
        config = replace(config, has_extension=host.has_extension)
    if config.has_httpd:
        _check_address(config)
    _check_pidfile(config.pidfile)
    config.save()
    _migrate(config)
    shared = _share_key(config)
    instances = _instances(config)
    _forget_looks(config)
    _write_programs(config)
    moved = [*_moved(before, config), *shared]
    if host:
        warnings = attached.bring_up(host, config, _programs(config), instances)
        return Prepared(config, (), (*moved, *warnings), host)
    warnings = _write_supervisord(config, instances)
    return Prepared(config, _supervisord(paths), (*moved, *warnings))


def knows_somebody(root: str, database: str | None) -> bool:
    """Whether a user or a token is stored for the branch on *root*; nothing is made for it."""
    paths = Paths(check_root(root))
    if not (database or paths.database.exists()):
        return False
    engine = open_engine(database or sqlite_url(paths.database))
    try:
        return is_anybody(engine)
    finally:
        engine.dispose()


def _make_folders(paths: Paths) -> None:
    try:
        paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.root.chmod(0o700)
        for folder in (paths.sections, paths.instances, paths.programs, paths.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise Invalid(
            f"the root directory {paths.root} cannot be used: {exc.strerror}",
            "choose one that is yours with --instance-dir",
        ) from None


def _settle(paths: Paths, wanted: Mapping[str, Any], before: Config | None) -> Config:
    """The settings in full: what was chosen before in this root is kept."""
    broker = wanted.get("broker")
    settled = {
        **wanted,
        "root": str(paths.root),
        "id": _id(wanted.get("id"), before),
        "has_embedded_broker": broker is None,
        "broker": parse_broker(broker).url if broker else embedded.embedded_broker(paths).url,
        "database": wanted.get("database") or "",
        "supervisor_password": secrets.token_urlsafe(24),
        # Kept: with another key nobody would know the ids given before.
        "task_key": (before and before.task_key) or secrets.token_hex(32),
    }
    return Config(**settled)


def _before(paths: Paths) -> Config | None:
    try:
        return load(paths.root)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, json.JSONDecodeError) as exc:
        raise Invalid(
            f"{paths.config} cannot be read: {exc}",
            "it holds this branch's id: restore it, or remove it and name the id with --id",
        ) from None


def _id(wanted: str | None, before: Config | None) -> str:
    if before is None:
        return check_name("branch", wanted or f"{_hostname()}-{uuid4().hex[:8]}")
    if wanted is not None and wanted != before.id:
        raise Conflict(
            f"the root directory {before.root} is branch {before.id!r}'s, not {wanted!r}'s",
            "leave --id out, or choose another root with --instance-dir",
        )
    return before.id


def _moved(before: Config | None, config: Config) -> list[str]:
    """What a person should know whose instances are in another store than before."""
    if before is None or bool(before.database) == bool(config.database):
        return []
    was, now = (
        parse_database(each.database).masked_url if each.database else "the file in its root"
        for each in (before, config)
    )
    return [f"the store was {was} and is {now}: what was stored there is not here"]


def _hostname() -> str:
    name = socket.gethostname().split(".")[0]
    safe = "".join(char for char in name if char.isascii() and (char.isalnum() or char in "-_"))
    return safe.lstrip("-_")[:60] or "branch"


def _check_address(config: Config) -> None:
    """Say now, in one line, what gunicorn would say later in many."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as exc:
            raise Unavailable(
                f"cannot listen on {config.host} port {config.port}: {exc.strerror}",
                "choose another address, such as :8001",
            ) from None


def _check_pidfile(path: str | None) -> None:
    """supervisord would say so in its log, and go on without."""
    if path is not None and not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        raise Invalid(
            f"no file can be made at {path}", "name one in a folder that is yours with --pidfile"
        )


def _migrate(config: Config) -> None:
    """The branch's own file; or what it shares, if no other branch has done so yet."""
    url = database_url(config)
    if config.database:
        # With the short patience of every day: one that is down is known at once.
        engine = open_engine(url)
        try:
            if is_current(engine):
                return
        finally:
            engine.dispose()
    engine = open_engine(url, MIGRATION_TIMEOUT_S)
    try:
        migrate(engine)
    finally:
        engine.dispose()


def _share_key(config: Config) -> list[str]:
    """Have one key for all at a database: that of who came first, from now on here, too.

    Says what a person should know who has copied the one that was here.
    """
    path = config.paths.runner_key
    own = make_key(path)
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    try:
        with store.writing() as tx:
            shared = bytes.fromhex(tx.share_key(RUNNER_KEY, own.hex()))
    finally:
        store.close()
    if shared == own:
        return []
    write_key(path, shared)
    return [f"{path} is another one now: the key of all at this database; copy it to runners"]


def _instances(config: Config) -> dict[str, int]:
    """Stop timeouts of the branch's instances, by name."""
    store = SqlStore(database_url(config), config.broker)
    try:
        with store.reading() as view:
            return {worker.name: worker.stop_timeout_s for worker in view.workers(config.id)}
    finally:
        store.close()


def _forget_looks(config: Config) -> None:
    """What was seen before is not believed again until the branch has looked."""
    store = SqlStore(database_url(config), config.broker, branch=config.id)
    try:
        with store.recording() as tx, suppress(NotFound):
            tx.save_branch(replace(tx.branch(config.id), observed_at=None))
    finally:
        store.close()


def _write_supervisord(config: Config, instances: Mapping[str, int]) -> list[str]:
    sections = SectionFiles(Path(config.root))
    sections.prepare()
    # supervisord is to know them when it starts: what is missing is written
    # again, and what would keep it from starting is moved aside.
    for name, stop_timeout_s in instances.items():
        sections.write(name, stop_timeout_s)
    warnings = repair(sections)
    granted, warning = descriptors.claim(len(instances))
    tree = Tree(
        root=Path(config.root),
        password=config.supervisor_password,
        programs=_programs(config),
        loglevel=config.loglevel,
        descriptors=granted,
        logfile=config.logfile,
        pidfile=config.pidfile,
        is_detached=config.is_detached,
    )
    write_private(config.paths.supervisord_conf, encode(render_supervisord_conf(tree)))
    config.paths.supervisord_socket.unlink(missing_ok=True)
    return [*warnings, warning] if warning else warnings


def _programs(config: Config) -> tuple[str, ...]:
    wanted = {"broker": config.has_embedded_broker, "web": config.has_httpd, "branch": True}
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def _write_programs(config: Config) -> None:
    """What the launcher makes of the branch's own programs."""
    for name in _programs(config):
        if name == "broker":
            argv = embedded.write_conf(config.paths, parse_broker(config.broker))
        else:
            argv = [sys.executable, "-I", "-m", _MODULES[name], config.root]
        folder = config.paths.programs / name
        folder.mkdir(mode=0o700, exist_ok=True)
        launch = {
            "argv": argv,
            "death_signal": "KILL",
            "log": False,
            # Where the branch is attached that socket is of somebody else's service.
            "notifies": name == "branch" and not config.is_attached,
        }
        write_private(folder / "launch.json", json.dumps(launch).encode())


def _supervisord(paths: Paths) -> tuple[str, ...]:
    # Isolated: nothing that lies in the current directory is imported.
    conf = str(paths.supervisord_conf)
    return (sys.executable, "-I", "-m", "cyme_supd.supervisord.daemon", "-n", "-c", conf)
