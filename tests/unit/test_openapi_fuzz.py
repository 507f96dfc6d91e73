"""Requests that the OpenAPI document allows, and some that it does not, over every operation.

By each role, and in both forms of an operation, the one that waits and the one
that does not. ``make fuzz`` makes many more of them: CYME_FUZZ_EXAMPLES for each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cyme_supd.domain.access import OPEN, Role, needed
from cyme_supd.domain.task import UrlRequest
from cyme_supd.errors import CymeError
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.contract_support import the_document
from tests.unit.url_support import with_a_queue

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXAMPLES = int(os.environ.get("CYME_FUZZ_EXAMPLES", "2"))
SEED = int(os.environ.get("CYME_FUZZ_SEED", "20260102"))
#: What is not there, and what has no answer in time, is told by these.
HONEST = {501, 502, 503, 504}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
#: Not for them, or nothing that is read as a request for it.
REFUSED = {400, 403, 404, 405}
REQUEST = UrlRequest("GET", "http://shop.example/", (), b"")
ASYNCHRONOUS = "x-asynchronous"


def with_both_forms(document: dict[str, Any]) -> dict[str, Any]:
    """*document*, of which the asynchronous forms are operations, too."""
    paths: dict[str, dict[str, Any]] = {}
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            later = operation.get(ASYNCHRONOUS) if verb != "parameters" else None
            for form in filter(None, (path, later)):
                told = {"parameters": item["parameters"]}
                paths.setdefault(form, told)[verb] = _named(operation, form, path)
    return {**document, "paths": paths}


def _named(operation: Any, form: str, path: str) -> Any:
    if form == path or not isinstance(operation, dict):
        return operation
    return {**operation, "operationId": f"{operation['operationId']}_later"}


DOCUMENT = with_both_forms(the_document())
OPERATIONS = sorted(
    f"{verb.upper()} {path}"
    for path, item in DOCUMENT["paths"].items()
    for verb in item
    if verb != "parameters"
)


class Served:
    """The application of the test at hand, in whose house there is something to ask for."""

    def __init__(self) -> None:
        self.asked: Counter[Role] = Counter()
        self.renew()

    def renew(self) -> None:
        self.house = with_a_queue()
        self.house.questions.answer = {"pid": 1000}
        self._app = create_app(Settings(branch="b1"), self.house.service)
        self.furnish()
        access = self.house.service.access
        self.tokens = {role: access.add_token({"role": role}).text for role in Role}
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
def served() -> Iterator[Served]:
    made = Served()
    yield made
    print("requests:", ", ".join(f"{count} as {role}" for role, count in made.asked.items()))


@pytest.fixture(scope="module")
def operations(served: Served) -> dict[str, Any]:
    """All of them, by verb and path."""
    schema: Any = from_dict(DOCUMENT)
    schema.app = served
    return {each.ok().label: each.ok() for each in schema.get_all_operations()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation(label: str, role: Role, served: Served, operations: dict[str, Any]) -> None:
    served.renew()
    examine(operations[label], served, role)


def test_a_fault_is_found(
    served: Served, operations: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(app: str) -> None:
        raise ZeroDivisionError(f"a fault of ours, in {app}")

    served.renew()
    monkeypatch.setattr(served.house.service.plans, "get", fail)
    with pytest.raises(AssertionError, match=r"curl -X GET .*/plan/"):
        examine(operations["GET /{app}/plan/"], served, Role.VIEWER)


def examine(operation: Any, served: Served, role: Role) -> None:
    """Ask for *operation* again and again; raise for an answer that is not honest."""
    is_allowed = role.covers(needed_for(operation))

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES if is_allowed else (EXAMPLES + 1) // 2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, served.task))
    def run(case: Case[Any]) -> None:
        served.furnish()
        served.asked[role] += 1
        answer = case.call(headers={"Authorization": f"Bearer {served.tokens[role]}"})
        assert answer.status_code < 500 or answer.status_code in HONEST, case.as_curl_command()
        assert is_allowed or answer.status_code in REFUSED, case.as_curl_command()
        case.validate_response(answer, checks=CHECKS)

    run()


def needed_for(operation: Any) -> Role:
    route = operation.path.replace("{url}", "<path:rest>").replace("{", "<").replace("}", ">")
    return Role.VIEWER if route in OPEN else needed(operation.method.upper(), route)


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
