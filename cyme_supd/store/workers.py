"""Instances with all they inherit: four queries, however many."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection

from cyme_supd.domain.spec import Worker
from cyme_supd.domain.tracking import declared
from cyme_supd.store import apps, instances, queues
from cyme_supd.store.statuses import BATCH


def get(connection: Connection, name: str, default_broker: str) -> Worker:
    found = matching(connection, instances.is_named(name), default_broker)
    if not found:
        raise instances.not_found(name)
    return found[0]


def named(connection: Connection, names: Collection[str], default_broker: str) -> list[Worker]:
    """Those of them that are there, by name; as many queries as there are batches."""
    found: list[Worker] = []
    ordered = sorted(names)
    for start in range(0, len(ordered), BATCH):
        condition = instances.is_one_of(ordered[start : start + BATCH])
        found.extend(matching(connection, condition, default_broker))
    return found


def matching(
    connection: Connection, condition: ColumnElement[bool], default_broker: str
) -> list[Worker]:
    found = instances.matching(connection, condition)
    their_apps = apps.of_instances(connection, condition)
    their_queues = queues.of_instances(connection, condition)
    return [
        Worker(
            instance=instance,
            app=their_apps[instance.app],
            queues=declared(
                their_apps[instance.app],
                (their_queues[instance.app, name] for name in instance.queues),
            ),
            broker=instance.broker or their_apps[instance.app].broker or default_broker,
        )
        for instance in found
    ]
