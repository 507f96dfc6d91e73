"""What a run prints, as it prints it."""

from __future__ import annotations

from flask import Response, request

from cyme_supd.errors import Unimplemented
from cyme_supd.service import RunTail, Service
from cyme_supd.web.forwarding import is_forwarded
from cyme_supd.web.paths import raw_uri
from cyme_supd.web.streaming import event, last_id, stream

#: The id of the event that says that there is no more.
END = "end"


def follow(service: Service, id: str, size: int) -> Response:
    if is_forwarded():
        service.runs.get(id)
        # An answer to another branch is one message.
        raise Unimplemented(
            f"what run {id} prints is followed at the branch that has its job, {service.here.id}",
            f"GET {service.tails.url_here()}{raw_uri(request.environ)}",
        )
    if last_id() == END:
        # Nothing comes back for more.
        return Response(status=204)
    tail = service.runs.follow(id, last_id(), size)
    return stream(service, lambda: None if tail.is_over else _told(tail))


def _told(tail: RunTail) -> str:
    said, text = tail.more(), ""
    if said is not None:
        text = event("tail" if said.is_end else "more", "\n".join(said.lines), str(said.place))
    return text + (event(END, tail.status, END) if tail.is_over else "")
