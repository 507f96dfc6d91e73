"""The parameters of what is about jobs, and the shapes of what is sent and answered.

What somebody says of a job is read by the domain, which names the job and the field;
:class:`JobFields` is for those who read the contract, and a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, TypeAdapter
from typing_extensions import TypedDict

from cyme_supd.domain.jobfields import (
    MAX_ARGV,
    MAX_COMMAND,
    MAX_JITTER_S,
    MAX_JOBS,
    MAX_NAME,
    MAX_RETRIES,
    MAX_SECONDS,
)
from cyme_supd.domain.jobstore import DEFAULT_PAGE, MAX_PAGE, SORTS, JobQuery, RunQuery
from cyme_supd.domain.naming import NAME
from cyme_supd.domain.schedule import MAX_SCHEDULE
from cyme_supd.domain.span import parse_span
from cyme_supd.domain.values import instant, shown
from cyme_supd.errors import Invalid
from cyme_supd.web.params import Params
from cyme_supd.web.schemas import Change, Flag, LogQuery, Shown, Text, Whole

MAX_PREVIEW = 1000
Status = Literal[
    "queued", "running", "succeeded", "failed", "timed_out", "lost", "skipped", "cancelled"
]
_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Seconds = Annotated[int, Field(ge=1, le=MAX_SECONDS)]


class JobFields(BaseModel):
    """A job of a category: exactly one of ``command``, for a shell, and ``argv``, without one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": ["command"]}, {"required": ["argv"]}]},
    )

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    schedule: str = Field(
        min_length=1,
        max_length=MAX_SCHEDULE,
        description="An ISO 8601 repeating interval, or a cron line.",
        examples=["R/2013-05-29T00:00:00/PT1M", "30 2 * * MON-FRI"],
    )
    command: str | None = Field(None, min_length=1, max_length=MAX_COMMAND)
    argv: list[str] | None = Field(None, min_length=1, max_length=MAX_ARGV)
    routing_key: _Name = Field("cronq_jobs", description="The queue that it is run from.")
    app: _Name | None = Field(None, description="Whose broker; else the branch's own.")
    timezone: str | None = Field(None, max_length=MAX_NAME, examples=["Europe/Berlin"])
    timeout_s: _Seconds | None = None
    overlap: Literal["allow", "skip", "queue"] = "allow"
    catch_up: Literal["none", "one", "all"] = "one"
    deadline_s: _Seconds | None = None
    retries: int = Field(0, ge=0, le=MAX_RETRIES)
    jitter_s: int = Field(0, ge=0, le=MAX_JITTER_S)
    environment: dict[str, str] = Field({})
    user: str | None = None
    paused: bool = Field(False, description="Where it is not said, it stays as it is.")


class CategoryOfFile(BaseModel):
    """A category, and all the jobs it is to have."""

    model_config = ConfigDict(extra="forbid", title="Category")

    schema_uri: str = Field("", alias="$schema", description="Where this schema is.")
    category: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    jobs: list[JobFields] = Field(max_length=MAX_JOBS)


def schema_of_file() -> dict[str, Any]:
    """The JSON Schema of a file that ``cyme jobs.apply`` takes."""
    made = TypeAdapter(CategoryOfFile | list[CategoryOfFile]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Jobs", **made}


class CategoryEdit(Change):
    max_body: ClassVar[int] = 16 * 2**20

    category: Text = None
    jobs: SkipValidation[list[JobFields] | None] = Field(default=None, max_length=MAX_JOBS)
    force: Flag = None

    def given(self, name: str) -> list[Any]:
        """What is sent of each job of the category *name*."""
        if self.category not in (None, name):
            raise Invalid(f"category: {shown(self.category)} is not that of the path, {name!r}")
        if "jobs" not in self.model_fields_set:
            raise Invalid("jobs: it is missing", "an empty list takes all of them away")
        jobs: Any = [] if self.jobs is None else self.jobs
        if not isinstance(jobs, list):
            raise Invalid("jobs: a list of objects", "send them as JSON")
        return jobs


class Paged(Params):
    page: Whole = Field(default=None, ge=1, le=1_000_000)
    per_page: Whole = Field(default=None, ge=1, le=MAX_PAGE)

    @property
    def limit(self) -> int:
        return self.per_page or DEFAULT_PAGE

    @property
    def number(self) -> int:
        return self.page or 1

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.limit


class JobsQuery(Paged, Shown):
    sort: Text = None
    category_id: Text = Field(default=None, max_length=64)
    category_name: Text = Field(default=None, max_length=128)
    id: Text = Field(default=None, max_length=64)

    def query(self, more: int = 0) -> JobQuery:
        sort = self.sort or SORTS[0]
        if sort.removeprefix("-") not in SORTS:
            known = " ".join(f"{each} -{each}" for each in SORTS)
            raise Invalid(f"sort: {shown(sort)} is none", f"one of {known}")
        for name in ("category_id", "category_name", "id"):
            _check_word(name, getattr(self, name))
        return JobQuery(
            sort=sort.removeprefix("-"),
            is_descending=sort.startswith("-"),
            category=self.category_name,
            category_id=self.category_id,
            id=self.id,
            offset=self.offset,
            limit=self.limit + more,
        )


class JobQueryOne(Shown):
    next: Whole = Field(default=None, ge=0, le=MAX_PREVIEW)


class RunsQuery(Paged):
    job_id: Text = Field(default=None, max_length=64)
    status: Text = Field(default=None, max_length=128)
    category_name: Text = Field(default=None, max_length=128)
    since: Text = None
    before: Text = None

    def query(self, more: int = 0) -> RunQuery:
        for name in ("job_id", "category_name"):
            _check_word(name, getattr(self, name))
        words = [each.strip() for each in (self.status or "").split(",")]
        return RunQuery(
            job_id=self.job_id,
            statuses=tuple(dict.fromkeys(each for each in words if each)),
            category=self.category_name,
            since=None if self.since is None else instant("since", self.since),
            until=None if self.before is None else instant("before", self.before),
            offset=self.offset,
            limit=self.limit + more,
        )


class OutputQuery(LogQuery):
    begin: Whole = Field(default=None, ge=0, le=2**62)


class Pruning(Change):
    keep: Whole = Field(default=None, ge=0, le=1_000_000)
    older: Text = None

    @property
    def older_s(self) -> float | None:
        return None if self.older is None else parse_span("older", self.older)


def _check_word(name: str, value: str | None) -> None:
    # Not every database can be asked for every text.
    if value is not None and not (value.isascii() and value.isprintable()):
        raise Invalid(f"{name}: there is no such one")


# Answers


class Category(TypedDict):
    id: str
    name: str
    job_count: int


class Categories(TypedDict):
    categories: list[Category]


class CategoriesAnswer(TypedDict):
    data: Categories


class Run(TypedDict):
    """``fire_at`` is the fire time it is of; it outlives its job."""

    id: str
    job_id: str
    category_name: str
    job_name: str
    fire_at: str
    status: Status
    queued_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    exit_code: int | None
    signal: int | None
    host: str | None
    branch: str | None
    instance: str | None
    app: str | None
    is_cancelling: bool
    reason: str | None
    log_url: str | None


class Job(TypedDict):
    """``next_fire_at`` is null where none comes, or somebody holds it."""

    id: str
    name: str
    category_id: str
    category_name: str
    schedule: str
    command: str | None
    argv: list[str] | None
    routing_key: str
    app: str | None
    timezone: str | None
    timeout_s: int | None
    overlap: Literal["allow", "skip", "queue"]
    catch_up: Literal["none", "one", "all"]
    deadline_s: int | None
    retries: int
    jitter_s: int
    environment: dict[str, str]
    user: str | None
    paused: bool
    created_at: str
    next_fire_at: str | None


class JobWithRuns(Job):
    """``runs`` are the latest five, the last one first."""

    runs: list[Run]


class JobAlone(JobWithRuns):
    """``upcoming`` are the next fire times, as many as were asked for."""

    upcoming: list[str]
    schedule_in_words: str


class JobsPage(TypedDict):
    jobs: list[JobWithRuns]
    page: int
    per_page: int
    has_more: bool


class JobsAnswer(TypedDict):
    data: JobsPage


class OneJob(TypedDict):
    job: JobAlone


class JobAnswer(TypedDict):
    data: OneJob


class CategoryWithJobs(Category):
    jobs: list[Job]


class OneCategory(TypedDict):
    category: CategoryWithJobs


class CategoryAnswer(TypedDict):
    data: OneCategory


class CategoryReplaced(TypedDict):
    """The names of the jobs that were not so before."""

    status: Literal["success"]
    added: list[str]
    changed: list[str]
    removed: list[str]


class RunsPage(TypedDict):
    runs: list[Run]
    page: int
    per_page: int
    has_more: bool


class RunsAnswer(TypedDict):
    data: RunsPage


class RunEvent(TypedDict):
    at: str
    type: str
    message: str


class RunAlone(Run):
    """``output_size`` is of all that it has printed, of which not all may be kept."""

    events: list[RunEvent]
    output_size: int
    is_output_truncated: bool


class OneRun(TypedDict):
    run: RunAlone


class RunAnswer(TypedDict):
    data: OneRun


class OneRunChanged(TypedDict):
    run: Run


class RunChangedAnswer(TypedDict):
    data: OneRunChanged


class Pruned(TypedDict):
    """``is_done`` where no more are to be forgotten; else there was not the time for all."""

    runs: int
    is_done: bool


class Trouble(TypedDict):
    """A job that should have run and did not, or failed; ``run_id`` where there is a run."""

    kind: Literal["overdue", "unclaimed", "missed", "failed"]
    job_id: str
    category_name: str
    job_name: str
    run_id: str | None
    since: str
    message: str


class Troubles(TypedDict):
    troubles: list[Trouble]


class TroublesAnswer(TypedDict):
    data: Troubles
