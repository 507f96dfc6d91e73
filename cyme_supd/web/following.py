"""A worker's log that goes on."""

from __future__ import annotations

from flask import Response, request

from cyme_supd.errors import Unimplemented
from cyme_supd.service import Service
from cyme_supd.web.forwarding import is_forwarded
from cyme_supd.web.paths import raw_uri
from cyme_supd.web.streaming import event, last_id, stream


def follow(service: Service, app: str, name: str, size: int) -> Response:
    if is_forwarded():
        # An answer to another branch is one message.
        raise Unimplemented(
            f"the log of {name} is followed at the branch that has it, {service.here.id}",
            f"GET {service.tails.url_here()}{raw_uri(request.environ)}",
        )
    tail = service.tails.follow(app, name, last_id(), size)

    def told() -> str:
        said = tail.more()
        if said is None:
            return ""
        return event("tail" if said.is_end else "more", "\n".join(said.lines), str(said.place))

    return stream(service, told)
