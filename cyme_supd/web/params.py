"""What a request says: query, form and JSON body as one set of parameters."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from flask import g, request
from pydantic import BaseModel, ConfigDict, ValidationError

from cyme_supd.domain.access import Role
from cyme_supd.domain.naming import nearest
from cyme_supd.domain.values import load_json
from cyme_supd.errors import Forbidden, Invalid, TooLarge, Unsupported

MAX_BODY = 1024 * 1024
MAX_FIELDS = 500

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_FORM = "application/x-www-form-urlencoded"
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})

View = TypeVar("View", bound=Callable[..., Any])


class Params(BaseModel):
    """The parameters of a route: its fields are their names and types.

    Every field may be ``None``: sent empty, which means its default. Those
    not sent at all are not in ``model_fields_set``.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    #: Bytes of a body.
    max_body: ClassVar[int] = MAX_BODY


def takes(model: type[Params]) -> Callable[[View], View]:
    """Read the request into *model* and hand it to the view as ``sent``."""

    def decorate(view: View) -> View:
        @wraps(view)
        def reading(*args: Any, **kwargs: Any) -> Any:
            return view(*args, sent=read(model), **kwargs)

        reading.params = model  # type: ignore[attr-defined]
        reading.bare = view  # type: ignore[attr-defined]
        return reading  # type: ignore[return-value]

    return decorate


def read(model: type[Params]) -> Params:
    """The parameters of the request at hand; the body wins over the query.

    Raises ``Invalid`` naming the parameter, ``TooLarge``, ``Unsupported``.
    """
    values = read_query(model)
    if request.method not in ("GET", "HEAD"):
        values.update(_from_body(model))
    try:
        sent = model.model_validate(values)
    except ValidationError as exc:
        raise _refused(exc) from None
    if getattr(sent, "secrets", None):
        # Before anything is done: a change is not to be made and then refused.
        _check_may_see_secrets()
    return sent


def _check_may_see_secrets() -> None:
    if g.get("role") != Role.ADMIN:
        raise Forbidden(
            f"secrets: this needs the role {Role.ADMIN}", "leave it out, or ask an admin"
        )


def read_query(model: type[Params]) -> dict[str, Any]:
    """What the query says, whatever the body is."""
    query = request.environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    return _from_text(model, query)


def _from_body(model: type[Params]) -> dict[str, Any]:
    body = read_body(model, cache=False)
    if not body:
        return {}
    kind = request.mimetype
    if kind not in (_FORM, "application/json"):
        raise Unsupported(
            f"a body of type {kind[:60]!r} is not understood",
            f"set Content-Type to application/json or {_FORM}",
        )
    if request.mimetype_params.get("charset", "utf-8").lower() not in _CHARSETS:
        raise Invalid("the body is in an unknown charset", "send UTF-8")
    return _from_text(model, body) if kind == _FORM else _from_json(model, body)


def read_body(model: type[Params], cache: bool) -> bytes:
    """As it was sent; raises ``TooLarge``."""
    # Of a body without a length Flask would silently take just the beginning;
    # its own limit is one more byte for that reason.
    request.max_content_length = model.max_body + 1
    body = request.get_data(cache=cache)
    if len(body) > model.max_body:
        raise TooLarge("the request is too large", f"a body may have {model.max_body // 2**20} MiB")
    return body


def _from_json(model: type[Params], body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8") from None
    value = load_json(text)
    if not isinstance(value, dict):
        raise Invalid("the body is no JSON object", 'send {"name": value, ...}')
    for name in value:
        _check_known(model, name)
    return {name: None if value == "" else value for name, value in value.items()}


def _from_text(model: type[Params], text: bytes) -> dict[str, Any]:
    """*text* as a query or a form has it."""
    values: dict[str, list[str]] = {}
    for name, value in _pairs(text):
        if name not in model.model_fields and name.lstrip().startswith("{"):
            raise Invalid("the form looks like JSON", "send it with Content-Type: application/json")
        _check_known(model, name)
        values.setdefault(name, []).append(value)
    return {name: _coerced(model, name, given) for name, given in values.items()}


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        # Of bytes it would give bytes, and those in ASCII only.
        return parse_qsl(
            text.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise Invalid("the parameters are not UTF-8") from None
    except ValueError:
        raise Invalid(f"more than {MAX_FIELDS} parameters") from None


def _check_known(model: type[Params], name: str) -> None:
    if name not in model.model_fields:
        shown = repr(name if len(name) <= 60 else name[:60] + "...")
        raise Invalid(f"unknown parameter {shown}", nearest(name[:60], model.model_fields))


def _coerced(model: type[Params], name: str, given: list[str]) -> Any:
    """The value that the words of a query or a form stand for."""
    kinds = _kinds(model.model_fields[name].annotation)
    if len(given) > 1:
        if list not in kinds or name != "queues":
            raise Invalid(f"{name}: given more than once")
        return given
    text = given[0]
    if text == "":
        return None
    if bool in kinds:
        return _FLAGS.get(text.lower(), text)
    if float in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if int in kinds and _WHOLE.fullmatch(text):
        return int(text)
    return text


def _kinds(annotation: Any) -> set[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return {get_origin(kind) or kind for kind in get_args(annotation)}
    return {get_origin(annotation) or annotation}


def _refused(exc: ValidationError) -> Invalid:
    # Never what was sent: it may be a secret.
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "the parameters"
    message = first["msg"]
    return Invalid(f"{name}: {message[:1].lower()}{message[1:]}")
