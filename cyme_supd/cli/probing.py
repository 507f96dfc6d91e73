"""What ``cyme doctor`` asks the parts of one branch, each of them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial

from cyme_supd import __version__
from cyme_supd.branch.rootlock import holder
from cyme_supd.branch.strays import HostStrays
from cyme_supd.branch.wiring import make_service
from cyme_supd.brokers.servers import look
from cyme_supd.cli.local import Nobody, open_store
from cyme_supd.client import Client
from cyme_supd.clock import SystemClock
from cyme_supd.config import Config
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.database import parse_database
from cyme_supd.domain.findings import (
    SKEWED_S,
    Finding,
    clock_beside,
    error,
    fine,
    redis_as_it_is,
    warning,
)
from cyme_supd.domain.naming import listed
from cyme_supd.domain.orphans import Orphans
from cyme_supd.errors import CymeError, NotFound
from cyme_supd.mailbox.roll import RollFile
from cyme_supd.store.engine import connected, database_url, kind_of, open_engine
from cyme_supd.store.schema import REVISIONS
from cyme_supd.supervisord.client import Supervisord
from cyme_supd.supervisord.host import LOAD_IT
from cyme_supd.supervisord.wiring import sections_of, supervisord_of

#: For each step of asking one part.
STEP_S = 2.0
#: A branch that was heard since then counts as one of the fleet.
HEARD_S = 600.0
_GROUP = "cyme"
#: What the health of a branch tells that nothing here finds out by itself.
_PARTS = {
    "reconciler": "it has not looked at its workers for a while",
    "threads": "some of its threads have stopped",
}


def supervisord(config: Config) -> Iterator[Finding]:
    """Whether it runs, answers, has the extension, and keeps the branch's own programs."""
    pid = holder(config.paths)
    if pid is None:
        yield error(
            "supervisord",
            f"no branch runs on {config.root}"
            + (", and its workers go on unwatched" if config.is_attached else ""),
            "start cyme-branch on it, with the options that it had",
        )
        return
    server = supervisord_of(config, STEP_S, STEP_S)
    try:
        if config.is_attached:
            pid = int(server.call("supervisor.getPID"))
        has_extension = not config.is_attached or server.has_extension()
        told = server.extension() if has_extension else {}
    except CymeError as exc:
        # One that is there and does not answer is nothing that its error knows of.
        hint = "" if exc.__cause__ else exc.hint
        log = f"{config.log} may tell why"
        yield error("supervisord", f"process {pid}: {exc.message}", hint or log)
        return
    if not told:
        message = f"process {pid} has no extension of Cyme's: slower, and no order when it stops"
        yield warning("supervisord", message, LOAD_IT)
    elif told.get("stopping"):
        yield warning("supervisord", "it is stopping", "wait, and start cyme-branch again")
    elif told.get("version") != __version__:
        yield warning(
            "supervisord",
            f"it runs with the extension of Cyme {told.get('version')}, not {__version__}",
            f"restart {'it' if config.is_attached else 'cyme-branch'} when its workers may be",
        )
    else:
        yield fine("supervisord", f"process {pid}, with the extension of Cyme {__version__}")
    yield from _programs(config, server)
    sections = sections_of(config)
    if taken := sorted(sections.names() & sections.others()):
        yield error(
            "supervisord",
            f"{listed(taken)}: others have programs by these names in {config.conf_dir}",
            "rename them there: supervisord makes one of what has one name",
        )


def _supervisord_pid(config: Config) -> int:
    """The parent of the branch's programs; 0 where there is none."""
    if config.is_attached:
        # It runs the workers, whether cyme-branch waits there or not.
        with suppress(CymeError):
            return int(supervisord_of(config, STEP_S, STEP_S).call("supervisor.getPID"))
        return 0
    return holder(config.paths) or 0


def _programs(config: Config, server: Supervisord) -> Iterator[Finding]:
    for one in server.call("supervisor.getAllProcessInfo"):
        if one["group"] == _GROUP and one["statename"] != "RUNNING":
            yield error(
                "supervisord",
                f"its program {_GROUP}:{one['name']} is {one['statename']}",
                f"{config.paths.logs / one['name']}.log tells why",
            )


def web(config: Config) -> Iterator[Finding]:
    """Whether it answers, where it should and the branch runs."""
    if not config.has_httpd or holder(config.paths) is None:
        return
    where = config.local_url
    with Client(where, timeout=STEP_S) as client:
        try:
            client.request("GET", "/ping/")
        except CymeError as exc:
            yield error("web", exc.message, f"{config.paths.logs / 'web'}.log may tell why")
        else:
            yield fine("web", f"{where} answers")


def store(config: Config) -> Iterator[Finding]:
    """Whether it can be read, by this version; and its server's clock, if it has one."""
    open_store(config).close()
    shown = parse_database(config.database).masked_url if config.database else config.paths.database
    yield fine("store", f"{shown} has the schema {REVISIONS[-1]}")
    if config.database:
        engine = open_engine(database_url(config), STEP_S)
        try:
            with connected(engine) as connection:
                now = SystemClock().now()
                ahead_s = (now - kind_of(engine).now(connection, now)).total_seconds()
        finally:
            engine.dispose()
        yield clock_beside("the database", ahead_s)


def control_broker(config: Config) -> Iterator[Finding]:
    """The branch's own; one that comes along runs when the branch does."""
    if not config.has_embedded_broker or holder(config.paths) is not None:
        yield from _broker(config.broker, config.has_embedded_broker)


def app_brokers(config: Config) -> list[str]:
    """URLs of others, which its workers use."""
    opened = open_store(config)
    try:
        with opened.reading() as view:
            urls = {worker.broker for worker in view.workers(config.id)}
    finally:
        opened.close()
    return sorted(urls - {config.broker})


def app_broker(url: str) -> Iterator[Finding]:
    return _broker(url, False)


def _broker(url: str, is_embedded: bool) -> Iterator[Finding]:
    shown = parse_broker(url).masked_url
    try:
        server = look(url, STEP_S)
    except OSError as exc:
        where = (
            "log/broker.log in the root tells why" if is_embedded else "start it, or mend its URL"
        )
        yield error("broker", f"{shown} cannot be used: {exc}", where)
        return
    now = SystemClock().now().timestamp()
    yield fine("broker", f"{shown}: {server.product} {server.version}")
    if server.product in ("Redis", "Valkey"):
        yield from redis_as_it_is(shown, server.version, server.memory_limit, server.memory_policy)
    if server.now is not None:
        yield clock_beside(shown, now - server.now)


def fleet(config: Config) -> Iterator[Finding]:
    """Whether other branches, as they were last heard, are of this version."""
    clock = SystemClock()
    since = clock.now() - timedelta(seconds=HEARD_S)
    heard = [each for each in RollFile(config, clock).read() if each.last_seen_at >= since]
    others = {each.heartbeat.id: each.heartbeat.version for each in heard}
    for id, version in sorted(others.items()):
        if version != __version__:
            yield warning(
                "versions",
                f"branch {id} runs Cyme {version}, this one {__version__}",
                "bring all branches of a fleet to one version",
            )


def branch(config: Config) -> Iterator[Finding]:
    """What the branch that runs has written down of itself."""
    if holder(config.paths) is None:
        return
    opened = open_store(config)
    try:
        health = make_service(config, opened, Nobody(), supervisord=0, max_waits=1).health.check()
    finally:
        opened.close()
    ill = [part for part in _PARTS if health.parts[part]["ok"] is False]
    for part in ill:
        yield error("branch", _PARTS[part], f"{config.log} may tell why")
    lag_s = health.parts["reconciler"]["lag_s"]
    if lag_s is not None and lag_s < -SKEWED_S:
        yield warning(
            "clock",
            f"the branch's last look at its workers is dated {-lag_s:.0f} s from now",
            "somebody has set the clock back: have it set by NTP",
        )
    if not ill:
        yield fine("branch", f"{config.id} looks at its workers")


# What is left over


def processes(config: Config) -> Iterator[Finding]:
    """Processes on this host that workers have left behind."""
    pid = _supervisord_pid(config)
    found = HostStrays(config.paths.instances, pid, SystemClock()).strays()
    for stray in found:
        yield warning(
            "orphans",
            f"process {stray.pid} of instance {stray.instance} runs without it: {stray.command}",
            f"let it finish, or kill {stray.pid}",
        )
    if not found:
        yield fine("orphans", "no worker has left a process behind")


def apps(config: Config) -> list[str]:
    """Those with something that may be left over, while somebody could do anything about it."""
    if holder(config.paths) is None:
        return []
    opened = open_store(config)
    try:
        with opened.reading() as view:
            return view.app_names()
    finally:
        opened.close()


def app(config: Config, name: str) -> Iterator[Finding]:
    """Messages that nobody consumes, stray consumers and unknown tasks of one app."""
    opened = open_store(config)
    try:
        service = make_service(config, opened, Nobody(), _supervisord_pid(config), max_waits=1)
        found = service.orphans.find(name)
    except NotFound:
        return
    finally:
        opened.close()
    hint = f"curl {config.url}/{name}/orphans/ tells all"
    yield from map(partial(warning, "orphans", hint=hint), _left(name, found))


def _left(name: str, found: Orphans) -> Iterator[str]:
    for queue in found.queues:
        yield f"app {name}: {queue.depth} messages wait in {queue.name}: {queue.reason}"
    for one in found.consumers:
        yield f"app {name}: {one.instance} consumes {one.queue}, which is not declared"
    for task in found.tasks:
        yield f"app {name}: no instance that runs knows the task {task.name}"
