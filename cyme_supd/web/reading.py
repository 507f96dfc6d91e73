"""An OpenAPI document as a page: HTML that is made here, and asks nobody for anything."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from cyme_supd.resources import templates

_CODE = re.compile("`([^`]+)`")
_STRESSED = re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")
#: Of the verbs that a path has, the one whose line is shown for all that say the same.
_SHOWN = ("get", "put", "post", "delete")


@dataclass(frozen=True)
class Entry:
    """One operation on the page; *verbs* that do the same are one."""

    anchor: str
    verbs: str
    path: str
    said: Mapping[str, Any]
    parts: tuple[Mapping[str, Any], ...]
    answers: tuple[tuple[str, str, str], ...]
    curl: str


def page(document: Mapping[str, Any], root: str) -> str:
    """The page of *document*, whose ``curl`` lines ask the server at *root*."""
    entries = list(_entries(document, root))
    nouns = [
        (tag, [each for each in entries if tag["name"] in each.said["tags"]])
        for tag in document["tags"]
    ]
    prefix = urlsplit(root).path.rstrip("/")
    template = _environment().get_template("docs.html.j2")
    return template.render(document=document, nouns=nouns, prefix=prefix)


def prose(text: str) -> Markup:
    """*text*, in what is used of CommonMark here, as HTML."""
    blocks = re.split(r"(?m)^- ", text)
    paragraph = Markup("<p>{}</p>").format(_inline(blocks[0])) if blocks[0].strip() else Markup()
    items = [Markup("<li>{}</li>").format(_inline(each)) for each in blocks[1:]]
    return paragraph + (Markup("<ul>{}</ul>").format(Markup().join(items)) if items else "")


def kind(schema: Mapping[str, Any]) -> str:
    """What a value has to be, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    one_of = schema.get("anyOf")
    if one_of:
        return " or ".join(dict.fromkeys(kind(each) for each in one_of))
    words = [str(schema.get("type", "anything"))]
    if schema.get("type") == "array" and "items" in schema:
        words = [f"list of {kind(schema['items'])}"]
    if "minimum" in schema:
        words.append(f"from {schema['minimum']:g}")
    if "maximum" in schema:
        words.append(f"to {schema['maximum']:g}")
    return " ".join(words)


def _inline(text: str) -> Markup:
    marked = _CODE.sub(r"<code>\1</code>", str(escape(" ".join(text.split()))))
    return Markup(_STRESSED.sub(r"<em>\1</em>", marked))


def _entries(document: Mapping[str, Any], root: str) -> Iterator[Entry]:
    for path, item in document["paths"].items():
        same: dict[str, list[str]] = {}
        for verb, said in item.items():
            if verb != "parameters":
                same.setdefault(said["description"], []).append(verb)
        for verbs in same.values():
            shown = next((verb for verb in _SHOWN if verb in verbs), verbs[0])
            said = item[shown]
            yield Entry(
                anchor=said["operationId"],
                verbs=" ".join(verb.upper() for verb in verbs),
                path=path,
                said=said,
                parts=tuple(item["parameters"]),
                answers=tuple(_answers(document, said)),
                curl=_curl(root, path, shown, item),
            )


def _answers(
    document: Mapping[str, Any], said: Mapping[str, Any]
) -> Iterable[tuple[str, str, str]]:
    """Of each status of an operation what it is, and the shape of what comes with it."""
    for status, answer in said["responses"].items():
        if "$ref" in answer:
            answer = document["components"]["responses"][status]
        shapes = [
            kind(each["schema"]) if media == "application/json" else media
            for media, each in answer["content"].items()
        ]
        yield status, answer["description"], ", ".join(shapes)


def _curl(root: str, path: str, verb: str, item: Mapping[str, Any]) -> str:
    for part in item["parameters"]:
        path = path.replace(f"{{{part['name']}}}", str(part["example"]))
    words = ["curl", *(["-X", verb.upper()] if verb != "get" else []), root.rstrip("/") + path]
    example = item[verb].get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in example:
        words += ["--json", json.dumps(example["example"])]
    return shlex.join(words)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(lambda name: templates("web").joinpath(name).read_text("utf-8")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(prose=prose, kind=kind)
    return made
