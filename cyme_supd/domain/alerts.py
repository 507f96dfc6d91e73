"""What somebody is told of by the alert webhook, and that it is over. Pure.

Level-triggered: what there is to tell follows from what is found now and what
was told before, so nothing is told twice, and what was missed is told late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cyme_supd.domain.doubles import CONFLICT
from cyme_supd.domain.jobtrouble import FAILED, MISSED, MOST, OVERDUE, UNCLAIMED, Trouble
from cyme_supd.domain.naming import is_control
from cyme_supd.domain.pause import PAUSED
from cyme_supd.domain.presence import Peer
from cyme_supd.domain.restarts import CRASH_LOOPING
from cyme_supd.domain.status import Condition, Status
from cyme_supd.errors import Invalid

NOT_CONSUMING = "NotConsuming"
BRANCH_LAPSED = "BranchLapsed"
QUEUE_DEEP = "QueueDeep"
QUEUE_OLD = "QueueOld"
ORPHANS = "Orphans"
JOBS_OVERDUE = "JobsOverdue"
JOB_UNCLAIMED = "JobUnclaimed"
JOB_MISSED = "JobMissed"
JOB_FAILED = "JobFailed"
#: Shorter is a start, or a restart.
NOT_CONSUMING_FOR = timedelta(seconds=60)
LAPSED_FOR = timedelta(seconds=30)
#: A queue that was too deep is over that when it has this share of the limit or less.
SHALLOW = 0.8
#: Reasons for which an instance is not ready and nobody has to do anything.
_IN_ORDER = frozenset({"Deleting", "Disabled", "Moving", "Restarting", "Stopping", CONFLICT})

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """``subject`` is the name of an instance, a branch or an app, or ``app/queue``, or
    ``category/job``."""

    kind: str
    subject: str
    message: str
    since: datetime

    @property
    def key(self) -> Key:
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class Found:
    """Alerts there are now, by key; of those ``unknown``, and of those of ``unknown_kinds``
    that are not among them, nobody knows now whether they are."""

    firing: Mapping[Key, Alert] = field(default_factory=dict)
    unknown: frozenset[Key] = frozenset()
    unknown_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Word:
    """One message: that there is an alert, or that it is over."""

    alert: Alert
    is_over: bool


def words(told: Mapping[Key, Alert], found: Found) -> list[Word]:
    """What is to be told now, what began first first."""
    begun = [Word(alert, False) for key, alert in found.firing.items() if key not in told]
    over = [
        Word(alert, True)
        for key, alert in told.items()
        if key not in found.firing and not _is_unknown(key, found)
    ]
    return sorted([*over, *begun], key=lambda word: (word.alert.since, word.alert.key))


def _is_unknown(key: Key, found: Found) -> bool:
    return key in found.unknown or key[0] in found.unknown_kinds


def together(all_found: Iterable[Found]) -> Found:
    firing: dict[Key, Alert] = {}
    unknown: set[Key] = set()
    kinds: set[str] = set()
    for found in all_found:
        firing.update(found.firing)
        unknown |= found.unknown
        kinds |= found.unknown_kinds
    return Found(firing, frozenset(unknown), frozenset(kinds))


def of_instances(statuses: Iterable[Status], now: datetime) -> Found:
    """Those that crash again and again, and those that do not consume and should."""
    firing: list[Alert] = []
    unknown: set[Key] = set()
    for status in statuses:
        known = {each.type: each for each in status.conditions}
        crashing = known.get(CRASH_LOOPING)
        if crashing is not None and crashing.status:
            firing.append(_alert(CRASH_LOOPING, status, crashing))
            continue
        if PAUSED in known:
            continue
        lacking = _lacking(known)
        is_old = lacking is not None and now - lacking.since >= NOT_CONSUMING_FOR
        if lacking is not None and is_old and lacking.status is False:
            firing.append(_alert(NOT_CONSUMING, status, lacking))
        elif lacking is not None:
            unknown.add((NOT_CONSUMING, status.name))
    return Found({alert.key: alert for alert in firing}, frozenset(unknown))


def _lacking(known: Mapping[str, Condition]) -> Condition | None:
    """The condition for which it consumes nothing, or perhaps nothing; ``None`` where it does."""
    ready = known.get("Ready")
    if ready is None or (ready.status is False and ready.reason in _IN_ORDER):
        return None
    if not ready.status:
        return ready
    told = (known.get(type) for type in ("Consuming", "Progressing"))
    return next((each for each in told if each is not None and each.status is False), None)


def _alert(kind: str, status: Status, condition: Condition) -> Alert:
    message = f"instance {status.name}: {condition.reason}"
    if condition.message:
        message = f"{message}: {condition.message}"
    return Alert(kind, status.name, message, condition.since)


def of_branches(peers: Mapping[str, Peer], here: str, now: datetime, is_settled: bool) -> Found:
    """Other branches that have lapsed; one that ended with a word has not.

    Who has just started has not heard anybody yet: it is not *settled*.
    """
    firing: dict[Key, Alert] = {}
    unknown: set[Key] = set()
    for id, peer in peers.items():
        if id == here or peer.is_live or peer.heartbeat.is_leaving:
            continue
        alert = Alert(
            BRANCH_LAPSED,
            id,
            f"branch {id} is not heard any more: it is down, or cut off from the broker",
            peer.last_seen_at,
        )
        if is_settled and now - peer.last_seen_at >= LAPSED_FOR:
            firing[alert.key] = alert
        else:
            unknown.add(alert.key)
    return Found(firing, frozenset(unknown))


def of_queues(depths: Mapping[tuple[str, str], float | None], limit: int, now: datetime) -> Found:
    """Queues, by app and name, in which more than *limit* messages wait; ``None`` is not known."""
    firing: dict[Key, Alert] = {}
    unknown: set[Key] = set()
    for (app, name), messages in depths.items():
        key = (QUEUE_DEEP, f"{app}/{name}")
        if messages is not None and messages > limit:
            message = f"{messages:.0f} messages wait in queue {name} of app {app}"
            firing[key] = Alert(*key, message, now)
        elif messages is None or messages > SHALLOW * limit:
            unknown.add(key)
    return Found(firing, frozenset(unknown))


def of_ages(ages: Mapping[tuple[str, str], float | None], limit_s: float, now: datetime) -> Found:
    """Queues, by app and name, in which a message has waited longer than *limit_s*."""
    firing: dict[Key, Alert] = {}
    unknown: set[Key] = set()
    for (app, name), age_s in ages.items():
        key = (QUEUE_OLD, f"{app}/{name}")
        if age_s is None:
            unknown.add(key)
        elif age_s > limit_s:
            message = f"a message has waited for {age_s:.0f} s in queue {name} of app {app}"
            firing[key] = Alert(*key, message, now - timedelta(seconds=age_s))
    return Found(firing, frozenset(unknown))


def of_orphans(
    apps: Iterable[str], counts: Mapping[str, Mapping[str, int]], now: datetime
) -> Found:
    """*apps* of which something is nobody's, by how much there is of each kind."""
    firing: dict[Key, Alert] = {}
    unknown: set[Key] = set()
    for app in apps:
        if app not in counts:
            unknown.add((ORPHANS, app))
        elif said := ", ".join(f"{n} {kind}" for kind, n in sorted(counts[app].items()) if n):
            message = f"nobody cares for {said} of app {app}: GET /{app}/orphans/ names them"
            firing[ORPHANS, app] = Alert(ORPHANS, app, message, now)
    return Found(firing, frozenset(unknown))


def of_jobs(troubles: Sequence[Trouble]) -> Found:
    """Jobs that should have run and did not; where none are taken, all of them as one.

    Of a kind of which there are more than were looked at nobody knows that it is over.
    """
    firing: dict[Key, Alert] = {}
    late = [each for each in troubles if each.kind == OVERDUE]
    if late:
        first = min(late, key=lambda each: each.since)
        count = f"{len(late)} or more" if len(late) >= MOST else str(len(late))
        message = (
            f"{count} jobs are due and no injector takes them,"
            f" {first.category}/{first.name} for longest"
        )
        firing[JOBS_OVERDUE, "jobs"] = Alert(JOBS_OVERDUE, "jobs", message, first.since)
    for each in troubles:
        if each.kind in _KINDS_OF_JOBS:
            subject = f"{each.category}/{each.name}"
            key = (_KINDS_OF_JOBS[each.kind], subject)
            firing[key] = Alert(*key, f"job {subject}: {each.message}", each.since)
    counts = Counter(each.kind for each in troubles)
    many = [kind for name, kind in _KINDS_OF_JOBS.items() if counts[name] >= MOST]
    return Found(firing, unknown_kinds=frozenset(many))


_KINDS_OF_JOBS = {UNCLAIMED: JOB_UNCLAIMED, MISSED: JOB_MISSED, FAILED: JOB_FAILED}


def message(word: Word, branch: str, now: datetime) -> dict[str, Any]:
    """What is posted::

    {"state": "firing" or "resolved", "kind": "CrashLooping", "subject": "w1",
     "key": "CrashLooping/w1", "branch": "b1", "message": "...",
     "since": ISO 8601, "at": ISO 8601, "text": one line for people}
    """
    alert, state = word.alert, "resolved" if word.is_over else "firing"
    return {
        "state": state,
        "kind": alert.kind,
        "subject": alert.subject,
        "key": f"{alert.kind}/{alert.subject}",
        "branch": branch,
        "message": alert.message,
        "since": alert.since.isoformat(),
        "at": now.isoformat(),
        "text": f"[{state}] {alert.kind} on {branch}: {alert.message}",
    }


def as_dict(alert: Alert) -> dict[str, str]:
    return {
        "kind": alert.kind,
        "subject": alert.subject,
        "message": alert.message,
        "since": alert.since.isoformat(),
    }


def from_dict(stored: Mapping[str, Any]) -> Alert:
    """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is none."""
    since = datetime.fromisoformat(stored["since"])
    if since.tzinfo is None:
        raise ValueError("since has no time zone")
    return Alert(str(stored["kind"]), str(stored["subject"]), str(stored["message"]), since)


def check_webhook(url: str) -> str:
    """*url* if alerts can be posted there, else ``Invalid``; it is not repeated: it may be a
    secret."""
    hint = "--alert-webhook https://host/path; what proves who you are goes into its path"
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname)
        has_user, _ = "@" in parts.netloc, parts.port
    except ValueError:
        is_fine, has_user = False, False
    if not is_fine or not url.isascii() or any(is_control(c) or c == " " for c in url):
        raise Invalid("the alert webhook is no URL of HTTP", hint)
    if has_user:
        raise Invalid("the alert webhook has a user or a password in it", hint)
    return url
