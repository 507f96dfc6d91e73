"""What was measured over the last hours: of the branch, its apps, queues and instances. Pure.

Every branch measures at the same moments, by the clock on the wall, so that
what several of them have seen is put together moment by moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cyme_supd.domain.status import Answer

#: Seconds from one sample to the next; of older ones there is one each :data:`COARSE_S`.
STEP_S, COARSE_S = 30, 300
FINE_FOR, KEPT_FOR = timedelta(hours=2), timedelta(hours=24)
#: A longer silence is a gap, and no line is drawn over it.
GAP_S = 2 * COARSE_S + STEP_S

#: Of what is told of one moment: what many branches have seen is the most of it, or all of it.
_MOST, _ALL = ("depth", "oldest_s"), ("per_s", "running", "processes", "most")
COLUMNS = (*_MOST, *_ALL)
#: By column, as long as ``at``, which has epoch seconds.
Series = Mapping[str, Sequence[float | None]]
_Rows = dict[int, dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class Point:
    """How something was at one moment; ``None`` is not known, or no question of it.

    ``begun`` counts tasks, from some moment on, which another process of the
    branch begins anew. ``running`` are the tasks under way, ``processes`` what
    the pools have, ``most`` what they may have.
    """

    depth: float | None = None
    oldest_s: float | None = None
    begun: float | None = None
    running: float | None = None
    processes: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a branch has seen of one app at one moment, and of all apps where that is ``""``."""

    at: datetime
    app: str
    whole: Point
    queues: Mapping[str, Point] = field(default_factory=dict)
    instances: Mapping[str, Point] = field(default_factory=dict)

    @property
    def is_coarse(self) -> bool:
        """Whether it is one of those that are kept for longer."""
        return int(self.at.timestamp()) % COARSE_S == 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Of what samples are wanted: a queue or an instance of an app, the app, or all."""

    app: str = ""
    queue: str | None = None
    instance: str | None = None


def point_of(sample: Sample, subject: Subject) -> Point | None:
    if subject.queue is not None:
        return sample.queues.get(subject.queue)
    if subject.instance is not None:
        return sample.instances.get(subject.instance)
    return sample.whole


#: In the order of time, by branch.
Found = Mapping[str, Sequence[tuple[datetime, Point]]]


class Sampled(Protocol):
    def samples(self, subject: Subject, since: datetime) -> Found: ...


class SampledEdit(Protocol):
    def save_samples(self, branch: str, samples: Iterable[Sample]) -> None:
        """Those of a moment that has some already take their place."""

    def remove_samples(self, branch: str, now: datetime) -> None:
        """Forget what is too old to be kept, and of the branch what is too fine for its age."""


def moment(now: datetime) -> datetime:
    """The one at or before *now* at which all branches measure."""
    return datetime.fromtimestamp(now.timestamp() // STEP_S * STEP_S, UTC)


@dataclass(frozen=True, slots=True)
class Begun:
    """How many tasks an instance has begun, whichever process it was."""

    pid: int
    started: int
    total: float = 0.0


def begun(before: Begun | None, answer: Answer) -> Begun | None:
    """With what *answer* says; ``None`` where it does not say."""
    if answer.started is None:
        return before
    if before is None:
        # What it did when nobody looked is no work of this moment.
        return Begun(answer.pid, answer.started)
    is_same = before.pid == answer.pid and before.started <= answer.started
    fresh = answer.started - before.started if is_same else answer.started
    return Begun(answer.pid, answer.started, before.total + fresh)


def together(points: Iterable[Point]) -> Point:
    """One for many that have nothing in common."""
    known = list(points)

    def total(name: str) -> float | None:
        values = [value for each in known if (value := getattr(each, name)) is not None]
        return sum(values) if values else None

    ages = [each.oldest_s for each in known if each.oldest_s is not None]
    names = ("depth", "begun", "running", "processes", "most")
    return Point(oldest_s=max(ages, default=None), **{name: total(name) for name in names})


def series(points: Sequence[tuple[datetime, Point]]) -> Series:
    """What one branch has measured, with empty moments where it has not."""
    rows: _Rows = {}
    before: tuple[int, Point] | None = None
    for moment, point in points:
        at = int(moment.timestamp())
        if before is not None and at - before[0] > GAP_S:
            rows[before[0] + STEP_S] = {}
            before = None
        told: dict[str, float | None] = {
            name: getattr(point, name) for name in COLUMNS if name != "per_s"
        }
        rows[at] = {**told, "per_s": _rate(before, at, point)}
        before = (at, point)
    return _columns(rows)


def _rate(before: tuple[int, Point] | None, at: int, point: Point) -> float | None:
    if before is None or before[1].begun is None or point.begun is None:
        return None
    count = point.begun - before[1].begun
    return None if count < 0 else round(count / (at - before[0]), 3)


def combined(parts: Iterable[Series]) -> Series:
    """As one, up to the last moment of which all have told that tell still."""
    known = [part for part in parts if part["at"]]
    if len(known) < 2:
        return known[0] if known else _columns({})
    ends = [part["at"][-1] or 0.0 for part in known]
    end = min(each for each in ends if each >= max(ends) - 2 * STEP_S)
    rows: _Rows = {}
    for part in known:
        for number, at in enumerate(part["at"]):
            if at is not None and at <= end:
                row = rows.setdefault(int(at), {})
                for name in COLUMNS:
                    row[name] = _joined(name, row.get(name), part[name][number])
    return _columns(rows)


def _joined(name: str, one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other) if name in _MOST else one + other


def _columns(rows: _Rows) -> Series:
    ats = sorted(rows)
    return {"at": ats, **{name: [rows[at].get(name) for at in ats] for name in COLUMNS}}
