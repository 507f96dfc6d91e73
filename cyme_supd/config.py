"""One frozen value with every setting of a branch; passed by hand.

The command line merges defaults, file, environment and flags into it, the
processes of the branch read it from the root directory. Nobody keeps a
global one.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyme_supd.domain.access import local_token
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.supervisor import Supervisor, parse_supervisor
from cyme_supd.domain.target import Policy

DEFAULT_PORT = 8000
DEFAULT_HOST = "127.0.0.1"
DEFAULT_ROOT = "instances"
DEFAULT_SUP_INTERVAL_S = 5.0
#: A worker tries again after 2, 4, 6 ... 30 seconds.
DEFAULT_WAIT_AFTER_BROKER_REVIVED_S = 35.0
DEFAULT_NUMC = 2
#: Branches at one broker that know of one another.
DEFAULT_FLEET = "cyme"
DEFAULT_RESTART_MAX_RATE = "1/m"
#: Requests a second of one client: more than two cores answer, and so no
#: concern of people and their scripts; what it keeps out is a loop gone wild.
DEFAULT_API_RATE = 2000
#: Messages in a queue, more of which are an alert.
DEFAULT_ALERT_DEPTH = 10_000
#: Seconds that a message may wait.
DEFAULT_ALERT_AGE_S = 3600.0
#: How long it is known how a task ended.
DEFAULT_RESULTS_EXPIRE_S = 86400.0
#: Of each job the latest so many, and for so long.
DEFAULT_RUNS_KEEP = 100
DEFAULT_RUNS_EXPIRE_S = 90 * 86400.0
#: How long a task that nobody received may be on its way.
DEFAULT_LOST_AFTER_S = 3600.0
#: Of who asks a supervisord of ours.
USERNAME = "cyme"
LOGLEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


_ON_THIS_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one branch.

    ``root`` is absolute; ``broker`` the control broker's URL with its
    secrets, also the default for apps; ``has_embedded_broker`` says that it
    is ours to run. ``supervisor_password`` guards supervisord's socket,
    ``task_key`` (hexadecimal) proves that an id was given to a task here.
    ``database`` is the URL of one that others share, with its secrets; empty
    where the branch has its own file. ``pidfile`` is where supervisord's is, if
    not in the root; a branch that ``is_detached`` speaks in its log alone.
    ``supervisor`` is the URL of a host's own supervisord that the branch is
    attached to, ``conf_dir`` the folder whose files that includes, and
    ``has_extension`` whether Cyme's was found in it. ``alert_webhook`` is a URL,
    which may be a secret, or empty; ``alert_depth`` the messages in a queue that
    are not an alert yet, ``alert_age`` the seconds that one may wait there. Of each job the
    latest ``runs_keep`` runs are kept, for ``runs_expire_s``; ``run_log_url`` is a
    template: where the log lines of a run are collected. The record of tasks leaves out
    what ``redact`` matches, and the arguments of ``redact_tasks``.
    """

    root: str
    id: str
    broker: str
    has_embedded_broker: bool
    supervisor_password: str
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    has_httpd: bool = True
    has_srs: bool = True
    has_scheduler: bool = True
    numc: int = DEFAULT_NUMC
    fleet: str = DEFAULT_FLEET
    sup_interval: float = DEFAULT_SUP_INTERVAL_S
    wait_after_broker_revived: float = DEFAULT_WAIT_AFTER_BROKER_REVIVED_S
    restart_max_rate: str = DEFAULT_RESTART_MAX_RATE
    loglevel: str = "INFO"
    logfile: str | None = None
    server_names: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    api_rate: int = DEFAULT_API_RATE
    is_insecure: bool = False
    url_allow: tuple[str, ...] = ()
    url_deny: tuple[str, ...] = ()
    task_key: str = ""
    results_expire_s: float = DEFAULT_RESULTS_EXPIRE_S
    database: str = ""
    pidfile: str | None = None
    is_detached: bool = False
    supervisor: str = ""
    conf_dir: str = ""
    has_extension: bool = True
    alert_webhook: str = ""
    alert_depth: int = DEFAULT_ALERT_DEPTH
    alert_age: float = DEFAULT_ALERT_AGE_S
    runs_keep: int = DEFAULT_RUNS_KEEP
    runs_expire_s: float = DEFAULT_RUNS_EXPIRE_S
    run_log_url: str = ""
    has_monitor: bool = True
    redact: tuple[str, ...] = ()
    redact_tasks: tuple[str, ...] = ()
    keep_tasks: tuple[str, ...] = ()
    lost_after: float = DEFAULT_LOST_AFTER_S

    @property
    def is_attached(self) -> bool:
        """Whether its programs are those of a supervisord that was there before."""
        return bool(self.supervisor)

    @property
    def supervisord(self) -> Supervisor:
        """How to reach the supervisord that runs its workers."""
        if self.is_attached:
            return parse_supervisor(self.supervisor)
        return Supervisor(str(self.paths.supervisord_socket), USERNAME, self.supervisor_password)

    @property
    def log(self) -> Path:
        """Where to read what the branch says."""
        if self.is_attached:
            return self.paths.logs / "branch.log"
        return Path(self.logfile) if self.logfile else self.paths.log

    @property
    def targets(self) -> Policy:
        """Which URLs may be queued here, and requested by the workers."""
        broker = (parse_broker(self.broker).port,) if self.has_embedded_broker else ()
        return Policy(
            allow=self.url_allow,
            deny=self.url_deny,
            is_loopback_allowed=is_loopback(self.host),
            ports=(*((self.port,) if self.has_httpd else ()), *broker),
        )

    @property
    def paths(self) -> Paths:
        return Paths(Path(self.root))

    @property
    def url(self) -> str:
        """Where this branch's HTTP is."""
        return f"http://{bracketed(self.host)}:{self.port}"

    @property
    def local_url(self) -> str:
        """The same for who is on its host, where it may listen on every address."""
        return f"http://{bracketed(_ON_THIS_HOST.get(self.host, self.host))}:{self.port}"

    @property
    def is_exposed(self) -> bool:
        """Whether others than its host's can reach it, who have to say who they are."""
        return self.has_httpd and not (self.is_insecure or is_loopback(self.host))

    @property
    def local_token(self) -> str:
        """What whoever may read the root sends to say so."""
        return local_token(bytes.fromhex(self.task_key))

    def save(self) -> None:
        """Leave it in the root for the branch's own processes."""
        text = json.dumps(asdict(self), indent=1)
        write_private(self.paths.config, text.encode())


@dataclass(frozen=True, slots=True)
class Paths:
    """What lies where below a branch's root."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "branch.json"

    @property
    def lock(self) -> Path:
        return self.root / "branch.lock"

    @property
    def log(self) -> Path:
        return self.root / "branch.log"

    @property
    def pidfile(self) -> Path:
        return self.root / "branch.pid"

    @property
    def database(self) -> Path:
        return self.root / "branch.db"

    @property
    def runner_key(self) -> Path:
        return self.root / "runner.key"

    @property
    def supervisord_conf(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def supervisord_socket(self) -> Path:
        return self.root / "supervisord.sock"

    @property
    def sections(self) -> Path:
        return self.root / "conf.d"

    @property
    def instances(self) -> Path:
        return self.root / "instances"

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def audit(self) -> Path:
        return self.root / "audit.log"

    @property
    def hints(self) -> Path:
        return self.root / "hint.sock"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def roll(self) -> Path:
        return self.root / "roll.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def alerts(self) -> Path:
        return self.root / "alerts.json"


_LISTS = (
    "server_names",
    "cors_origins",
    "trusted_proxies",
    "url_allow",
    "url_deny",
    "redact",
    "redact_tasks",
    "keep_tasks",
)


def load(root: str | Path) -> Config:
    """The settings that :meth:`Config.save` left in *root*."""
    fields: dict[str, Any] = json.loads(Paths(Path(root)).config.read_text())
    for name in _LISTS:
        fields[name] = tuple(fields.get(name, ()))
    return Config(**fields)


def write_private(path: Path, content: bytes) -> None:
    """Write *path* whole or not at all, readable for its owner alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        # On a full disk half a file would keep the room it has taken.
        with suppress(OSError):
            temporary.unlink()
        raise


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this host itself can reach what listens on *host*."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_celery() -> str:
    """The ``celery`` beside the Python that runs Cyme."""
    return str(Path(sys.executable).parent / "celery")


def boot_path() -> str:
    """The folder with the module that every worker imports first."""
    return str(Path(__file__).resolve().parent / "workers" / "boot")
