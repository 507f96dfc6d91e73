"""Use-cases of the record of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from cyme_supd.domain.broker import Broker, parse_broker
from cyme_supd.domain.ledgerstore import Source
from cyme_supd.domain.naming import check_name
from cyme_supd.domain.spec import App
from cyme_supd.domain.tracking import DEFAULT_QUEUE, EXCHANGE, Place, place_of
from cyme_supd.service.context import Context


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
