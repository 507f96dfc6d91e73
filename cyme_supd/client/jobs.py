"""Scheduled jobs, in their categories, and their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.parts import Answer

PAGE = 500


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

    @property
    def categories(self) -> list[Answer]:
        return list(self._connection.read("/api/categories/")["data"]["categories"])

    def runs(self, **wanted: Any) -> Iterator[Answer]:
        """The latest first. *wanted*: ``job_id status``."""
        return self._pages("/api/runs/", "runs", wanted)

    def run(self, id: str) -> Answer:
        """One, with its events; raises ``NotFound``."""
        return dict(self._connection.read(f"/api/runs/{segment('run', id)}/")["data"]["run"])

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
