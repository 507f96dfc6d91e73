"""``-L``: the web application on the store of one branch, without a socket."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cyme_supd.branch.logs import keep_audit
from cyme_supd.branch.wiring import make_service
from cyme_supd.client import Client
from cyme_supd.config import Config, Paths, load
from cyme_supd.domain.presence import Gathered, Peer
from cyme_supd.errors import Forbidden, Invalid, NotFound, Unavailable
from cyme_supd.store.engine import database_url, open_engine
from cyme_supd.store.repository import SqlStore
from cyme_supd.store.schema import check_schema
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings


class Nobody:
    """The other branches, where only this one's store is asked: there are none.

    What is edited here they are told by the branch, once it runs.
    """

    def peers(self) -> Mapping[str, Peer]:
        return {}

    def ask(self, branch: str, command: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        raise Unavailable(f"branch {branch!r} is not asked", "leave --local out to reach others")

    def scatter(
        self,
        command: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        branches: Collection[str] | None = None,
    ) -> Gathered:
        return Gathered()

    def cast(self, command: str, arguments: Mapping[str, Any], branch: str | None = None) -> None:
        """There is nobody to tell."""


def open_client(root: str) -> Client:
    """A client of the store of the branch on *root*, called in this thread.

    Raises ``NotFound`` where no branch was ever there, and as
    :func:`~cyme_supd.store.schema.check_schema` does.
    """
    config = open_config(root)
    keep_audit(config.paths.audit)
    settings = replace(Settings.of(config), api_rate=0)
    service = make_service(config, open_store(config), Nobody(), supervisord=0, max_waits=1)
    app = create_app(settings, service)
    return Client(f"http://127.0.0.1:{config.port}", config.local_token, wsgi=app)


def open_store(config: Config) -> SqlStore:
    """Its store, with a schema that this version knows."""
    url = database_url(config)
    if not (config.database or config.paths.database.exists()):
        raise NotFound(f"{config.root} has no database yet", "start cyme-branch on it")
    engine = open_engine(url)
    try:
        check_schema(engine)
    finally:
        engine.dispose()
    return SqlStore(url, config.broker, branch=config.id)


def open_config(root: str) -> Config:
    """The settings that a branch has left in *root*, for the user it runs as."""
    path = Path(root).resolve()
    try:
        _check_owner(path)
        return load(path)
    except FileNotFoundError:
        raise NotFound(
            f"no branch has ever run on {path}", "name its root directory with -D"
        ) from None
    except PermissionError:
        raise Unavailable(
            f"{Paths(path).config} may not be read", "ask as the user that runs the branch"
        ) from None
    except (ValueError, TypeError, AttributeError) as exc:
        raise Invalid(
            f"{Paths(path).config} is not what cyme-branch writes: {exc}",
            "start cyme-branch on it",
        ) from None


def _check_owner(root: Path) -> None:
    """Files that somebody else makes beside a database would lock its branch out."""
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise Forbidden(
            f"{root} is another user's", f"ask as the user that runs the branch, of id {owner}"
        )
