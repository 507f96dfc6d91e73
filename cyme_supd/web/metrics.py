"""``GET /metrics``: what Prometheus scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from cyme_supd import __version__
from cyme_supd.domain.metrics import COUNTED, GAUGES, Family, Key
from cyme_supd.domain.status import Branch
from cyme_supd.service import Measured, Measures, Service
from cyme_supd.web.jobmetrics import of_jobs
from cyme_supd.web.params import takes
from cyme_supd.web.routing import Routes
from cyme_supd.web.schemas import Nothing
from cyme_supd.web.scopes import HERE

#: Of an instance. Prometheus itself calls what it scrapes "instance", and would
#: rename a label of that name.
OF_ONE = ("app", "worker")
_WORDS = {True: "true", False: "false", None: "unknown"}


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("metrics", __name__)

    @takes(Nothing)
    def metrics(sent: Nothing) -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Scrape(service.measuring.look()))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    Routes(noun, "/").reading("metrics/", metrics, HERE)
    return noun


class _Scrape(Collector):
    """One scrape: what was found, as families."""

    def __init__(self, found: Measures) -> None:
        self._found = found

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        found = self._found
        yield _gauge(
            "cyme_build_info",
            "The branch, and the version of Cyme that it runs.",
            ("branch", "version"),
            {(found.id, __version__): 1},
        )
        yield _one(
            "cyme_store_readable",
            "Whether the branch's store can be read. If not, nothing is known of instances here, "
            "and changes are refused: see GET /health/.",
            found.is_readable,
        )
        yield from _of_branch(found.branch)
        yield from _of_instances(found.instances)
        yield _gauge(
            "cyme_queue_consumers",
            "Instances of this branch that consume from a queue, by their own word. If it is 0 "
            "while messages wait, see the conditions of those that should.",
            ("app", "queue"),
            found.consumers,
        )
        yield from of_jobs(found.jobs)
        yield from _of_totals(found)


def _of_branch(branch: Branch | None) -> Iterator[Metric]:
    health = branch.health if branch else {}
    supervisord = health.get("supervisord") or {}
    yield _one(
        "cyme_branch_start_time_seconds",
        "When the branch's own process started. If it changes often see the branch's log.",
        branch.started_at.timestamp() if branch else None,
    )
    yield _one(
        "cyme_reconciler_last_pass_timestamp_seconds",
        "When the reconciler last looked at every instance. If that is long ago nothing is kept "
        "as it should be: see GET /health/ and the branch's log.",
        branch.observed_at.timestamp() if branch and branch.observed_at else None,
    )
    yield _one(
        "cyme_supervisord_reachable",
        "Whether the branch reaches its supervisord. If not, workers run on and are not cared "
        "for: see cyme doctor.",
        supervisord.get("ok"),
    )
    yield _one(
        "cyme_supervisord_room",
        "How many workers supervisord has descriptors for. When there are as many instances, "
        "start cyme-branch again under a higher limit of open files.",
        supervisord.get("room"),
    )
    brokers = Counter({"up": 0, "down": 0, "unknown": 0})
    for broker in (health.get("brokers") or {}).values():
        brokers[{True: "up", False: "down"}.get(broker.get("ok"), "unknown")] += 1
    yield _gauge(
        "cyme_brokers",
        "Brokers that the branch uses, by whether messages come back through them. GET /health/ "
        "says which is down, and why.",
        ("state",),
        {(state,): count for state, count in brokers.items()},
    )


def _of_instances(instances: Iterable[Measured]) -> Iterator[Metric]:
    states: Counter[tuple[str, ...]] = Counter()
    enabled, paused, ready, consuming = (_of_one(*each) for each in _FLAGS)
    conditions = GaugeMetricFamily(
        "cyme_instance_condition",
        "1 for each condition that an instance has now, under the status that it has. GET "
        "/<app>/instances/<name>/ says why and since when, the documents what to do about each.",
        labels=(*OF_ONE, "condition", "status"),
    )
    for one in instances:
        name, status = (one.app, one.name), one.status
        states[one.app, str(status.state or "unknown") if status else "unknown"] += 1
        _add(enabled, name, one.is_enabled)
        _add(paused, name, one.is_paused)
        if status is None:
            continue
        _add(ready, name, status.ready)
        _add(consuming, name, status.consuming)
        for each in status.conditions:
            conditions.add_metric((*name, each.type, _WORDS[each.status]), 1)
    yield _gauge(
        "cyme_instances",
        "Instances by the state of their process, in supervisord's words; unknown where nobody "
        "knows. FATAL and BACKOFF cannot be started: see their logs.",
        ("app", "state"),
        states,
    )
    yield from (enabled, paused, ready, consuming, conditions)


_FLAGS = (
    ("cyme_instance_enabled", "Whether the instance should run."),
    (
        "cyme_instance_paused",
        "Whether somebody has paused it, or a queue that it consumes from. POST .../resume/ has "
        "it take new work again.",
    ),
    (
        "cyme_instance_ready",
        "Whether it runs, as it was asked for last, and answers; no line where nobody knows. If "
        "not, its condition Ready says why.",
    ),
    (
        "cyme_instance_consuming",
        "Whether it consumes from all its queues; no line where nobody knows. If not, and it is "
        "enabled and not paused, its condition Consuming says which are missing.",
    ),
)


def _of_totals(found: Measures) -> Iterator[Metric]:
    for family in COUNTED:
        rows = {key: row for key, row in found.totals.counts.items() if key[0] == family.name}
        yield _timed(family, rows) if family.bounds else _counted(family, rows)
    for family in GAUGES:
        told = found.totals.gauges.items()
        values = {labels: value for (name, labels), value in told if name == family.name}
        yield _gauge(family.name, family.help, family.labels, values)


def _counted(family: Family, rows: Mapping[Key, tuple[float, ...]]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for (_, labels), row in sorted(rows.items()):
        metric.add_metric(labels, row[0])
    if not rows and not family.labels:
        metric.add_metric((), 0)
    return metric


def _timed(family: Family, rows: Mapping[Key, tuple[float, ...]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for (_, labels), row in sorted(rows.items()):
        below, buckets = 0.0, []
        for bound, count in zip((*family.bounds, float("inf")), row[:-1], strict=True):
            below += count
            buckets.append((str(bound) if isfinite(bound) else "+Inf", below))
        metric.add_metric(labels, buckets, row[-1])
    return metric


def _of_one(name: str, help: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, labels=OF_ONE)


def _add(metric: GaugeMetricFamily, labels: tuple[str, ...], value: bool | None) -> None:
    if value is not None:
        metric.add_metric(labels, value)


def _one(name: str, help: str, value: float | None) -> Metric:
    """A metric without labels; no line where there is nothing to say."""
    return _gauge(name, help, (), {} if value is None else {(): value})


def _gauge(name: str, help: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    metric = GaugeMetricFamily(name, help, labels=labels)
    for key, value in sorted(values.items()):
        metric.add_metric(key, value)
    return metric
