"""The page that describes the interface: all of it, and nothing from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cyme_supd.web.app import create_app
from cyme_supd.web.reading import kind, prose
from cyme_supd.web.settings import Settings
from tests.unit.contract_support import the_document
from tests.unit.service_support import World


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


@pytest.fixture
def page(client: FlaskClient) -> TestResponse:
    return client.get("/api/docs")


def test_every_operation_is_on_it(page: TestResponse) -> None:
    text = page.get_data(as_text=True)
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    for path, item in the_document()["paths"].items():
        assert f"<code>{path}</code>" in text
        for part in item["parameters"]:
            assert f"<code>{part['name']}</code>" in text


def test_a_line_to_type(page: TestResponse) -> None:
    text = page.get_data(as_text=True)
    assert '<pre tabindex="0">curl http://localhost/foo/instances/w1/</pre>' in text
    assert "curl -X POST http://localhost/foo/instances/w1/enable/" in text
    assert "curl -X PUT http://localhost/foo/queue/tasks/ --json" in text


def test_nothing_comes_from_elsewhere(page: TestResponse) -> None:
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    text = page.get_data(as_text=True)
    assert re.findall(r"(?:src|href|action)=\"([^\"#]*)\"", text) == [
        "/api/docs.css",
        "/api/openapi.json",
    ]
    assert re.findall(r"<script|<style|\sstyle=|\son\w+=|@import|url\(", text) == []


def test_its_stylesheet(client: FlaskClient) -> None:
    sheet = client.get("/api/docs.css")
    text = sheet.get_data(as_text=True)
    assert (sheet.status_code, sheet.mimetype) == (200, "text/css")
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"@import|url\(|//", text) == []


def test_below_a_prefix(client: FlaskClient) -> None:
    page = client.get("/api/docs", environ_overrides={"SCRIPT_NAME": "/cyme"})
    text = page.get_data(as_text=True)
    assert 'href="/cyme/api/docs.css"' in text
    assert "curl http://localhost/cyme/foo/" in text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `<b>` c", "<p>a <code>&lt;b&gt;</code> c</p>"),
        ("is *seen*\nnow", "<p>is <em>seen</em> now</p>"),
        ("- one\n- two", "<ul><li>one</li><li>two</li></ul>"),
        ("first\n- one\n  more", "<p>first</p><ul><li>one more</li></ul>"),
        ("", ""),
    ],
)
def test_prose(text: str, html: str) -> None:
    assert prose(text) == html


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 1000}, "integer from 1 to 1000"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Pause"}}, "list of Pause"),
        ({}, "anything"),
    ],
)
def test_kinds(schema: dict[str, object], words: str) -> None:
    assert kind(schema) == words
