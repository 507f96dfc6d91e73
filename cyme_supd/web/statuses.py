"""What each operation answers where it goes well, by status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyme_supd.web import answers as a
from cyme_supd.web import findings as f
from cyme_supd.web import jobparams as j
from cyme_supd.web import ledgers
from cyme_supd.web import trackingparams as t

#: In the place of a shape: an answer that is no JSON.
TEXT = "text/plain"
HTML = "text/html"
EVENTS = "text/event-stream"
NDJSON = "application/x-ndjson"
#: One of two, by what is asked.
FOLLOWED = f"{TEXT} {EVENTS}"
TEXTS = (TEXT, HTML, EVENTS, NDJSON, FOLLOWED)
#: Whichever version of its text Prometheus asks for.
METRICS = TEXT

NAMES = list[str]
_DONE: Mapping[int, Any] = {200: a.Ok, 202: a.Accepted}
_NEW_INSTANCE: Mapping[int, Any] = {201: a.Instance, 202: a.Accepted | a.InstanceAwaited}

#: By the operation's key. A change's plan, and what is refused, are not said here.
ANSWERS: Mapping[str, Mapping[int, Any]] = {
    "GET /": {200: NAMES},
    "GET /<app>/": {200: a.Application},
    "PUT POST /<app>/": {200: a.ApplicationEdited, 201: a.Application},
    "DELETE /<app>/": _DONE,
    "POST /<app>/start/": _DONE,
    "POST /<app>/stop/": _DONE,
    "GET /<app>/instances/": {200: NAMES},
    "PUT POST /<app>/instances/": _NEW_INSTANCE,
    "GET /<app>/instances/<name>/": {200: a.Instance},
    "PUT POST /<app>/instances/<name>/": {**_NEW_INSTANCE, 200: a.InstanceEdited},
    "DELETE /<app>/instances/<name>/": _DONE,
    "DELETE /instances/<name>/": _DONE,
    "POST /<app>/instances/<name>/enable/": _DONE,
    "POST /<app>/instances/<name>/disable/": _DONE,
    "POST /<app>/instances/<name>/restart/": _DONE,
    "GET /<app>/instances/<name>/stats/": {200: a.WorkerStats},
    "GET /<app>/instances/<name>/log/": {200: FOLLOWED},
    "GET /<app>/instances/<name>/autoscale/": {200: a.Autoscale},
    "POST /<app>/instances/<name>/autoscale/": {
        200: a.Autoscale,
        202: a.Accepted | a.AutoscaleAwaited,
    },
    "GET /<app>/queues/": {200: NAMES},
    "GET /<app>/queues/<queue>/": {200: a.DeclaredQueue},
    "PUT POST /<app>/queues/<queue>/": {200: a.DeclarationEdited, 201: a.Declaration},
    "DELETE /<app>/queues/<queue>/": _DONE,
    "POST /<app>/queues/<queue>/purge/": {200: a.Purged},
    "DELETE /<app>/queues/": {},
    "GET /<app>/instances/<name>/queues/": {200: list[a.ConsumedQueue]},
    "PUT POST /<app>/instances/<name>/queues/<queue>/": {**_DONE, 201: a.Ok},
    "DELETE /<app>/instances/<name>/queues/<queue>/": _DONE,
    "POST /<app>/pause/": _DONE,
    "POST /<app>/resume/": _DONE,
    "POST /<app>/queues/<queue>/pause/": _DONE,
    "POST /<app>/queues/<queue>/resume/": _DONE,
    "POST /<app>/instances/<instance>/pause/": _DONE,
    "POST /<app>/instances/<instance>/resume/": _DONE,
    "GET /<app>/restart/": {200: f.Rollout},
    "POST /<app>/restart/": {202: f.RolloutEdited},
    "POST /<app>/restart/resume/": {202: f.RolloutEdited},
    "POST /<app>/restart/abort/": {202: f.RolloutEdited},
    "GET /<app>/plan/": {200: f.Plan},
    "GET /<app>/tracking/": {200: f.Tracking},
    "GET /api/tasks/": {200: t.TasksAnswer},
    "GET /api/tasks/<id>/": {200: t.TaskAnswer},
    "GET /api/tasks/export/": {200: NDJSON},
    "GET /api/tasks/errors/": {200: t.ErrorsAnswer},
    "GET /api/tasks/refusals/": {200: t.RefusalsAnswer},
    "POST /api/tasks/<id>/retry/": {200: t.RetriedAnswer, 201: t.RetriedAnswer},
    "POST /api/tasks/retry/": {200: t.RetriedTasksAnswer},
    "POST /api/tasks/<id>/revoke/": {200: t.RevokedAnswer, 202: t.RevokedAnswer},
    "GET /<app>/orphans/": {200: f.Orphans},
    "VERB /<app>/queue/<queue>/<url>": {202: f.QueuedUrl},
    "PUT POST /<app>/queue/<queue>/": {202: f.QueuedUrls},
    "GET /<app>/query/<id>/state/": {200: f.State},
    "GET /<app>/query/<id>/result/": {200: f.Result},
    "GET /<app>/query/<id>/wait/": {200: f.Result},
    "GET /branches/": {200: NAMES},
    "GET /branches/<id>/": {200: f.Branch},
    "POST /branches/<id>/drain/": {200: f.Branch},
    "POST /branches/<id>/undrain/": {200: f.Branch},
    "GET /ping/": {200: a.Pong},
    "GET /health/": {200: f.Health, 503: f.Health},
    "GET /metrics/": {200: METRICS},
    "PUT POST /api/category/<name>/": {200: j.CategoryReplaced},
    "DELETE /api/category/<name>/": {200: a.Ok},
    "GET /api/categories/": {200: j.CategoriesAnswer},
    "GET /api/categories/<name>/": {200: j.CategoryAnswer},
    "GET /api/jobs/": {200: j.JobsAnswer},
    "GET /api/jobs/<id>/": {200: j.JobAnswer},
    "POST /api/jobs/<id>/pause/": {200: j.JobAnswer},
    "POST /api/jobs/<id>/resume/": {200: j.JobAnswer},
    "POST /api/jobs/<id>/run/": {202: j.RunChangedAnswer},
    "GET /api/jobs/troubles/": {200: j.TroublesAnswer},
    "GET /api/runs/": {200: j.RunsAnswer},
    "GET /api/runs/<id>/": {200: j.RunAnswer},
    "GET /api/runs/<id>/output/": {200: FOLLOWED},
    "POST /api/runs/<id>/cancel/": {200: j.RunChangedAnswer, 202: j.RunChangedAnswer},
    "POST /api/runs/prune/": {200: j.Pruned},
    "GET /api/overview/": {200: ledgers.Overview},
    "GET /api/queues/": {200: ledgers.Queues},
    "GET /api/events/": {200: EVENTS},
    "GET /api/samples/": {200: ledgers.Samples},
    "GET /<app>/instances/<name>/history/": {200: ledgers.InstanceHistory},
    "GET /<app>/instances/<name>/tasks/": {200: ledgers.InstanceTasks},
    "GET /api/audit/": {200: ledgers.Audit},
    "GET /api/users/": {200: NAMES},
    "GET /api/users/<name>/": {200: ledgers.User},
    "POST /api/users/": {200: ledgers.User, 201: ledgers.User},
    "PUT POST /api/users/<name>/": {200: ledgers.User, 201: ledgers.User},
    "DELETE /api/users/<name>/": {200: a.Ok},
    "GET /api/tokens/": {200: NAMES},
    "GET /api/tokens/<id>/": {200: ledgers.Token},
    "POST /api/tokens/": {201: ledgers.NewToken},
    "DELETE /api/tokens/<id>/": {200: a.Ok},
    "GET /api/openapi.json": {200: dict[str, Any]},
    "GET /api/docs": {200: HTML},
}

#: Bodies that are no parameters, by the operation's key.
BODIES: Mapping[str, Any] = {"PUT POST /<app>/queue/<queue>/": list[str | a.BatchedUrl]}
