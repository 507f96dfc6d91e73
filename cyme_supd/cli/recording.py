"""What is kept of tasks, and for how long: flags of a branch, and of a monitor alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cyme_supd.config import DEFAULT_LOST_AFTER_S
from cyme_supd.domain.taskmessage import redaction
from cyme_supd.domain.tracking import parse_keep

_OPTIONS = (
    click.option(
        "--lost-after",
        type=click.FloatRange(10, 31_536_000),
        default=DEFAULT_LOST_AFTER_S,
        show_default=True,
        help="Seconds after which a task that nobody received is shown as lost.",
    ),
    click.option(
        "--keep-tasks",
        multiple=True,
        help="STATE=AGE,COUNT, as SUCCESS=7d,100000; repeatable. * is any other: 30d,1000000.",
    ),
    click.option(
        "--redact-task",
        multiple=True,
        help="Name or glob of tasks whose arguments are not recorded; repeatable.",
    ),
    click.option(
        "--redact",
        multiple=True,
        help="Regular expression of what is not recorded of arguments; repeatable.",
    ),
)


def record_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def recorded(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a branch; ``Invalid`` for one that means nothing."""
    parse_keep(options["keep_tasks"])
    redaction(options["redact"], options["redact_task"])
    return {
        "redact": tuple(options["redact"]),
        "redact_tasks": tuple(options["redact_task"]),
        "keep_tasks": tuple(options["keep_tasks"]),
        "lost_after": options["lost_after"],
    }
