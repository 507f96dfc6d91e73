"""Where the log lines of a run are, in the place that collects logs. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from string import Formatter
from urllib.parse import quote, urlsplit

from cyme_supd.domain.job import Run
from cyme_supd.domain.naming import is_control
from cyme_supd.domain.values import shown
from cyme_supd.errors import Invalid

FIELDS = ("job_id", "run_id", "start_time", "end_time")
_HINT = "as https://logs.example.com/?run={run_id}&from={start_time}&to={end_time}"
MAX_TEMPLATE = 2000


def check_log_url(option: str, template: str) -> str:
    """*template*, if URLs can be made of it, or it is empty; else ``Invalid``."""
    if not template:
        return template
    if len(template) > MAX_TEMPLATE or any(map(is_control, template)):
        raise Invalid(f"{option}: too long, or a control character is in it", _HINT)
    for name in _fields(option, template):
        if name not in FIELDS:
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            raise Invalid(f"{option}: there is no {shown(name)}", f"there are {known}")
    parts = urlsplit(template.format(**dict.fromkeys(FIELDS, "x")))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Invalid(f"{option}: no URL of http or https", _HINT)
    return template


def _fields(option: str, template: str) -> list[str]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise Invalid(f"{option}: a brace is not closed", _HINT) from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise Invalid(f"{option}: a field has nothing but its name", _HINT)
    return [name for _, name, _, _ in parts if name is not None]


def log_url(template: str, run: Run, now: datetime) -> str | None:
    """Of *run*: to its end, or to *now*. ``None`` where there is no template."""
    if not template:
        return None
    values = {
        "job_id": run.job_id,
        "run_id": run.id,
        "start_time": _text(run.started_at or run.queued_at),
        "end_time": _text(run.finished_at or now),
    }
    return template.format(**{name: quote(value, safe="") for name, value in values.items()})


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
