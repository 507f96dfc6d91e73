"""What becomes of hand-written sections, as one finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyme_supd.domain.importing import Handwritten, Planned, check, plan, runs_celery
from cyme_supd.errors import Invalid
from cyme_supd.supervisord.handwritten import read

#: Ten as they are in the world: some can be kept, some cannot, and why.
FILE = r"""
[program:plain]
command=/srv/venv/bin/celery -A proj worker --loglevel=INFO
directory=/srv/proj
user=nobody
autostart=true
stopwaitsecs=600
stdout_logfile=/no/such/folder/worker.log

[program:numbered]
command=/srv/venv/bin/celery -A proj.celery:app worker -n w%(process_num)02d@%%h -c 4 -Q mail
process_name=%(program_name)s_%(process_num)02d
numprocs=2

[program:quoted]
command=celery worker -A "proj:app" -Q "a b, c" --autoscale=10,3 -Ofair --max-tasks-per-child 100
environment=DJANGO_SETTINGS_MODULE="proj.settings",GREETING="hello, world"

[program:module]
command=/srv/venv/bin/python -m celery --app=proj:app --broker=amqp://u:p@h// worker -Pgevent -c100
killasgroup=true

[program:env]
command=/usr/bin/env A=1 B=two /srv/venv/bin/celery -A proj:app worker --logfile=/x/%%n.log

[program:beat]
command=/srv/venv/bin/celery -A proj beat --loglevel=INFO

[program:embedded-beat]
command=/srv/venv/bin/celery -A proj worker -B

[program:shell]
command=bash -c "source /srv/venv/bin/activate && celery -A proj worker"

[program:django]
command=/srv/venv/bin/python manage.py celery worker

[program:missing]
command=/srv/venv/bin/celery -A proj worker -Q %(ENV_CYME_NOT_THERE)s

[program:nginx]
command=/usr/sbin/nginx

[group:all]
programs=plain,quoted
"""


def locate(name: str, directory: str | None) -> str:
    return name if ":" in name else f"{name}.celery:app"


@pytest.fixture
def outcome(tmp_path: Path) -> dict[str, Any]:
    """By section, what was planned, or the words of the refusal."""
    path = tmp_path / "celery.conf"
    path.write_text(FILE)
    found: dict[str, Any] = {}
    for section, programs in read(path):
        if isinstance(programs, Invalid):
            found[section] = programs.message
        elif any(runs_celery(each) for each in programs):
            found[section] = _planned(programs)
    return {section.removeprefix("program:"): each for section, each in found.items()}


def _planned(programs: list[Handwritten]) -> list[Planned] | str:
    try:
        return [plan(each, 8, locate) for each in programs]
    except Invalid as exc:
        return exc.message


def only(found: Any) -> Planned:
    (planned,) = found
    assert isinstance(planned, Planned)
    return planned


def test_nothing_that_runs_celery_is_passed_over(outcome: dict[str, Any]) -> None:
    assert len(outcome) == 10
    assert "nginx" not in outcome


def test_a_plain_one(outcome: dict[str, Any]) -> None:
    found = only(outcome["plain"])
    assert found.name == "plain"
    assert found.app == {
        "celery_app": "proj.celery:app",
        "directory": "/srv/proj",
        "user": "nobody",
        "command": "/srv/venv/bin/celery",
    }
    assert found.instance == {
        "max_concurrency": 8,
        "min_concurrency": 8,
        "queues": ["celery"],
        "arguments": ["--loglevel=INFO"],
        "stop_timeout_s": 600,
    }
    assert found.notes == ("it has as many processes as this host has processors",)


def test_several_processes_are_as_many_instances(outcome: dict[str, Any]) -> None:
    one, two = outcome["numbered"]
    assert (one.name, two.name) == ("numbered_00", "numbered_01")
    assert one.app == two.app
    assert one.instance["max_concurrency"] == one.instance["min_concurrency"] == 4
    assert "its name at the broker is instance@branch" in one.notes


def test_quotes_and_flags_of_its_own(outcome: dict[str, Any]) -> None:
    found = only(outcome["quoted"])
    assert found.app == {
        "celery_app": "proj:app",
        "environment": {"DJANGO_SETTINGS_MODULE": "proj.settings", "GREETING": "hello, world"},
    }
    assert found.instance["queues"] == ["a b", "c"]
    assert (found.instance["max_concurrency"], found.instance["min_concurrency"]) == (10, 3)
    assert found.instance["arguments"] == ["-Ofair", "--max-tasks-per-child", "100"]


def test_a_module_with_its_values_joined(outcome: dict[str, Any]) -> None:
    found = only(outcome["module"])
    assert found.app["command"] == "/srv/venv/bin/celery"
    assert found.app["broker"] == "amqp://u:p@h//"
    assert (found.instance["pool"], found.instance["max_concurrency"]) == ("gevent", 100)


def test_an_environment_in_front(outcome: dict[str, Any]) -> None:
    found = only(outcome["env"])
    assert found.app["environment"] == {"A": "1", "B": "two"}
    assert "its log is worker.log in its folder" in found.notes


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("beat", "celery beat"),
        ("embedded-beat", "-B"),
        ("shell", "in a shell"),
        ("django", "manage.py"),
        ("missing", "ENV_CYME_NOT_THERE"),
    ],
)
def test_what_cannot_be_kept(outcome: dict[str, Any], section: str, why: str) -> None:
    assert why in outcome[section]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("celery worker", "no -A"),
        ("celery -A p", "does not say worker"),
        ("celery -A p flower", "watches workers"),
        ("celery -A p worker -X a", "-X"),
        ("celery -A p worker -D", "background"),
        ("celery -A p worker -c many", "no number"),
        ("celery -A p worker 'open", "cannot be read"),
        ("nice -n 5 celery -A p worker", "priority"),
        ("celeryd -A p", "program celery itself"),
    ],
)
def test_commands_that_are_refused(command: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        plan(Handwritten("w", command), 8, locate)


def test_the_broker_in_its_environment() -> None:
    program = Handwritten(
        "w", "celery -A p:a worker", environment={"CELERY_BROKER_URL": "redis://h/1", "A": "1"}
    )
    found = plan(program, 8, locate)
    assert (found.app["broker"], found.app["environment"]) == ("redis://h/1", {"A": "1"})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("-P nonsense", "pool"),
        ("-b nonsense://h/1", "transport"),
        ("--autoscale=1,5", "min_concurrency"),
        ("-c 0", "max_concurrency"),
        ("-P threads --autoscale=5,1", "no autoscaler"),
        ("--loglevel=INFO --uid=0x", "user"),
    ],
)
def test_what_a_branch_would_refuse_is_refused_before_it_is_shown(words: str, why: str) -> None:
    planned = plan(Handwritten("w", f"celery -A p:a worker {words}", stop_timeout_s=60), 8, locate)
    with pytest.raises(Invalid, match=why):
        check(planned)


def test_the_ten_that_can_be_kept_would_be_taken(outcome: dict[str, Any]) -> None:
    for planned in outcome.values():
        if not isinstance(planned, str):
            for each in planned:
                check(each)


def test_a_solo_worker_is_one_process() -> None:
    planned = plan(Handwritten("w", "celery -A p:a worker -P solo -c 4"), 8, locate)
    check(planned)
    assert planned.instance["max_concurrency"] == planned.instance["min_concurrency"] == 1
