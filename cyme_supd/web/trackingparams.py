"""The parameters of the record of tasks, and the shapes of what is answered."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import TypedDict

from cyme_supd.domain.ledgerstore import (
    DEFAULT_PAGE,
    LOST,
    MAX_PAGE,
    TaskQuery,
    parse_cursor,
)
from cyme_supd.domain.naming import is_control
from cyme_supd.domain.tracking import STATES
from cyme_supd.domain.values import instant
from cyme_supd.errors import Invalid
from cyme_supd.web.params import Params
from cyme_supd.web.schemas import Shown, Text, Whole

_TEXTS = ("app", "name", "worker", "queue", "error", "q")


class FilterQuery(Params):
    """Which tasks are wanted."""

    app: Text = Field(default=None, max_length=128)
    name: Text = Field(default=None, max_length=255)
    state: Text = None
    worker: Text = Field(default=None, max_length=255)
    queue: Text = Field(default=None, max_length=255)
    error: Text = Field(default=None, max_length=255)
    since: Text = None
    until: str | float | None = None
    q: Text = Field(default=None, max_length=200)
    after: Text = None

    def query(self, source: str | None, limit: int = DEFAULT_PAGE) -> TaskQuery:
        """Of that source alone, or of all."""
        for name in _TEXTS:
            if any(is_control(char) for char in getattr(self, name) or ""):
                raise Invalid(f"{name}: there is a control character in it")
        if self.state not in (None, "", LOST, *STATES):
            raise Invalid(f"state: {self.state!r} is none", " ".join((*STATES, LOST)))
        return TaskQuery(
            source=source,
            name=self.name or None,
            state=self.state or None,
            worker=self.worker or None,
            queue=self.queue or None,
            error=self.error or None,
            since=_moment("since", self.since),
            until=_moment("until", self.until),
            text=self.q or None,
            after=parse_cursor(self.after) if self.after else None,
            limit=limit,
        )


class TasksQuery(FilterQuery):
    per_page: Whole = Field(default=None, ge=1, le=MAX_PAGE)

    @property
    def limit(self) -> int:
        return self.per_page or DEFAULT_PAGE


class RetryOne(Params):
    # Not Flags: left empty they would make what somebody wanted to look at.
    dry_run: bool = False
    force: bool = False


class RetryMany(FilterQuery):
    dry_run: bool = False

    def check(self) -> None:
        """Raises ``Invalid`` where nothing is said that leaves some out."""
        said = self.model_dump(exclude={"dry_run", "after", "app"})
        # One that is left empty is none.
        if all(value in (None, "") for value in said.values()):
            raise Invalid(
                "all tasks would be sent again", "say which: state=FAILURE, name=, error=, since="
            )


class Revoking(Params):
    dry_run: bool = False
    terminate: bool = False


class RefusalsQuery(Shown):
    app: Text = Field(default=None, max_length=128)
    per_page: Whole = Field(default=None, ge=1, le=MAX_PAGE)

    @property
    def limit(self) -> int:
        return self.per_page or DEFAULT_PAGE


def _moment(name: str, said: str | float | None) -> float | None:
    """Epoch seconds; None for what is not said."""
    if isinstance(said, str):
        return instant(name, said).timestamp() if said else None
    return said


class StateSpan(TypedDict):
    """When it was first and last heard of."""

    first: str
    last: str


class TrackedTask(TypedDict):
    """Null is: not known. ``source`` is the platform queue that it was seen at."""

    id: str
    source: str
    name: str | None
    state: str
    lost: str | None
    began_at: str
    queue: str | None
    worker: str | None
    args: str | None
    kwargs: str | None
    runtime: float | None
    retries: int | None
    error: str | None


class InstanceOfTask(TypedDict):
    app: str
    name: str


class WholeTask(TrackedTask):
    """``log`` is the path of the lines of its worker's that tell of it."""

    states: dict[str, StateSpan]
    root: str | None
    parent: str | None
    group: str | None
    eta: str | None
    expires: str | None
    producer: str | None
    retry_of: str | None
    result: str | None
    traceback: str | None
    children: list[TrackedTask]
    instance: InstanceOfTask | None
    log: str | None
    run: str | None


class Gap(TypedDict):
    source: str
    what: str
    since: str
    until: str
    reason: str


class RetriedTask(TypedDict):
    """``id`` is the new task's; null where it was a dry run."""

    id: str | None
    retry_of: str


class RetriedData(TypedDict):
    task: RetriedTask


class RetriedAnswer(TypedDict):
    data: RetriedData


class RetriedTasks(TypedDict):
    """``left_out`` counts by the reason those that were not sent; ``ids`` are of new tasks,
    the first hundred; ``after`` is where to go on, null where all was looked at."""

    matched: int
    sent: int
    left_out: dict[str, int]
    ids: list[str]
    after: str | None


class RetriedTasksAnswer(TypedDict):
    data: RetriedTasks


class RevokedTask(TypedDict):
    id: str
    state: str


class RevokedData(TypedDict):
    task: RevokedTask


class RevokedAnswer(TypedDict):
    data: RevokedData


class ErrorGroup(TypedDict):
    """``last`` is the id of the one that began last, at ``began_at``."""

    error: str
    count: int
    last: str
    began_at: str


class ErrorsData(TypedDict):
    errors: list[ErrorGroup]


class ErrorsAnswer(TypedDict):
    data: ErrorsData


class Refusal(TypedDict):
    """``headers`` and ``body``, its beginning, are masked for all but admins who ask for them."""

    source: str
    at: str
    reason: str
    detail: str
    content_type: str
    headers: str
    body: str


class RefusalsData(TypedDict):
    refusals: list[Refusal]


class RefusalsAnswer(TypedDict):
    data: RefusalsData


class TasksData(TypedDict):
    tasks: list[TrackedTask]


class TasksAnswer(TypedDict):
    """``after`` is where the next page goes on; null where there is none."""

    data: TasksData
    after: str | None
    gaps: list[Gap]


class TaskData(TypedDict):
    task: WholeTask


class TaskAnswer(TypedDict):
    data: TaskData
