"""What the launcher makes of its file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cyme_supd import launch, supervisord
from cyme_supd.launch import Failure


def write(folder: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "launch.json").write_text(text)
    return folder


def test_defaults(tmp_path: Path) -> None:
    wanted = launch.read(str(write(tmp_path, {"argv": ["celery"]})))
    assert wanted == {
        "argv": ["celery"],
        "environment": {},
        "directory": None,
        "user": None,
        "boot": None,
        "identity": "",
        "death_signal": "TERM",
        "log": True,
        "notifies": False,
    }


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", launch.EX_DATAERR),
        ("{", launch.EX_DATAERR),
        ("[" * 100_000, launch.EX_DATAERR),
        ([], launch.EX_DATAERR),
        ({}, launch.EX_DATAERR),
        ({"argv": []}, launch.EX_DATAERR),
        ({"argv": "celery"}, launch.EX_DATAERR),
        ({"argv": [""]}, launch.EX_DATAERR),
        ({"argv": ["a", 1]}, launch.EX_DATAERR),
        ({"argv": ["a\0"]}, launch.EX_DATAERR),
        ({"argv": ["a"], "environment": []}, launch.EX_DATAERR),
        ({"argv": ["a"], "environment": {"A": 1}}, launch.EX_DATAERR),
        ({"argv": ["a"], "environment": {"A=B": "1"}}, launch.EX_DATAERR),
        ({"argv": ["a"], "environment": {"": "1"}}, launch.EX_DATAERR),
        ({"argv": ["a"], "directory": 1}, launch.EX_DATAERR),
        ({"argv": ["a"], "user": 0}, launch.EX_DATAERR),
        ({"argv": ["a"], "user": ""}, launch.EX_DATAERR),
        ({"argv": ["a"], "boot": []}, launch.EX_DATAERR),
        ({"argv": ["a"], "death_signal": "HUP"}, launch.EX_DATAERR),
        ({"argv": ["a"], "death_signal": []}, launch.EX_DATAERR),
        ({"argv": ["a"], "log": "no"}, launch.EX_DATAERR),
        ({"argv": ["a"], "identity": None}, launch.EX_DATAERR),
    ],
)
def test_files_that_may_not_be(tmp_path: Path, content: Any, code: int) -> None:
    with pytest.raises(Failure) as caught:
        launch.read(str(write(tmp_path, content)))
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.line


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        launch.read(str(tmp_path))
    assert caught.value.code == launch.EX_NOINPUT
    assert "No such file" in caught.value.line


def environ(inherited: dict[str, str], **wanted: Any) -> dict[str, str]:
    plain: dict[str, Any] = {"environment": {}, "boot": None, "notifies": False}
    return launch.environ({**plain, **wanted}, "/r/instances/w1", inherited)


def test_given_wins_over_inherited() -> None:
    found = environ({"A": "1", "B": "1"}, environment={"B": "2", "C": "2"})
    assert found == {"A": "1", "B": "2", "C": "2", "CYME_LAUNCH_DIRECTORY": "/r/instances/w1"}


def test_supervisords_own_stay_but_not_ours() -> None:
    found = environ({"SUPERVISOR_ENABLED": "1", launch.SUPERVISORD_PID: "7"})
    assert found == {"SUPERVISOR_ENABLED": "1", "CYME_LAUNCH_DIRECTORY": "/r/instances/w1"}


def test_one_program_alone_speaks_to_the_service_manager() -> None:
    inherited = {"NOTIFY_SOCKET": "/run/systemd/notify"}
    assert "NOTIFY_SOCKET" not in environ(inherited)
    assert environ(inherited, notifies=True)["NOTIFY_SOCKET"] == "/run/systemd/notify"


@pytest.mark.parametrize(
    ("before", "after"), [(None, "/boot"), ("", "/boot"), ("/a:/b", "/boot:/a:/b")]
)
def test_boot_goes_in_front(before: str | None, after: str) -> None:
    boot = {"path": "/boot", "queues": ["ü"]}
    found = environ({} if before is None else {"PYTHONPATH": before}, boot=boot)
    assert json.loads(found["CYME_BOOT"]) == boot
    assert found["PYTHONPATH"] == after


def test_without_boot_the_path_is_left_alone() -> None:
    assert environ({"PYTHONPATH": "/a"})["PYTHONPATH"] == "/a"
    assert "PYTHONPATH" not in environ({})


def test_both_sides_call_it_the_same() -> None:
    assert launch.SUPERVISORD_PID == supervisord.SUPERVISORD_PID


def test_it_needs_the_standard_library_alone() -> None:
    """Isolated, without site-packages, and not even its own package."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=30,
    )
    assert done.returncode == launch.EX_USAGE
    assert done.stderr == "cyme launcher: usage: launch.py DIRECTORY (an absolute path)\n"


def test_a_relative_folder_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__, "instances/w1"],
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == launch.EX_USAGE


#: What of Cyme is loaded into supervisord.
INSIDE = {
    *("answering", "groups", "guard", "journal", "logs"),
    *("owning", "rpcinterface", "signals", "steady", "stopping", "wake"),
}


def test_what_runs_inside_supervisord_loads_little() -> None:
    code = (
        "import sys, cyme_supd.supervisord.rpcinterface\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('cyme_supd.')))\n"
    )
    checkout = Path(launch.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=checkout, timeout=30
    )
    packages, ours = (line.split() for line in done.stdout.splitlines())
    foreign = set(packages) - set(sys.stdlib_module_names) - {"cyme_supd", "supervisor"}
    assert {name for name in foreign if not name.startswith(("_", "sitecustom"))} <= {"__main__"}
    modules = {name.removeprefix("cyme_supd.supervisord").lstrip(".") for name in ours}
    assert modules - {""} == INSIDE
