"""Scheduled jobs, in their categories, and their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import sleep
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import Answer

PAGE = 500
#: Bytes of what a run has printed.
CHUNK = 16384


class Jobs:
    """It iterates as all jobs there are, each as the branch tells of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __iter__(self) -> Iterator[Answer]:
        return self.find()

    def find(self, **wanted: Any) -> Iterator[Answer]:
        """*wanted*: ``category_name category_id id sort``; page by page, as far as taken."""
        secrets = self._connection.secrets
        return self._pages("/api/jobs/", "jobs", {"secrets": secrets, **wanted})

    def get(self, id: str, next: int | None = None) -> Answer:
        """One, with its *next* fire times; raises ``NotFound``."""
        params = {"next": next, "secrets": self._connection.secrets}
        found = self._connection.read(f"/api/jobs/{segment('job', id)}/", **params)
        return dict(found["data"]["job"])

    def apply(self, category: str, jobs: Sequence[Any], force: bool = False) -> Answer:
        """Have the category consist of these, all or none; what was not so before comes back."""
        given = {"jobs": list(jobs), "force": force or None}
        return self._connection.change("PUT", self._category(category), given)

    def delete(self, category: str) -> None:
        """Remove a category with its jobs; their runs stay. Raises ``NotFound``."""
        self._connection.change("DELETE", self._category(category))

    def pause(self, id: str) -> Answer:
        """Hold it until somebody resumes it."""
        return self._tell(id, "pause")

    def resume(self, id: str) -> Answer:
        """Have it go on, from its next fire time on."""
        return self._tell(id, "resume")

    def run_now(self, id: str) -> Answer:
        """Run it once, now; the run comes back. ``Conflict`` where it overlaps and may not."""
        where = f"/api/jobs/{segment('job', id)}/run/"
        return dict(self._connection.change("POST", where)["data"]["run"])

    def troubles(self) -> list[Answer]:
        """The jobs that should have run and did not, and those that failed."""
        return list(self._connection.read("/api/jobs/troubles/")["data"]["troubles"])

    @property
    def categories(self) -> list[Answer]:
        return list(self._connection.read("/api/categories/")["data"]["categories"])

    def runs(self, **wanted: Any) -> Iterator[Answer]:
        """The latest first. *wanted*: ``job_id status category_name since before``.

        Several of ``status`` have commas between them.
        """
        return self._pages("/api/runs/", "runs", wanted)

    def run(self, id: str) -> Answer:
        """One, with its events; raises ``NotFound``."""
        return dict(self._connection.read(f"/api/runs/{segment('run', id)}/")["data"]["run"])

    def output(self, id: str, begin: int | None = None, size: int | None = None) -> str:
        """The end of what a run printed, or *size* bytes from *begin* on."""
        where = f"/api/runs/{segment('run', id)}/output/"
        return self._connection.read_text(where, begin=begin, bytes=size)

    def follow(self, id: str, size: int | None = None, every_s: float = 0.5) -> Iterator[str]:
        """The same, then what comes, until the run has ended; the branch is asked *every_s*.

        What is told only after it has ended may come some seconds later.
        """
        where, begin, has_ended = f"/api/runs/{segment('run', id)}/output/", None, False
        while not has_ended:
            has_ended = self.run(id)["finished_at"] is not None
            has_more = True
            while has_more:
                text, told = self._connection.read_part(where, begin=begin, bytes=size or CHUNK)
                last, length = (int(each) for each in told.rpartition("-")[2].split("/"))
                has_more = last < length and last != begin
                # Tried again, it has begun anew.
                begin = last if begin is None or last >= begin else 0
                if text:
                    yield text
            if not has_ended:
                sleep(every_s)

    def cancel(self, id: str) -> Answer:
        """End a run: at once, or as soon as its runner has; ``Conflict`` where it has ended."""
        where = f"/api/runs/{segment('run', id)}/cancel/"
        return dict(self._connection.change("POST", where)["data"]["run"])

    def prune(self, keep: int | None = None, older: str | None = None) -> int:
        """Forget runs that have ended: all but the latest *keep* of each job, those *older*.

        *older* is a span, as ``90d``. How many they were comes back.
        """
        count, is_done = 0, False
        while not is_done:
            given = {"keep": keep, "older": older}
            made = self._connection.change("POST", "/api/runs/prune/", given)
            count, is_done = count + made["runs"], made["is_done"]
        return count

    def _category(self, name: str) -> str:
        return f"/api/category/{segment('category', name)}/"

    def _tell(self, id: str, word: str) -> Answer:
        where = f"/api/jobs/{segment('job', id)}/{word}/"
        return dict(self._connection.change("POST", where, is_repeatable=True)["data"]["job"])

    def _pages(self, path: str, key: str, wanted: dict[str, Any]) -> Iterator[Answer]:
        number, has_more = 1, True
        while has_more:
            data = self._connection.read(path, **{"per_page": PAGE, **wanted, "page": number})
            yield from data["data"][key]
            number, has_more = number + 1, data["data"]["has_more"]
