"""Requests to queue URLs, put to the WSGI application as a server hands them over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.domain.target import Policy
from cyme_supd.domain.task import UrlRequest
from tests.unit.service_support import HERE, World, world

OWN_PORT = 8000
TARGETS = Policy(is_loopback_allowed=True, ports=(OWN_PORT,))


def with_a_queue(name: str = "tasks") -> World:
    made = world(replace(HERE, task_key=b"k" * 32, targets=TARGETS))
    made.service.apps.put("foo", {})
    made.service.queues.put("foo", name, {})
    return made


def ask(client: FlaskClient, uri: str, method: str = "GET", **given: Any) -> TestResponse:
    """Send *uri* just as it is in the request line."""
    path, _, query = uri.partition("?")
    line = {
        "RAW_URI": uri,
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
    }
    line.update(given.pop("environ", {}))
    return client.open("/", method=method, environ_overrides=line, **given)


def the_one(house: World) -> UrlRequest:
    (request,) = house.publisher.sent()
    return request


def error(response: TestResponse) -> dict[str, str]:
    found = json.loads(response.get_data())["error"]
    assert set(found) == {"code", "message", "hint"}
    return dict(found)
