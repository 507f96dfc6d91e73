"""What the pages let somebody do: their buttons and forms, read from the HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from flask.testing import FlaskClient

from cyme_supd.domain.job import Run, RunStatus, job_id, run_id
from cyme_supd.domain.ledger import observed
from tests.unit.service_support import START, World

JOB = job_id("example", "a")
RUN = run_id(JOB, START)
PAGES = (
    "",
    "apps/",
    "apps/foo/",
    "apps/foo/plan/",
    "apps/foo/orphans/",
    "branches/b1/",
    "instances/",
    "instances/foo/w1/",
    "queues/",
    "queues/foo/tasks/",
    "jobs/",
    f"jobs/{JOB}/",
    "jobs/runs/",
    f"jobs/runs/{RUN}/",
    "tasks/",
    "tasks/t1/",
    "tasks/t2/",
    "tasks/errors/",
    "tasks/refusals/",
    "decisions/",
    "audit/",
    "users/",
)
_CONTROLS = frozenset({"input", "select", "textarea"})


@dataclass
class Request:
    """A button, or a form with ``fields``; of a form ``id`` is there."""

    method: str
    path: str
    said: dict[str, str | None]
    id: str = ""
    fields: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)
    has_trial: bool = False

    def path_of(self, **names: str) -> str:
        """With the fields in its path filled in, and without its query."""
        path = self.path.partition("?")[0]
        for name, value in names.items():
            # What is left empty is no segment.
            path = path.replace(f"{{{name}}}/", value and f"{value}/")
        return path

    @property
    def optional(self) -> list[str]:
        return [name for name in self.in_path if name not in self.needed]

    @property
    def in_path(self) -> list[str]:
        return [name for name in self.fields if f"{{{name}}}" in self.path]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Request] = []
        self._form: Request | None = None
        self._id = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "details":
            self._id = said.get("id") or ""
        elif tag in ("button", "form") and "data-path" in said:
            made = Request(said["data-method"] or "", said["data-path"] or "", said)
            self.found.append(made)
            if tag == "form":
                self._form, made.id = made, self._id
        elif self._form is not None and tag == "button" and said.get("name") == "dry_run":
            self._form.has_trial = True
        elif self._form is not None and tag in _CONTROLS:
            self._form.fields.append(said["name"] or "")
            # A list has something chosen; of one that is typed the page says so.
            if "required" in said or tag == "select":
                self._form.needed.append(said["name"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


def put_a_job(client: FlaskClient, house: World) -> None:
    """With a run that has not ended."""
    entry = {"name": "a", "schedule": "R/2013-05-29T00:00:00/PT1M", "command": "sleep 10"}
    client.put("/api/category/example/", json={"jobs": [entry]})
    with house.store.writing() as tx:
        tx.add_runs([Run(RUN, JOB, "example", "a", START, RunStatus.RUNNING, START)])


def put_a_task(house: World) -> None:
    """One that has failed, and one that it had begun, which has not ended."""
    failed = observed("t1", START.timestamp(), "FAILURE", 0, name="mail.send", error="E()")
    begun = observed("t2", START.timestamp(), "STARTED", 0, name="mail.note", parent="t1")
    with house.store.recording() as tx:
        tx.observe("s", [failed, begun])


def requests_of(client: FlaskClient, pages: Iterable[str] = PAGES) -> Iterator[Request]:
    for page in pages:
        reader = _Reader()
        reader.feed(client.get(f"/admin/{page}").get_data(as_text=True))
        yield from reader.found
