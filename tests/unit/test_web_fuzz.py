"""Requests nobody thought of, over every route: refused or served, never a fault of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import world

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
NOUNS = ("foo", "instances", "queues", "queue", "branches", "health", "ping", "query", "!", "w1")
PARAMETERS = (
    "timeout", "max", "min", "max_concurrency", "queues", "broker", "arguments", "pool", "purge",
    "nowait", "force", "environment", "extra_config", "exchange_type", "options", "stop_timeout_s",
    "dry_run",
)  # fmt: skip

segments = st.sampled_from(NOUNS) | st.text(min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from(PARAMETERS) | st.text(max_size=12)
bodies = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.dictionaries(names, values, max_size=5).map(lambda body: json.dumps(body).encode())
)
kinds = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "text/plain", ""]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@pytest.fixture(scope="module")
def app() -> Flask:
    made = world()
    made.service.apps.put("foo", {})
    return create_app(Settings(branch="b1"), made.service)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(METHODS),
    path=st.lists(segments, max_size=6),
    query=st.dictionaries(names, st.text(max_size=12), max_size=4),
    body=bodies,
    kind=kinds,
)
def test_anything(
    method: str, path: list[str], query: dict[str, str], body: bytes, kind: str, app: Flask
) -> None:
    where = "/" + "".join(f"{quote(segment, errors='replace', safe='')}/" for segment in path)
    sent: dict[str, Any] = {"query_string": query, "data": body, "content_type": kind or None}
    # Nobody is there to act: what waits for that does not, here.
    sent["query_string"] = {**query, "timeout": query.get("timeout", "0")}
    response = app.test_client().open(where, method=method, **sent)
    # 503 is what the fakes of this test say of a broker or a branch that is not there.
    assert response.status_code < 500 or response.status_code in (501, 503), (where, response)
    if response.status_code >= 400 and method != "HEAD":
        assert set(json.loads(response.get_data())["error"]) == {"code", "message", "hint"}
