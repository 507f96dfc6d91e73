"""The OpenAPI document: whole, valid, and made from the code that serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from cyme_supd.errors import CymeError
from cyme_supd.web import openapi, words
from cyme_supd.web.app import create_app
from cyme_supd.web.operations import operations
from cyme_supd.web.settings import Settings
from cyme_supd.web.statuses import ANSWERS, BODIES
from tests.unit.contract_support import the_document
from tests.unit.service_support import world

#: Of people's pages; programs have no use for them.
NOT_SAID = {("GET", "/api/docs.css")}
VERBS = {"GET", "PUT", "POST", "DELETE", "PATCH"}

Said = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Said:
    return the_document()


@pytest.fixture
def app() -> Flask:
    return create_app(Settings(branch="b1"), world().service)


def described(document: Said) -> Iterator[tuple[str, str, Said]]:
    for path, item in document["paths"].items():
        for verb, said in item.items():
            if verb != "parameters":
                yield verb.upper(), path, said


def not_said(document: Said, app: Flask) -> set[tuple[str, str]]:
    """What *app* answers and *document* lacks; every form of a route is the route."""
    served = {
        (verb, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule).replace("{rest}", "{url}"))
        for rule in app.url_map.iter_rules()
        if not rule.rule.startswith("/admin/")
        for verb in (rule.methods or set()) & VERBS
        # All that is asynchronous changes something.
        if not ("/!/" in rule.rule and rule.methods == {"GET", "HEAD", "OPTIONS"})
    }
    plain = {
        (verb, path.replace("/!/", "/").replace("/instance/", "/instances/"))
        for verb, path in served
    }
    return plain - {(verb, path) for verb, path, _ in described(document)} - NOT_SAID


def unsummarized(document: Said) -> list[str]:
    return [f"{verb} {path}" for verb, path, said in described(document) if not said["summary"]]


def test_every_route_is_in_it(document: Said, app: Flask) -> None:
    assert not_said(document, app) == set()


def test_a_route_that_is_not(document: Said, app: Flask) -> None:
    app.add_url_rule("/<app>/news/", "news", lambda app: app, methods=["GET"])
    assert not_said(document, app) == {("GET", "/{app}/news/")}
    assert openapi.missing(app) == [
        "GET /<app>/news/: cyme_supd/web/words.py does not say what it does",
        "GET /<app>/news/: cyme_supd/web/statuses.py does not say what it answers",
    ]
    with pytest.raises(LookupError, match="GET /<app>/news/"):
        openapi.document(app)


def test_every_operation_has_a_summary(document: Said) -> None:
    assert unsummarized(document) == []


def test_an_operation_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(words.ROUTES, "GET /<app>/plan/", "")
    assert unsummarized(the_document()) == ["GET /{app}/plan/"]


def test_it_is_valid(document: Said) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_one_that_is_not(document: Said) -> None:
    broken = {**document, "paths": {"/{app}/": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors()) != []


def test_what_is_described_is_there(app: Flask) -> None:
    keys = {each.key for each in operations(app)}
    assert ANSWERS.keys() == keys
    assert BODIES.keys() <= keys


def test_each_form_of_a_route_is_one_operation(document: Said) -> None:
    forms = [path for path in document["paths"] if "!" in path or "/instance/" in path]
    assert forms == []
    said = document["paths"]["/{app}/instances/{name}/"]["delete"]
    assert said["x-asynchronous"] == "/{app}/instances/!/{name}/"
    assert "Also: `/{app}/instance/{name}/`" in said["description"]


def test_operations_have_names_of_their_own(document: Said) -> None:
    names = [said["operationId"] for _, _, said in described(document)]
    assert len(names) == len(set(names))


def test_every_parameter_is_described(document: Said) -> None:
    for verb, path, said in described(document):
        for each in [*document["paths"][path]["parameters"], *said["parameters"]]:
            assert each["description"], f"{each['name']} of {verb} {path}"


def test_a_parameter_in_all_its_places(document: Said) -> None:
    said = document["paths"]["/{app}/instances/{name}/autoscale/"]["post"]
    (most,) = [each for each in said["parameters"] if each["name"] == "max"]
    assert (most["in"], most["schema"]) == ("query", {"type": "integer"})
    assert {
        media: each["schema"]["$ref"].rpartition("/")[2]
        for media, each in said["requestBody"]["content"].items()
    } == {"application/json": "Limits", "application/x-www-form-urlencoded": "LimitsForm"}
    shape = document["components"]["schemas"]["Limits"]
    assert shape["properties"]["max"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert shape["additionalProperties"] is False


def test_the_codes_of_errors(document: Said) -> None:
    def codes(error: type[CymeError]) -> set[str]:
        return {error.code}.union(*map(codes, error.__subclasses__()))

    assert set(document["components"]["schemas"]["Error"]["properties"]["code"]["enum"]) == codes(
        CymeError
    )


def test_a_change_may_answer_its_plan(document: Said) -> None:
    answers = document["paths"]["/{app}/restart/"]["post"]["responses"]
    shape = answers["200"]["content"]["application/json"]["schema"]
    assert shape == {"$ref": "#/components/schemas/Plan"}
    assert {"202", "408", "409"} <= answers.keys()


def test_it_is_served(app: Flask, document: Said) -> None:
    with app.test_client() as client:
        for slash in ("", "/"):
            answer = client.get(f"/api/openapi.json{slash}")
            assert (answer.status_code, answer.get_json()) == (200, document)
        below = client.get("/api/openapi.json", environ_overrides={"SCRIPT_NAME": "/cyme"})
    assert below.get_json()["servers"] == [{"url": "/cyme"}]


def test_it_is_made_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.test_client() as client:
        first = client.get("/api/openapi.json").get_data()
        monkeypatch.setattr(words, "RULES", "others")
        assert client.get("/api/openapi.json").get_data() == first
