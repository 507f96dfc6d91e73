"""Requests that the OpenAPI document allows, and some that it does not, over every operation.

``make fuzz`` makes many more of them: CYME_FUZZ_EXAMPLES for each operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cyme_supd.domain.task import UrlRequest
from cyme_supd.errors import CymeError
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.contract_support import the_document
from tests.unit.url_support import with_a_queue

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXAMPLES = int(os.environ.get("CYME_FUZZ_EXAMPLES", "5"))
SEED = int(os.environ.get("CYME_FUZZ_SEED", "20260102"))
#: What is not there, and what has no answer in time, is told by these.
HONEST = {501, 502, 503, 504}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
REQUEST = UrlRequest("GET", "http://shop.example/", (), b"")
#: All but the one that the document itself comes from, which schemathesis leaves out.
OPERATIONS = sorted(
    f"{verb.upper()} {path}"
    for path, item in the_document()["paths"].items()
    for verb in item
    if verb != "parameters" and path != "/api/openapi.json"
)


class Served:
    """The application of the test at hand, in whose house there is something to ask for."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.house = with_a_queue()
        self.house.questions.answer = {"pid": 1000}
        self._app = create_app(Settings(branch="b1"), self.house.service)
        self.furnish()
        (self.task,) = self.house.service.tasks.queue_all("foo", "tasks", [REQUEST])

    def furnish(self) -> None:
        """Put back what an example has deleted, as far as it lets us."""
        service = self.house.service
        with suppress(CymeError):
            service.apps.put("foo", {})
            service.queues.put("foo", "tasks", {})
            service.instances.put("foo", "w1", {"queues": ["tasks"]}, 1)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


@pytest.fixture(scope="module")
def operations(served: Served) -> dict[str, Any]:
    """Those of the document that is served, by verb and path."""
    found: Any = from_wsgi("/api/openapi.json", served).get_all_operations()
    return {each.ok().label: each.ok() for each in found}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation(label: str, served: Served, operations: dict[str, Any]) -> None:
    served.renew()
    examine(operations[label], served)


def test_a_fault_is_found(
    served: Served, operations: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(app: str) -> None:
        raise ZeroDivisionError(f"a fault of ours, in {app}")

    served.renew()
    monkeypatch.setattr(served.house.service.plans, "get", fail)
    with pytest.raises(AssertionError, match=r"curl -X GET .*/plan/"):
        examine(operations["GET /{app}/plan/"], served)


def examine(operation: Any, served: Served) -> None:
    """Ask for *operation* again and again; raise for an answer that is not honest."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, served.task))
    def run(case: Case[Any]) -> None:
        served.furnish()
        answer = case.call()
        assert answer.status_code < 500 or answer.status_code in HONEST, case.as_curl_command()
        case.validate_response(answer, checks=CHECKS)

    run()


def cases(operation: Any, task: str) -> st.SearchStrategy[Case[Any]]:
    """Requests for *operation*: most about what is there, some not as they should be."""
    item = operation.schema.raw_schema["paths"][operation.path]
    there = {each["name"]: each["example"] for each in item["parameters"]}
    if "/query/" in operation.path:
        there["id"] = task
    about_it = operation.as_strategy(path_parameters=there)
    kinds = [operation.as_strategy(), about_it, about_it]
    if operation.query or operation.body:
        kinds.append(operation.as_strategy(GenerationMode.NEGATIVE, path_parameters=there))
    return st.one_of(kinds)
