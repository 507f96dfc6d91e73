"""An order as a message: a task of Celery's, which runners of both kinds take."""

from __future__ import annotations

import json
from typing import Any

from cyme_supd.domain.orders import JOB_TASK, Order
from cyme_supd.domain.orders import Message as Said
from cyme_supd.domain.values import load_json
from cyme_supd.errors import Invalid
from cyme_supd.seal import Seal
from cyme_supd.workers.outgoing import Message, as_json

_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
MAX_BODY = 8 * 1024 * 1024


def order_message(seal: Seal, order: Order, origin: str) -> Message:
    """What the dispatcher puts into the job's queue, with :class:`.Outgoing`."""
    headers = {
        "lang": "py",
        "task": JOB_TASK,
        "id": order.run,
        "root_id": order.run,
        "parent_id": None,
        "group": None,
        "argsrepr": "()",
        # What people see of it at the broker and in events.
        "kwargsrepr": repr({"job": order.job}),
        "origin": origin,
        "ignore_result": True,
    }
    body = [[], {"order": seal.close(order)}, _EMBED]
    return Message(order.run, as_json(body), headers)


def order_in(message: Any) -> str:
    """The sealed order in a message that came; :exc:`Invalid` where there is none."""
    if message.headers.get("task") != JOB_TASK or len(message.body) > MAX_BODY:
        raise Invalid("a message in a queue of jobs is no order")
    body = load_json(message.body)
    try:
        order = body[1]["order"]
    except (TypeError, LookupError):
        raise Invalid("a message in a queue of jobs is no order") from None
    return str(order)


def said_message(seal: Seal, said: Said) -> Message:
    """Anything else that is said, by either side; for the queue that is named in it."""
    id = said.run
    return Message(id, json.dumps({"sealed": seal.close(said)}).encode())


def said_in(seal: Seal, body: bytes | str, kinds: tuple[type[Any], ...]) -> Any:
    """What came; :exc:`.Unsealed` or :exc:`Invalid` where nobody with the key has said it."""
    said = load_json(body)
    if not isinstance(said, dict) or not isinstance(said.get("sealed"), str):
        raise Invalid("a message between dispatcher and runner is not sealed")
    return seal.open(said["sealed"], kinds)
