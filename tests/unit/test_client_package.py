"""What the package exports, and what comes with importing it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cyme_supd
from cyme_supd import client, errors

EXPORTED = """Application Client Consumers Instance Instances Queue Queues Task Tokens Users
    Incomplete
    Conflict CymeError Forbidden Internal Invalid MethodNotAllowed NoAnswer NotFound RateLimited
    SpawnFailed Timeout TooLarge Unauthorized Unavailable Unimplemented Unsupported"""
#: The client's own part of Cyme.
OURS = ("cyme_supd.client", "cyme_supd.errors")
#: What people may rely on, in this order; more may follow.
SIGNATURES = {
    "Client": "url token timeout secrets",
    "Client.get": "app",
    "Client.add": "name broker arguments extra_config nowait rest",
    "Client.delete": "app",
    "Client.branch_info": "id",
    "Client.request": "method path params",
    "Application.send": "url queue method",
    "Queues.add": "name exchange exchange_type routing_key nowait options",
    "Instances.add": "name broker arguments extra_config pool queues max_concurrency"
    " min_concurrency branch nowait config",
    "Instances.stats": "name",
    "Instances.autoscale": "name max min",
    "Instance.autoscale": "max min",
    "Instance.delete": "nowait",
    "Consumers.add": "queue",
    "Consumers.delete": "queue",
    "Queue.delete": "nowait",
    "Task.wait": "timeout",
}
LOOK = """
import json, sys
before = set(sys.modules)
import cyme_supd.client
imported = set(sys.modules) - before
try:
    cyme_supd.client.Client("http://127.0.0.1:1").ping()
except cyme_supd.client.Unavailable:
    pass
print(json.dumps([sorted(imported), sorted(set(sys.modules) - before - imported)]))
"""


def test_the_exports_are_these() -> None:
    assert sorted(client.__all__) == sorted(EXPORTED.split())
    assert sorted(client.__all__) == client.__all__
    public = {name for name, value in vars(client).items() if inspect.isclass(value)}
    assert public == set(client.__all__)


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_they_take(name: str) -> None:
    found: Any = client
    for part in name.split("."):
        found = getattr(found, part)
    taken = [each for each in inspect.signature(found).parameters if each != "self"]
    wanted = SIGNATURES[name].split()
    assert taken[: len(wanted)] == wanted


def test_every_error_that_travels_is_exported() -> None:
    theirs = {
        each.__name__
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.CymeError)
    }
    # It is between a branch and its supervisord.
    assert theirs - {"ShuttingDown"} <= set(client.__all__)


def test_importing_it_brings_no_server_and_no_library_before_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True
    )
    imported, used = json.loads(done.stdout)

    assert [each for each in imported if not _is_allowed(each)] == []
    third = {each.partition(".")[0] for each in used} - set(sys.stdlib_module_names)
    # The library, and what it is made of.
    assert "httpx" in third
    assert third & {
        "flask",
        "sqlalchemy",
        "celery",
        "kombu",
        "pydantic",
        "requests",
        "urllib3",
    } == (set())
    assert [each for each in used if each.startswith("cyme_supd")] == ["cyme_supd.client.exchange"]


def _is_allowed(module: str) -> bool:
    top = module.partition(".")[0]
    is_ours = module == "cyme_supd" or any(
        module == each or module.startswith(f"{each}.") for each in OURS
    )
    return is_ours or top in sys.stdlib_module_names


def test_types_come_along() -> None:
    assert (Path(cyme_supd.__file__).parent / "py.typed").is_file()
