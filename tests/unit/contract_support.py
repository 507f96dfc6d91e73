"""The OpenAPI document, and whether an answer is what it says."""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from cyme_supd.web import openapi
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import world

JSON = "application/json"


def the_document() -> dict[str, Any]:
    return openapi.document(create_app(Settings(branch="b1"), world().service))


class Contract:
    """*document*, by which answers are judged; what it does not name they may not have."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.components = _closed(document["components"])

    def operation(self, path: str) -> str:
        """The path of the document that *path* is one of."""
        fits = [known for known in self.document["paths"] if _pattern(known).fullmatch(path)]
        return min(fits, key=lambda known: known.count("{"))

    def complaints(self, method: str, path: str, answer: TestResponse) -> list[str]:
        """What is not as the document says."""
        said = self.document["paths"][self.operation(path)][method.lower()]["responses"]
        if str(answer.status_code) not in said:
            return [f"{answer.status_code} is not said"]
        told = said[str(answer.status_code)]
        if "$ref" in told:
            told = self.document["components"]["responses"][str(answer.status_code)]
        if answer.mimetype not in told["content"]:
            return [f"{answer.mimetype} is not said"]
        if answer.mimetype != JSON:
            return []
        return self.of_value(told["content"][JSON]["schema"], answer.get_json())

    def of_value(self, schema: dict[str, Any], value: Any) -> list[str]:
        judge = Draft202012Validator({**schema, "components": self.components})
        return [f"{error.json_path}: {error.message}" for error in judge.iter_errors(value)]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join(_part(each) for each in re.split(r"({\w+})", path)) + "?")


def _part(text: str) -> str:
    if not text.startswith("{"):
        return re.escape(text)
    return ".+" if text == "{url}" else "[^/]+"


def _closed(schema: Any) -> Any:
    """*schema*, whose objects have no more than what it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _closed(value) for name, value in schema.items()}
    if isinstance(kept.get("properties"), dict):
        kept.setdefault("additionalProperties", False)
    return kept
