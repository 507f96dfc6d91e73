"""Python's way to a branch: everything its HTTP interface does, as objects.

::

    from cyme_supd.client import Client

    client = Client("http://127.0.0.1:8000")
    app = client.add("foo")
    app.queues.add("tasks")
    worker = app.instances.add("w1", queues=["tasks"])
    worker.autoscale(max=4)

What a branch refuses is raised as the error it was there, a :exc:`CymeError`
with ``code``, ``message`` and ``hint``.
"""

from cyme_supd.client.access import Tokens, Users
from cyme_supd.client.application import Application
from cyme_supd.client.calls import Incomplete
from cyme_supd.client.client import Client
from cyme_supd.client.instances import Consumers, Instance, Instances
from cyme_supd.client.queues import Queue, Queues
from cyme_supd.client.tasks import Task
from cyme_supd.errors import (
    Conflict,
    CymeError,
    Forbidden,
    Internal,
    Invalid,
    MethodNotAllowed,
    NoAnswer,
    NotFound,
    RateLimited,
    SpawnFailed,
    Timeout,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unimplemented,
    Unsupported,
)

__all__ = [
    "Application",
    "Client",
    "Conflict",
    "Consumers",
    "CymeError",
    "Forbidden",
    "Incomplete",
    "Instance",
    "Instances",
    "Internal",
    "Invalid",
    "MethodNotAllowed",
    "NoAnswer",
    "NotFound",
    "Queue",
    "Queues",
    "RateLimited",
    "SpawnFailed",
    "Task",
    "Timeout",
    "Tokens",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "Unimplemented",
    "Unsupported",
    "Users",
]
