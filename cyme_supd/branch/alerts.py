"""Tells a webhook what begins to be wrong, and that it is over."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cyme_supd.branch.meter import Meter
from cyme_supd.branch.webhook import Webhook
from cyme_supd.clock import Clock
from cyme_supd.config import Config, write_private
from cyme_supd.domain import alerts
from cyme_supd.domain.alerts import Alert, Found, Key
from cyme_supd.domain.mailbox import Presence
from cyme_supd.domain.ports import Store
from cyme_supd.errors import CymeError, Unavailable
from cyme_supd.service.troubles import troubles

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
#: After this the branch has heard of everybody who lives.
SETTLED_AFTER_S = 60.0
#: Messages in one round: many instances may fall ill at once.
MOST_WORDS = 50
LONGEST_PAUSE_S = 300.0


class AlertFile:
    """``alerts.json`` in the root: what the webhook was told last, and not that it is over::

        {"webhook": sha256 of its URL,
         "told": [{"kind": ..., "subject": ..., "message": ..., "since": ISO 8601}, ...]}

    Another webhook has been told nothing.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._digest = hashlib.sha256(url.encode()).hexdigest()

    def read(self) -> dict[Key, Alert]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["webhook"] != self._digest:
                return {}
            told = [alerts.from_dict(each) for each in content["told"]]
        except FileNotFoundError:
            return {}
        except (OSError, KeyError, RecursionError, TypeError, ValueError) as exc:
            log.warning("%s is not used: %r", self._path, exc)
            return {}
        return {alert.key: alert for alert in told}

    def write(self, told: dict[Key, Alert]) -> None:
        content = {"webhook": self._digest, "told": [alerts.as_dict(one) for one in told.values()]}
        try:
            write_private(self._path, json.dumps(content).encode())
        except OSError as exc:
            # After a restart some of it would be told again.
            log.warning("%s is not written: %s", self._path, exc.strerror)


class Alerts:
    """A thread of its own, that nobody waits for: a webhook may hang.

    *look* says what there is, ``None`` where that is not known now; *post*
    raises ``Unavailable`` where a message was not taken. Each is posted until
    it is taken, less and less often; what begins and ends meanwhile is not
    told. Killed in the middle of a round, the branch tells that once more.
    """

    def __init__(
        self,
        look: Callable[[], Found | None],
        post: Callable[[bytes], None],
        file: AlertFile,
        branch: str,
        clock: Clock,
    ) -> None:
        self._look = look
        self._post = post
        self._file = file
        self._branch = branch
        self._clock = clock
        self._told = file.read()
        self._failures = 0

    def start(self, stop: threading.Event) -> None:
        threading.Thread(target=self._run, args=(stop,), name="alerts", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        pause_s = LOOK_EVERY_S
        while not stop.wait(pause_s):
            try:
                pause_s = self.look()
            except Exception:
                log.exception("alerts are not told")
                pause_s = LONGEST_PAUSE_S

    def look(self) -> float:
        """One round; in how many seconds the next one is due."""
        found = self._look()
        if found is None:
            return LOOK_EVERY_S
        before = dict(self._told)
        try:
            for word in alerts.words(self._told, found)[:MOST_WORDS]:
                self._tell(word)
        except Unavailable as exc:
            self._failures += 1
            log.log(logging.WARNING if self._failures == 1 else logging.DEBUG, "%s", exc)
            return min(LONGEST_PAUSE_S, LOOK_EVERY_S * 2.0 ** min(self._failures, 10))
        finally:
            if self._told != before:
                self._file.write(self._told)
        if self._failures:
            log.info("the alert webhook takes alerts again")
        self._failures = 0
        return LOOK_EVERY_S

    def _tell(self, word: alerts.Word) -> None:
        said = alerts.message(word, self._branch, self._clock.now())
        self._post(json.dumps(said).encode())
        if word.is_over:
            del self._told[word.alert.key]
        else:
            self._told[word.alert.key] = word.alert


@dataclass(frozen=True, slots=True)
class Looking:
    """What there is to tell of a branch, from what it has seen itself."""

    config: Config
    store: Store
    meter: Meter
    presence: Presence
    clock: Clock
    is_acting: Callable[[], bool]
    began_at: float

    def look(self) -> Found | None:
        """``None`` where the branch has not looked yet, or its store cannot be read."""
        if not self.is_acting():
            return None
        here, now = self.config.id, self.clock.now()
        try:
            with self.store.reading() as view:
                statuses, apps = list(view.statuses(here).values()), view.app_names()
                jobs = troubles(view, now)
        except CymeError:
            return None
        is_settled = self.clock.monotonic() - self.began_at >= SETTLED_AFTER_S
        return alerts.together(
            [
                alerts.of_instances(statuses, now),
                alerts.of_branches(self.presence.peers(), here, now, is_settled),
                *self._of_queues(now),
                alerts.of_orphans(apps, self.meter.orphans, now),
                alerts.of_jobs(jobs),
            ]
        )

    def _of_queues(self, now: datetime) -> list[Found]:
        points = self.meter.queues(self.clock.monotonic())
        depths = {queue: point.depth for queue, point in points.items()}
        ages = {queue: point.oldest_s for queue, point in points.items()}
        return [
            alerts.of_queues(depths, self.config.alert_depth, now),
            alerts.of_ages(ages, self.config.alert_age, now),
        ]


def alerts_of(
    config: Config,
    store: Store,
    meter: Meter,
    presence: Presence,
    clock: Clock,
    is_acting: Callable[[], bool],
) -> Alerts | None:
    """Where the settings name a webhook."""
    url = config.alert_webhook
    if not url:
        return None
    looking = Looking(config, store, meter, presence, clock, is_acting, clock.monotonic())
    file = AlertFile(config.paths.alerts, url)
    return Alerts(looking.look, Webhook(url).post, file, config.id, clock)
