"""The schemas of parameters, bodies and answers, from the models that read and describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any

from pydantic import TypeAdapter

from cyme_supd.errors import CymeError
from cyme_supd.web import answers, findings
from cyme_supd.web.operations import Operation
from cyme_supd.web.parameterwords import PARAMETERS
from cyme_supd.web.params import Params
from cyme_supd.web.schemas import Change, Nothing
from cyme_supd.web.statuses import ANSWERS, BODIES, TEXTS

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"


class Shapes:
    """Schemas for *found*; ``components`` are those that the others refer to."""

    def __init__(self, found: Iterable[Operation]) -> None:
        kinds = dict(_kinds(found))
        made, rest = TypeAdapter.json_schemas(
            [(key, "validation", TypeAdapter(kind)) for key, kind in kinds.items()],
            ref_template=_REF,
        )
        self._made: dict[str, Schema] = {key: _tidy(schema) for (key, _), schema in made.items()}
        self.components: dict[str, Schema] = {
            name: _tidy(schema) for name, schema in rest.get("$defs", {}).items()
        }
        self.components["Error"]["properties"]["code"]["enum"] = sorted(_codes(CymeError))
        for key, kind in kinds.items():
            if isinstance(kind, type) and issubclass(kind, Params):
                self._add_form(str(key))

    def fields(self, params: type[Params] | None) -> Mapping[str, Schema]:
        """Of a query or a form with *params*: the schema of each."""
        if params is None or params is Nothing:
            return {}
        found: Mapping[str, Schema] = self.components[f"{params.__name__}Form"]["properties"]
        return found

    def answer(self, operation: Operation, status: int) -> Schema:
        return self._made[f"{operation.key} {status}"]

    def body(self, operation: Operation) -> Schema:
        """Of one whose body is no parameters."""
        return self._made[f"{operation.key} body"]

    def _add_form(self, model: str) -> None:
        shape = self.components[model]
        for name, field in shape["properties"].items():
            field["description"] = plain(PARAMETERS.get(name, ""))
        fields = {name: _as_text(field) for name, field in shape["properties"].items()}
        self.components[f"{model}Form"] = {**shape, "properties": fields}


def statuses(operation: Operation) -> Mapping[int, Any]:
    """What *operation* answers where it goes well; a change, with the plan of a dry run."""
    said = ANSWERS[operation.key]
    params = operation.params
    if params is None or not issubclass(params, Change):
        return said
    return {**said, 200: said[200] | findings.Plan if 200 in said else findings.Plan}


def plain(text: str) -> str:
    """Of reStructuredText what this code's words have of it, as CommonMark."""
    return text.replace("``", "`")


def _kinds(found: Iterable[Operation]) -> Iterable[tuple[str, Any]]:
    yield "Refused", answers.Refused
    for each in found:
        if each.params is not None and each.params is not Nothing:
            yield each.params.__name__, each.params
        if each.key in BODIES:
            yield f"{each.key} body", BODIES[each.key]
        for status, kind in statuses(each).items():
            if kind not in TEXTS:
                yield f"{each.key} {status}", kind


def _tidy(schema: Any) -> Any:
    """Without the titles that only say the name again, and in CommonMark."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidy(value) for name, value in schema.items() if not _is_title(name, value)}
    if isinstance(kept.get("description"), str):
        kept["description"] = plain(" ".join(kept["description"].split()))
    return kept


def _is_title(name: str, value: Any) -> bool:
    return name == "title" and isinstance(value, str)


def _as_text(schema: Schema) -> Schema:
    """What of a field's *schema* a query or a form can say: no null, and no object."""
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") not in ("null", "object")]
    if len(kinds) < 2:
        return {**rest, **(kinds[0] if kinds else {})}
    return {**rest, "anyOf": kinds}


def _codes(error: type[CymeError]) -> set[str]:
    return reduce(or_, map(_codes, error.__subclasses__()), {error.code})
