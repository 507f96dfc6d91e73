"""Use-cases of the record of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyme_supd.domain.broker import Broker, parse_broker
from cyme_supd.domain.ledgerstore import (
    MAX_PAGE,
    ErrorGroup,
    Gap,
    Refusal,
    Source,
    TaskPage,
    TaskQuery,
    Tracked,
)
from cyme_supd.domain.naming import check_name, nodename
from cyme_supd.domain.ports import View
from cyme_supd.domain.spec import App
from cyme_supd.domain.tracking import DEFAULT_QUEUE, EXCHANGE, Place, place_of
from cyme_supd.errors import NotFound, Unavailable
from cyme_supd.service.context import Context

_FOR_EVER = 1e11


@dataclass(frozen=True, slots=True)
class Joining:
    """How a producer joins *app*; ``seen`` is what the record has of its platform queue."""

    app: App
    place: Place
    broker: Broker
    queues: tuple[str, ...]
    seen: Source | None

    @property
    def line(self) -> str:
        """What a Celery application needs, where its broker is set already."""
        names = ", ".join(f'"{name}"' for name in self.queues if name != DEFAULT_QUEUE)
        exchange = self.place.exchange
        other = f', task_default_exchange="{exchange}"' if exchange != EXCHANGE else ""
        return f"app.config_from_object(Config(queues=[{names}]{other}))"


@dataclass(frozen=True, slots=True)
class TaskDetails:
    """``instance`` is the one whose worker had it, as app and name; ``run`` the id of the
    run of a job that it is."""

    task: Tracked
    children: Sequence[Tracked]
    instance: tuple[str, str] | None
    run: str | None


class Tracking:
    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, name: str) -> Joining:
        check_name("app", name)
        default = self._context.here.broker
        with self._context.store.reading() as view:
            app = view.app(name)
            queues = tuple(view.queue_names(name))
            sources = {each.key: each for each in view.sources()}
        place = place_of(app, default)
        broker = parse_broker(place.broker)
        return Joining(app, place, broker, queues, sources.get(place.source))

    def find(self, query: TaskQuery) -> tuple[TaskPage, list[Gap]]:
        """A page, and the gaps that there are in what it looks at."""
        with self._context.store.reading() as view:
            page = view.tracked(query)
            return page, view.gaps(query.since or 0.0, query.until or _FOR_EVER)

    def one(self, id: str) -> TaskDetails:
        """Of several with that id the one that began last."""
        with self._context.store.reading() as view:
            task = latest(view, id)
            wanted = TaskQuery(source=task.source, parent=id, limit=MAX_PAGE)
            children = view.tracked(wanted).tasks
            worker = str(task.record.get("worker") or "")
            instance, run = _instance_here(view, worker), _run(view, id)
        return TaskDetails(task, children, instance or self._instance_elsewhere(worker), run)

    def _instance_elsewhere(self, worker: str) -> tuple[str, str] | None:
        name, _, branch = worker.partition("@")
        fleet = self._context.fleet
        if fleet.is_shared or branch not in fleet.others():
            return None
        try:
            there = fleet.find(name)
        except Unavailable:
            # The task is known whether or not somebody says that it is theirs.
            return None
        return (there.app, name) if there and there.branch == branch else None

    def errors(self, query: TaskQuery) -> list[ErrorGroup]:
        with self._context.store.reading() as view:
            return view.tracked_errors(query)

    def refusals(self, source: str | None, limit: int) -> list[Refusal]:
        """Messages that are not recorded, of one source or of all, the latest first."""
        with self._context.store.reading() as view:
            keys = [source] if source else [each.key for each in view.sources()]
            found = [each for key in keys for each in view.refusals(key, limit)]
        return sorted(found, key=lambda each: -each.at)[:limit]

    def source_of(self, app: str) -> str:
        return self.get(app).place.source


def latest(view: View, id: str) -> Tracked:
    """Of the tasks with that id, of which there is hardly ever more than one."""
    found = view.tracked_with(id)
    if not found:
        raise NotFound(f"no task {id!r} is recorded", "GET /api/tasks/ lists those that are")
    return max(found, key=lambda each: each.began_at)


def _instance_here(view: View, worker: str) -> tuple[str, str] | None:
    """Whose worker has that name; ``None`` for one that nobody has given to Cyme."""
    try:
        found = view.instance(worker.partition("@")[0])
    except NotFound:
        return None
    return (found.app, found.name) if nodename(found.name, found.branch) == worker else None


def _run(view: View, id: str) -> str | None:
    try:
        return view.run(id).id
    except NotFound:
        return None
