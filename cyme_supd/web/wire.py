"""What goes out, and what of it is secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response, g, request

from cyme_supd.clock import isoformat
from cyme_supd.domain.broker import MASK, parse_broker
from cyme_supd.domain.foresight import RunningTask, Step
from cyme_supd.domain.masking import masked
from cyme_supd.domain.orphans import Orphans, Stray
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import Condition
from cyme_supd.service import (
    AppDetails,
    BranchDetails,
    Consumed,
    Details,
    Health,
    Outcome,
    Plan,
    Progress,
    QueueDetails,
    Stats,
)
from cyme_supd.web.schemas import Page, Shown

OK: Mapping[str, str] = {"ok": "ok"}


def answer(value: Any, status: int = 200) -> Response:
    """*value* as JSON."""
    return Response(encoded(value), status, content_type="application/json")


def encoded(value: Any) -> bytes:
    """*value* as JSON, one line of UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return (text + "\n").encode("utf-8", "backslashreplace")


def settled(value: Mapping[str, Any], outcome: Outcome, status: int = 200) -> Response:
    """*value* under *status* once it is observed; ``202`` with the reason until then."""
    if outcome.is_converged:
        return answer(value, status)
    return answer({**value, "converged": False, "reason": outcome.reason}, 202)


def changed(name: str, outcome: Outcome, nowait: bool, status: int = 200) -> Response:
    """The answer to a change that has nothing to show but that it was made."""
    if nowait and not outcome.is_converged:
        return accepted(name)
    return settled(OK if outcome.is_converged else {"name": name}, outcome, status)


def accepted(name: str) -> Response:
    """The asynchronous form's answer."""
    return answer({"name": name}, 202)


def page(names: Callable[[str, int | None], Sequence[str]], sent: Page) -> Response:
    """A bare list of names, with a link to the rest where there is one."""
    limit = sent.limit
    return page_of(list(names(sent.after or "", None if limit is None else limit + 1)), limit)


def page_of(found: Sequence[str], limit: int | None, has_more: bool = False) -> Response:
    """The first *limit* of what was *found*, of which there may be more elsewhere."""
    response = answer(found[:limit])
    if limit is not None and found and (has_more or len(found) > limit):
        query = urlencode({"limit": limit, "after": found[:limit][-1]})
        response.headers["Link"] = f'<{quote(request.path)}?{query}>; rel="next"'
    return response


def shows_secrets(sent: Shown) -> bool:
    """Whether the caller asked for secrets and may see them."""
    return bool(sent.secrets) and g.get("role") == "admin"


def app(details: AppDetails, secrets: bool) -> dict[str, Any]:
    spec = details.app
    backend = spec.result_backend
    return {
        "name": spec.name,
        "broker": details.broker.as_dict(secrets),
        "arguments": _shown(spec.arguments, secrets),
        "extra_config": _shown(spec.extra_config, secrets),
        "celery_app": spec.celery_app,
        "directory": spec.directory,
        "environment": {
            name: value if secrets else MASK for name, value in spec.environment.items()
        },
        "user": spec.user,
        "command": spec.command,
        "result_backend": backend if secrets or not backend else MASK,
        "pool": spec.pool,
        "stop_timeout_s": spec.stop_timeout_s,
        "hung_timeout_s": spec.hung_timeout_s,
        "is_tracked": spec.is_tracked,
        "created_at": isoformat(spec.created_at),
        "pause": pause(spec.pause),
        "instances": list(details.instances),
    }


def instance(details: Details, secrets: bool) -> dict[str, Any]:
    """What it should be and what it is.

    ``broker``, ``pool`` and the timeouts are those its worker ends up with;
    ``arguments`` and ``extra_config`` its own, without the app's.
    """
    spec, worker, status = details.instance, details.worker, details.status
    observed_at = details.observed_at
    return {
        "name": spec.name,
        "app": spec.app,
        "branch": spec.branch,
        "is_enabled": spec.is_enabled,
        "queues": list(spec.queues),
        "broker": parse_broker(worker.broker).as_dict(secrets),
        "max_concurrency": spec.max_concurrency,
        "min_concurrency": spec.min_concurrency,
        "pool": worker.pool,
        "arguments": _shown(spec.arguments, secrets),
        "extra_config": _shown(spec.extra_config, secrets),
        "stop_timeout_s": worker.stop_timeout_s,
        "hung_timeout_s": worker.hung_timeout_s,
        "created_at": isoformat(spec.created_at),
        "generation": spec.generation,
        "pause": pause(spec.pause),
        "state": status.state if status else None,
        "pid": status.pid if status else None,
        "ready": status.ready if status else None,
        "consuming": status.consuming if status else None,
        "conditions": _conditions(details),
        "observed_at": isoformat(observed_at) if observed_at else None,
    }


def stats(found: Stats, secrets: bool) -> dict[str, Any]:
    """Celery's keys at the top; ``supervisor`` is what is stored of its process."""
    details = instance(found.details, secrets)
    process = {
        "name": details["name"],
        "group": details["name"],
        "statename": details["state"],
        "pid": details["pid"],
    }
    shown = found.stats if secrets else masked(found.stats)
    return {**shown, "supervisor": process, "instance": details}


def queue(declared: Queue, secrets: bool) -> dict[str, Any]:
    return {
        "name": declared.name,
        "exchange": declared.exchange,
        "exchange_type": declared.exchange_type,
        "routing_key": declared.routing_key,
        "options": _shown(declared.options, secrets),
        "created_at": isoformat(declared.created_at),
    }


def queue_details(found: QueueDetails, secrets: bool) -> dict[str, Any]:
    """The declaration, and what the broker told of the queue."""
    depth = found.depth
    return {
        **queue(found.queue, secrets),
        "pause": pause(found.queue.pause),
        "depth": depth.messages if depth else None,
        "consumers": depth.consumers if depth else None,
        "oldest_s": found.oldest_s,
    }


def consumed(found: Consumed, secrets: bool) -> list[dict[str, Any]]:
    """The declarations; each with ``observed_at`` where nobody knows what it is now."""
    at = found.observed_at
    age = {"observed_at": isoformat(at)} if at else {}
    return [{**queue(one, secrets), **age} for one in found.queues]


def branch(details: BranchDetails) -> dict[str, Any]:
    row = details.branch
    return {
        "id": row.id,
        "url": row.url,
        "port": row.port,
        "sup_interval": row.sup_interval,
        "numc": row.numc,
        "loglevel": row.loglevel,
        "logfile": row.logfile,
        "version": row.version,
        "is_live": details.is_live,
        "is_draining": details.is_draining,
        "moving": dict(details.moving) if details.moving is not None else None,
        "last_seen": isoformat(row.observed_at) if row.observed_at else None,
        "instances": details.instances,
        "load_average": details.host.get("load_average"),
        "disk_use": details.host.get("disk_use"),
        "memory": details.host.get("memory"),
    }


def rollout(found: Progress) -> dict[str, Any]:
    """The last rolling restart; ``number`` is 0 where there was none."""
    wish = found.rollout
    return {
        "number": wish.number if wish else 0,
        "max_unavailable": wish.max_unavailable if wish else None,
        "created_at": isoformat(wish.created_at) if wish else None,
        "state": found.state,
        "restarted": list(found.restarted),
        "left": list(found.left),
        "stopped_at": found.stopped_at,
        "reason": found.reason,
    }


def plan(found: Plan) -> dict[str, Any]:
    """What would be done; ``purged`` only where messages would be dropped."""
    running, silent = found.census.running, found.census.silent
    purged = {} if found.purged is None else {"purged": found.purged}
    return {
        "actions": [_step(step) for step in found.steps],
        "restarting": list(found.restarting),
        "stopping": list(found.stopping),
        "turns": [list(names) for names in found.turns],
        "tasks": {"count": len(running), "running": [running_task(one) for one in running]},
        "unknown": [{"instance": name, "reason": why} for name, why in sorted(silent.items())],
        "waits_for": found.waits_for or None,
        "observed_at": isoformat(found.observed_at) if found.observed_at else None,
        **purged,
    }


def orphans(found: Orphans) -> dict[str, Any]:
    return {
        "queues": [asdict(each) for each in found.queues],
        "consumers": [asdict(each) for each in found.consumers],
        "tasks": [asdict(each) for each in found.tasks],
        "processes": [_stray(each) for each in found.processes],
        "unknown": [asdict(each) for each in found.unknown],
    }


def _stray(one: Stray) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "instance": one.instance,
        "command": masked(one.command),
        "since": isoformat(one.since),
        "has_worker": one.has_worker,
    }


def health(found: Health, is_known_caller: bool) -> Response:
    parts = found.parts if is_known_caller else {}
    return answer({"ok": found.is_ok, **parts}, 200 if found.is_ok else 503)


def _step(step: Step) -> dict[str, Any]:
    queues = {"queues": list(step.queues)} if step.queues else {}
    limits = dict(zip(("max", "min"), step.limits, strict=True)) if step.limits else {}
    words = {"instance": step.instance, "action": step.action, "reason": step.reason}
    return {**words, **queues, **limits}


def running_task(task: RunningTask) -> dict[str, Any]:
    at = task.started_at
    return {
        "instance": task.instance,
        "id": task.id,
        "name": task.name,
        "started_at": isoformat(at) if at else None,
    }


def pause(one: Pause | None) -> dict[str, Any] | None:
    if one is None:
        return None
    until = isoformat(one.until) if one.until else None
    return {"reason": one.reason, "since": isoformat(one.since), "until": until}


def _conditions(details: Details) -> list[dict[str, Any]]:
    conditions = [condition(one) for one in (details.status.conditions if details.status else ())]
    if details.instance.is_deleting:
        message = "it is being stopped and forgotten"
        conditions.append(
            {
                "type": "Deleting",
                "status": True,
                "reason": "Forced" if details.instance.is_forced else "Asked",
                "message": message,
                "since": None,
            }
        )
    return conditions


def condition(one: Condition) -> dict[str, Any]:
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "since": isoformat(one.since),
    }


def _shown(value: Any, secrets: bool) -> Any:
    return _plain(value) if secrets else masked(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
