"""All that reads platform queues, and looks after what is recorded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from cyme_supd.clock import Clock
from cyme_supd.domain.taskmessage import Redaction
from cyme_supd.domain.tracking import Keep, Place
from cyme_supd.errors import CymeError
from cyme_supd.monitor.outcomes import Backends, Outcomes
from cyme_supd.monitor.station import Station
from cyme_supd.monitor.sweeping import Depth, Lost, Retention

log = logging.getLogger(__name__)

#: How often it is looked which applications are tracked.
PLACES_EVERY_S = 2.0
OUTCOMES_EVERY_S = 5.0
SWEEP_EVERY_S = 30.0
LOOKER, SWEEPER = "monitor", "monitor:sweep"


class Recorded(Protocol):
    """The store, as far as it matters here."""

    def reading(self) -> AbstractContextManager[Any]: ...
    def recording(self) -> AbstractContextManager[Any]: ...


class Monitor:
    """*places* says which platform queues are to be read here, as of now.

    *owner* is this monitor alone, of all that there are. Threads that have moved call
    ``beat(name)``, and one that ends ``retire(name)``.
    """

    def __init__(
        self,
        store: Recorded,
        owner: str,
        places: Callable[[], Sequence[Place]],
        backends: Backends,
        depth: Depth,
        clock: Clock,
        redaction: Redaction,
        keep: Mapping[str, Keep],
        lost_after_s: float,
        beat: Callable[[str], None],
        retire: Callable[[str], None],
    ) -> None:
        self._store = store
        self._owner = owner
        self._places = places
        self._clock = clock
        self._redaction = redaction
        self._beat = beat
        self._retire = retire
        self._stop = threading.Event()
        self._stations: dict[Place, Station] = {}
        self._outcomes = Outcomes(store.reading, store.recording, backends, redaction, clock)
        self._lost = Lost(store.reading, store.recording, clock, depth, lost_after_s)
        self._retention = Retention(store.reading, store.recording, clock, keep)

    def start(self) -> None:
        self._beat(LOOKER)
        for name, body in ((LOOKER, self._look), (SWEEPER, self._sweep)):
            threading.Thread(target=body, name=name, daemon=True).start()

    def stop(self) -> None:
        """Threads are not waited for: what they have not acknowledged comes again."""
        self._stop.set()
        for station in self._stations.copy().values():
            station.stop()

    def use(self, places: Sequence[Place]) -> None:
        """Read exactly these from now on."""
        for place in self._stations.keys() - set(places):
            station = self._stations.pop(place)
            station.stop()
            self._retire(station.name)
        for place in places:
            if place not in self._stations:
                self._stations[place] = self._station(place)
                self._stations[place].start()

    def _station(self, place: Place) -> Station:
        return Station(
            place, self._owner, self._store.recording, self._redaction, self._clock, self._beat
        )

    def _look(self) -> None:
        while not self._stop.is_set():
            self._beat(LOOKER)
            try:
                self.use(self._places())
            except CymeError as exc:
                # Those that are known are read on.
                log.warning("which applications are tracked is not known: %s", exc)
            self._stop.wait(PLACES_EVERY_S)

    def _sweep(self) -> None:
        # It shows no signs of life: a result backend may keep it waiting for as long as
        # it likes, which is no reason to end all the rest.
        next_sweep = self._clock.monotonic() + SWEEP_EVERY_S
        while not self._stop.wait(OUTCOMES_EVERY_S):
            places = list(self._stations.copy())
            try:
                self._outcomes.look(places, self._stop)
                if self._clock.monotonic() >= next_sweep:
                    next_sweep = self._clock.monotonic() + SWEEP_EVERY_S
                    self._look_after(places)
            except Exception:
                log.exception("the record of tasks is not looked after")

    def _look_after(self, places: Sequence[Place]) -> None:
        for place in places:
            try:
                self._lost.look(place)
            except CymeError as exc:
                log.warning("%s: what is lost is not looked for: %s", place.source, exc)
        self._retention.look(self._stop)
