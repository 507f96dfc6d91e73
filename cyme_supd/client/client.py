"""The client: branches, applications, and whatever else a route is for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cyme_supd.client.access import Tokens, Users
from cyme_supd.client.application import Application
from cyme_supd.client.calls import segment
from cyme_supd.client.connection import Connection
from cyme_supd.client.jobs import Jobs
from cyme_supd.client.parts import Answer
from cyme_supd.client.tracked import TrackedTasks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 30.0


class Client:
    """A branch, and through it the fleet.

    *url* is ``CYME_URL``, else ``http://127.0.0.1:8000``; *token* is
    ``CYME_TOKEN``, else nobody in particular asks. A change returns when it
    is observed, which the branch waits *timeout* seconds for, at most 60;
    with ``nowait=True`` when it is stored. Passwords are masked unless
    *secrets*. With *wsgi*, such as the web application of a branch, it is
    called in this thread and no socket is opened.

    Safe to share between threads. Calls that may be sent twice are, up to
    three times, where the branch is not to be had for a moment.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        secrets: bool = False,
        *,
        wsgi: WSGIApplication | None = None,
    ) -> None:
        self._connection = Connection(
            url or os.environ.get("CYME_URL") or DEFAULT_URL,
            token or os.environ.get("CYME_TOKEN"),
            timeout,
            secrets,
            wsgi,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client: {self.url!r}>"

    @property
    def url(self) -> str:
        return self._connection.shown_url

    def request(self, method: str, path: str, /, **params: Any) -> Any:
        """The JSON that any route answers with; raises what it says is wrong.

        *path* is encoded already. *params* are the query of a GET or DELETE,
        and the JSON body of anything else; those that are ``None`` are not sent.
        """
        return self._connection.request(method, path, params)

    def close(self) -> None:
        """End its connections; the next call makes new ones."""
        self._connection.close()

    # Applications

    def get(self, app: str) -> Application:
        """The application, as it is now; raises ``NotFound``."""
        found = Application(self._connection, app)
        found.refresh()
        return found

    def add(
        self,
        name: str,
        broker: str | None = None,
        arguments: str | list[str] | None = None,
        extra_config: str | dict[str, Any] | None = None,
        nowait: bool = False,
        **rest: Any,
    ) -> Application:
        """Make an application, or edit the one there is.

        *rest* is ``celery_app``, ``directory``, ``environment`` and what else
        the route has.
        """
        made = Application(self._connection, name)
        values = {"broker": broker, "arguments": arguments, "extra_config": extra_config, **rest}
        given = {"secrets": self._connection.secrets, **values}
        answer = made._change("PUT", nowait=nowait, params=given)
        return Application(self._connection, name, answer if "created_at" in answer else None)

    def all(self) -> list[Application]:
        return [Application(self._connection, name) for name in self.all_names()]

    def all_names(self) -> list[str]:
        return list(self._connection.names("/"))

    def delete(self, app: str, force: bool = False, nowait: bool = False) -> Answer | None:
        """Forget an application: see :meth:`Application.delete`."""
        return Application(self._connection, app).delete(force, nowait)

    # Branches

    @property
    def branches(self) -> list[str]:
        """The ids of those that live."""
        return list(self._connection.names("/branches/"))

    def branch_info(self, id: str) -> Answer:
        """What a branch says of itself and its host."""
        return self._connection.read(f"/branches/{segment('branch', id)}/")

    def drain(self, branch: str, move: bool = False) -> Answer:
        """Have no new instances there; with *move* those it has go elsewhere."""
        return self._tell(branch, "drain/", {"move": move or None})

    def undrain(self, branch: str) -> Answer:
        """Have instances there again."""
        return self._tell(branch, "undrain/", {})

    def audit(self, **wanted: Any) -> list[dict[str, Any]]:
        """What was changed, by whom and from where, the newest first.

        *wanted*: ``since before actor kind app name q limit``.
        """
        said = self._connection.read("/api/audit/", **wanted)
        return list(said["data"]["events"])

    def _tell(self, branch: str, word: str, params: dict[str, Any]) -> Answer:
        path = f"/branches/{segment('branch', branch)}/{word}"
        return self._connection.change("POST", path, params, is_repeatable=True)

    # Scheduled jobs

    @property
    def jobs(self) -> Jobs:
        return Jobs(self._connection)

    # Tasks that are tracked

    @property
    def tracked(self) -> TrackedTasks:
        return TrackedTasks(self._connection)

    # Who may ask

    @property
    def users(self) -> Users:
        return Users(self._connection)

    @property
    def tokens(self) -> Tokens:
        return Tokens(self._connection)

    # Health

    def ping(self) -> Answer:
        """``{"ok": "pong"}`` from a branch that serves."""
        return self._connection.read("/ping/")

    def health(self) -> Answer:
        """``{"ok": bool}``, and how each part is; raises nothing where one is not well."""
        return self._connection.read_health("/health/")
