"""``cyme import-supervisor`` on a branch in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cyme_supd import testing
from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.cyme import cyme
from cyme_supd.cli.importing import locate
from cyme_supd.client import Client
from cyme_supd.errors import Conflict, Invalid, NotFound

BROKER = "redis://127.0.0.1/3"


@pytest.fixture
def client() -> Iterator[Client]:
    with testing.client() as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two that can be kept, of one application, and one that cannot."""
    project = tmp_path / "proj"
    project.mkdir()
    (project / "celery.py").write_text("from celery import Celery\n\nshop = Celery('shop')\n")
    path = tmp_path / "celery.conf"
    path.write_text(
        "[program:mail]\n"
        f"command=/venv/bin/celery -A proj worker -Q mail,post -c 2\ndirectory={tmp_path}\n"
        "[program:rest]\n"
        "command=/venv/bin/celery -A proj worker -n rest@%%h --autoscale=3,1\n"
        f"directory={tmp_path}\nprocess_name=%(program_name)s_%(process_num)d\nnumprocs=2\n"
        "[program:beat]\n"
        "command=/venv/bin/celery -A proj beat\n"
    )
    return path


def run(client: Client, *words: str) -> tuple[int, Any]:
    """The exit code, and the JSON that a pipe gets."""
    result = CliRunner().invoke(cyme, list(words), obj=Wanted(given=client), standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, json.loads(result.output)


def test_it_shows_what_would_be_made_and_makes_nothing(client: Client, file: Path) -> None:
    code, (mail, rest, beat) = run(client, "-b", BROKER, "import-supervisor", str(file))
    assert code == Conflict.exit
    assert mail["app"]["name"] == rest["app"]["name"] == "proj"
    assert mail["app"]["celery_app"] == "proj.celery:shop"
    assert mail["app"]["broker"] == BROKER
    assert [each["name"] for each in rest["instances"]] == ["rest_0", "rest_1"]
    assert beat == {
        "section": "program:beat",
        "refused": "it runs celery beat: a scheduler is no worker: leave it to supervisord",
    }
    assert client.all_names() == []


def test_they_are_made_once(client: Client, file: Path) -> None:
    words = ("-b", BROKER, "import-supervisor", "--apply", str(file))
    code, (mail, rest, beat) = run(client, *words)
    assert (code, mail["made"], rest["made"]) == (Conflict.exit, ["mail"], ["rest_0", "rest_1"])
    assert "refused" in beat
    app = client.get("proj")
    assert app.queues.all_names() == ["celery", "mail", "post"]
    made = app.instances.get("mail")
    assert (made.queue_names, made.max_concurrency, made.min_concurrency) == (
        ["mail", "post"],
        2,
        2,
    )
    assert app.instances.all_names() == ["mail", "rest_0", "rest_1"]

    code, (mail, rest, _) = run(client, *words)
    assert (mail["there"], rest["there"]) == (["mail"], ["rest_0", "rest_1"])
    assert "made" not in mail


def test_another_app_of_that_name_is_left_alone(client: Client, file: Path) -> None:
    client.add("proj", celery_app="other:app")
    _, found = run(client, "-b", BROKER, "import-supervisor", "--apply", str(file))
    assert "another app 'proj': it differs in broker, celery_app, command," in found[0]["refused"]
    assert client.get("proj").instances.all_names() == []


def test_another_instance_of_that_name_is_left_alone(client: Client, file: Path) -> None:
    words = ("-b", BROKER, "import-supervisor", "--apply", str(file))
    run(client, *words)
    app = client.get("proj")
    app.instances.get("rest_0").autoscale(max=7, min=1)
    app.instances.get("mail").delete()
    code, (mail, rest, _) = run(client, *words)
    assert (code, mail["made"]) == (Conflict.exit, ["mail"])
    assert "another instance 'rest_0': it differs in max_concurrency" in rest["refused"]
    # The other process of that section is as it should be.
    assert rest["there"] == ["rest_1"]
    assert app.instances.get("rest_0").max_concurrency == 7


def test_a_broker_of_another_password_is_another(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    section = "[program:a]\ncommand=celery -A m:app worker -b redis://:{}@h/1\n"
    path.write_text(section.format("0ne"))
    assert run(client, "import-supervisor", "--apply", str(path))[0] == 0
    assert run(client, "import-supervisor", "--apply", str(path))[0] == 0
    path.write_text(section.format("tw0"))
    code, (found,) = run(client, "import-supervisor", "--apply", str(path))
    assert (code, "differs in broker" in found["refused"]) == (Conflict.exit, True)
    assert "0ne" not in str(found)


def test_without_a_broker_it_would_consume_from_another(client: Client, file: Path) -> None:
    _, found = run(client, "import-supervisor", str(file))
    assert "does not say its broker" in found[0]["refused"]


def test_other_parameters_are_another_app(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text(
        "[program:a]\ncommand=celery -A m:app worker -b redis://h/1\n"
        "[program:b]\ncommand=celery -A m:app worker -b redis://h/2\n"
        "[program:c]\ncommand=celery -A m:app worker -b redis://h/1 -c 3\n"
    )
    code, found = run(client, "import-supervisor", str(path))
    assert (code, [each["app"]["name"] for each in found]) == (0, ["m", "m-2", "m"])


def test_files_that_are_none(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        run(client, "import-supervisor", str(tmp_path / "gone"))
    broken = tmp_path / "broken.conf"
    broken.write_text("no section\n")
    with pytest.raises(Invalid, match="cannot be read"):
        run(client, "import-supervisor", str(broken))


def test_where_an_application_is(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import celery\napp: object = celery.Celery()\n")
    assert locate("one", str(tmp_path)) == "one:app"
    assert locate("any.where:at", None) == "any.where:at"
    with pytest.raises(Invalid, match="no application called 'two'"):
        locate("two", str(tmp_path))
