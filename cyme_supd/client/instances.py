"""Instances, and what they consume from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import NOWAIT, Answer, Part, Section
from cyme_supd.client.queues import Queue
from cyme_supd.errors import Invalid


class Consumers:
    """What an instance consumes from: declarations, of which it prints as a list."""

    def __init__(self, connection: Connection, collection: str, instance: str) -> None:
        self._connection = connection
        self._collection = collection
        self._instance = segment("instance", instance)

    def __iter__(self) -> Iterator[Answer]:
        """Each declaration; with ``observed_at`` where the worker is silent."""
        return iter(self._connection.read_list(self._path(), secrets=self._connection.secrets))

    def __repr__(self) -> str:
        return repr(list(self))

    def add(self, queue: str | Queue, nowait: bool = False) -> Answer:
        """Consume from it, too."""
        return self._connection.change("PUT", self._path(queue, nowait))

    def delete(self, queue: str | Queue, nowait: bool = False) -> Answer:
        """Consume from it no more."""
        return self._connection.change("DELETE", self._path(queue, nowait))

    def _path(self, queue: str | Queue | None = None, nowait: bool = False) -> str:
        form = NOWAIT if nowait else ""
        path = f"{self._collection}{form}{self._instance}/queues/"
        return path if queue is None else f"{path}{segment('queue', _name(queue))}/"


class Instance(Part):
    """A worker that is kept."""

    kind = "instance"

    @property
    def broker(self) -> str:
        """Its URL, the password masked unless the client shows secrets."""
        return str(self.info["broker"])

    @property
    def queue_names(self) -> list[str]:
        """The queues it should consume from; its own, ``dq.<name>``, is not among them."""
        return list(self.info["queues"])

    @property
    def queues(self) -> list[Queue]:
        path = self._collection.removesuffix("instances/") + "queues/"
        return [Queue(self._connection, path, name) for name in self.queue_names]

    @property
    def is_enabled(self) -> bool:
        return bool(self.info["is_enabled"])

    @property
    def max_concurrency(self) -> int:
        return int(self.info["max_concurrency"])

    @property
    def min_concurrency(self) -> int:
        return int(self.info["min_concurrency"])

    @property
    def pool(self) -> str:
        return str(self.info["pool"])

    @property
    def arguments(self) -> list[str]:
        return list(self.info["arguments"] or [])

    @property
    def extra_config(self) -> dict[str, Any]:
        return dict(self.info["extra_config"] or {})

    @property
    def consumers(self) -> Consumers:
        return _Own(self, self._connection, self._collection, self.name)

    def autoscale(
        self, max: int | None = None, min: int | None = None, nowait: bool = False
    ) -> Answer:
        """``{"max", "min"}``: as they are, or as they are once they were changed."""
        if max is None and min is None:
            return self._connection.read(self._path("autoscale/"))
        return self._act("autoscale/", nowait, {"max": max, "min": min})

    def stats(self) -> Answer:
        """Celery's ``stats`` of it, with ``supervisor`` and ``instance`` beside them.

        Raises ``Unavailable`` where the worker is silent.
        """
        secrets, timeout_s = self._connection.secrets, self._connection.timeout_s
        return self._connection.read(self._path("stats/"), secrets=secrets, timeout=timeout_s)

    def log(self, bytes: int | None = None) -> str:
        """The end of its log: 16 KiB, or as many *bytes*."""
        return self._connection.read_text(self._path("log/"), bytes=bytes)

    def enable(self, nowait: bool = False) -> Answer:
        """Have it run."""
        return self._act("enable/", nowait)

    def disable(self, nowait: bool = False) -> Answer:
        """Have it stopped, and stay so."""
        return self._act("disable/", nowait)

    def restart(self, nowait: bool = False) -> Answer:
        """A new process, when the old one has finished its tasks."""
        return self._change("POST", "restart/", nowait)

    def delete(self, nowait: bool = False, force: bool = False) -> Answer | None:
        """Stop it when it has finished its tasks, or at once by *force*, and forget it.

        ``None`` when it is gone; else the answer, with the ``reason`` why not yet.
        """
        return self._delete(nowait, {"force": force or None})


class _Own(Consumers):
    """Of an instance, which is not as it was seen once they have changed."""

    def __init__(self, of: Instance, connection: Connection, collection: str, name: str) -> None:
        super().__init__(connection, collection, name)
        self._of = of

    def add(self, queue: str | Queue, nowait: bool = False) -> Answer:
        self._of._seen = None
        return super().add(queue, nowait)

    def delete(self, queue: str | Queue, nowait: bool = False) -> Answer:
        self._of._seen = None
        return super().delete(queue, nowait)


class Instances(Section[Instance]):
    """The instances of an application, on all branches."""

    def _part(self, name: str, seen: Mapping[str, Any] | None = None) -> Instance:
        return Instance(self._connection, self._collection, name, seen)

    def add(
        self,
        name: str | None = None,
        broker: str | None = None,
        arguments: str | list[str] | None = None,
        extra_config: str | dict[str, Any] | None = None,
        pool: str | None = None,
        queues: Iterable[str | Queue] | None = None,
        max_concurrency: int | None = None,
        min_concurrency: int | None = None,
        branch: str | None = None,
        nowait: bool = False,
        *,
        config: str | dict[str, Any] | None = None,
        **rest: Any,
    ) -> Instance:
        """Make one and have it run, or edit the one of this *name*.

        Without a name it gets one of its own. ``config`` is ``extra_config``
        by its older name; *rest* is ``placement``, ``stop_timeout_s`` and
        what else the route has.
        """
        values = {
            "broker": broker,
            "arguments": arguments,
            "extra_config": _either(extra_config, config),
            "pool": pool,
            "queues": _names(queues),
            "max_concurrency": max_concurrency,
            "min_concurrency": min_concurrency,
            "branch": branch,
            **rest,
        }
        if name is not None:
            return self._put(name, nowait, values)
        path = self._collection + (NOWAIT if nowait else "")
        given = {"secrets": self._connection.secrets, **values}
        answer = self._connection.change("POST", path, given)
        return self._made(str(answer["name"]), answer)

    def delete(self, name: str, nowait: bool = False, force: bool = False) -> Answer | None:
        return self._part(name).delete(nowait, force)

    def stats(self, name: str) -> Answer:
        return self._part(name).stats()

    def autoscale(
        self, name: str, max: int | None = None, min: int | None = None, nowait: bool = False
    ) -> Answer:
        return self._part(name).autoscale(max, min, nowait)


def _name(queue: str | Queue) -> str:
    return queue.name if isinstance(queue, Queue) else queue


def _names(queues: Iterable[str | Queue] | None) -> str | list[str] | None:
    """As a list; text is as the route has it, with commas."""
    return queues if isinstance(queues, str) or queues is None else [_name(one) for one in queues]


def _either(extra_config: Any, config: Any) -> Any:
    if extra_config is not None and config is not None:
        raise Invalid("config: is extra_config by another name", "say one of them")
    return config if extra_config is None else extra_config
