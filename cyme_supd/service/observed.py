"""How far a stored observation can be trusted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.launch import launch
from cyme_supd.domain.spec import App, Instance, Worker
from cyme_supd.domain.status import Branch, Status
from cyme_supd.domain.target import Policy

STALE_AFTER = 3
"""Full passes that may be missed before an observation is too old to show."""


@dataclass(frozen=True, slots=True)
class ThisBranch:
    """What the service knows about the branch it serves.

    ``broker`` is the URL for apps that name none; ``is_root`` says whether
    an app may name a user; ``sup_interval`` is in seconds. ``targets`` are
    the URLs that may be queued, ``task_key`` proves the ids of their tasks,
    which are known for ``results_expire_s`` after they have ended.
    ``is_shared`` says whether all branches have one store; ``holder`` is
    then who has the lease on the branch's row while it acts. One that
    ``is_exposed`` can be reached from other hosts, by those who are known.
    ``run_log_url`` is a template: where the log lines of a run are collected.
    """

    id: str
    broker: str
    is_root: bool
    sup_interval: float
    targets: Policy = field(default_factory=Policy)
    task_key: bytes = b""
    results_expire_s: float = 86400.0
    is_shared: bool = False
    is_exposed: bool = False
    holder: str = ""
    run_log_url: str = ""


def is_fresh(branch: Branch | None, now: datetime) -> bool:
    """Whether the branch's last pass is recent enough to be believed."""
    return branch is not None and _is_recent(branch.observed_at, branch, now)


def why_down(branch: Branch | None, brokers: Iterable[str], now: datetime) -> str:
    """Why a change will not converge soon, as far as is known; else empty.

    *brokers* are the keys of those that the workers concerned need.
    """
    if branch is None:
        return "the branch has not started"
    if not is_fresh(branch, now) and not _is_recent(branch.started_at, branch, now):
        return "the branch has made no pass for a while"
    supervisord = branch.health.get("supervisord") or {}
    if supervisord.get("ok") is False:
        return _because("supervisord is down", supervisord.get("reason"))
    return next((why for key in brokers if (why := _broker_down(branch, key))), "")


def why_broker_down(branch: Branch | None, key: str, now: datetime) -> str:
    """Why that broker is down, if its branch has looked lately and said so; else empty."""
    if branch is None or not is_fresh(branch, now):
        return ""
    return _broker_down(branch, key)


def is_known_down(branch: Branch | None, broker: str, now: datetime) -> bool:
    """Whether the branch's last pass, if it can be believed, found the broker's key down."""
    if branch is None or not is_fresh(branch, now):
        return False
    known = (branch.health.get("brokers") or {}).get(broker) or {}
    return known.get("ok") is False


def shown(status: Status | None, branch: Branch | None, now: datetime) -> Status | None:
    """*status* as a reader may see it: what nobody knows any more is None."""
    if status is None or is_fresh(branch, now):
        return status
    return replace(status, state=None, pid=None, ready=None, consuming=None)


def assemble(instance: Instance, app: App, here: ThisBranch) -> Worker:
    """The instance with all it inherits but the declarations of its queues."""
    return Worker(instance, app, (), instance.broker or app.broker or here.broker)


def needs_new_process(before: Worker, after: Worker) -> bool:
    return after.instance.is_enabled and _identity(before) != _identity(after)


def broker_key(worker: Worker) -> str:
    return parse_broker(worker.broker).key


def _identity(worker: Worker) -> str:
    # Only compared with another made here: what the branch adds is the same in both.
    return launch(worker, "celery", "", "INFO", "").identity


def _is_recent(at: datetime | None, branch: Branch, now: datetime) -> bool:
    return at is not None and now - at <= timedelta(seconds=STALE_AFTER * branch.sup_interval)


def _broker_down(branch: Branch, key: str) -> str:
    broker = (branch.health.get("brokers") or {}).get(key) or {}
    if broker.get("ok") is not False:
        return ""
    return _because(f"broker {broker.get('url', '')} is down", broker.get("reason"))


def _because(what: str, reason: object) -> str:
    return f"{what}: {reason}" if reason else what
