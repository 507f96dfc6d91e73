"""What a command wants, and the branch that it asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cyme_supd.cli.rooted import local_token
from cyme_supd.client import Client
from cyme_supd.client.calls import segment
from cyme_supd.config import DEFAULT_ROOT
from cyme_supd.errors import Invalid

STORED = "it is stored; the branch does it as soon as it runs"


@dataclass
class Wanted:
    """The options that all commands share, and the client that is to be asked.

    ``client`` is made when the first request is; a test hands in its own.
    """

    app: str | None = None
    nowait: bool = False
    format: str | None = None
    local: bool = False
    instance_dir: str = DEFAULT_ROOT
    url: str | None = None
    broker: str | None = None
    loglevel: str = "WARNING"
    logfile: str | None = None
    given: Client | None = field(default=None, repr=False)

    @cached_property
    def client(self) -> Client:
        if self.given is not None:
            return self.given
        if self.local:
            # The store, the service and the web application: no other command needs them.
            from cyme_supd.cli.local import open_client

            return open_client(self.instance_dir)
        return Client(self.url, local_token(self.url, (self.instance_dir, ".")))

    @property
    def its_app(self) -> str:
        """The app of what is in an app; raises ``Invalid`` where none is named."""
        if not self.app:
            raise Invalid("it needs an app", "name one: cyme -a APP ...")
        return self.app

    # Asking

    def names(self, *collection: str) -> list[str]:
        return list(self.client.request("GET", path(collection)))

    def read(self, collection: Sequence[str], *rest: str, **params: Any) -> Any:
        return self.client.request("GET", path(collection, *rest), **params)

    def change(self, method: str, collection: Sequence[str], *rest: str, **params: Any) -> Any:
        """The answer, once it is observed; when it is stored where nobody is to wait."""
        form = ("!",) if self.nowait or self.local else ()
        answer = self.client.request(method, path((*collection, *form), *rest), **params)
        if self.local and list(answer) == ["name"]:
            return {**answer, "converged": False, "reason": STORED}
        return answer

    # Where things are

    @property
    def instances(self) -> tuple[str, ...]:
        return (self.its_app, "instances")

    @property
    def queues(self) -> tuple[str, ...]:
        return (self.its_app, "queues")


APPS: tuple[str, ...] = ()
BRANCHES = ("branches",)
USERS = ("api", "users")
TOKENS = ("api", "tokens")


def path(collection: Sequence[str], *rest: str) -> str:
    """*rest* below *collection*, each as one segment, whatever is in it."""
    parts = [each if each == "!" else segment("name", each) for each in collection]
    parts += [segment("name", each) for each in rest]
    return "/" + "".join(f"{part}/" for part in parts)
