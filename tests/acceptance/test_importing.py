"""Hand-written sections, taken over by the installed ``cyme`` on a real branch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyme_supd.errors import Conflict
from tests.acceptance.celeryside import ask_worker, lines, produce, queues
from tests.acceptance.harness import BIN, BranchHost, plain_environment
from tests.support import eventually

SECTIONS = """\
; as somebody wrote them, years ago
[program:mail]
command={celery} -A house worker -l INFO -Q post,letters -c 1 -n mail@%%h --pidfile=/tmp/mail.pid
directory={project}
environment=GREETING="hello, world",DEBUG=0
stopwaitsecs=60

[program:many]
command={celery} --app=house:app worker --autoscale=2,1 -Q many
directory={project}
process_name=%(program_name)s-%(process_num)02d
numprocs=2
stopwaitsecs=60

[program:beat]
command={celery} -A house beat
directory={project}

[program:nginx]
command=/usr/sbin/nginx
"""


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("-i", "branch1") as host:
        yield host.start()


@pytest.fixture
def file(tmp_path: Path, project: Path) -> Path:
    path = tmp_path / "celery.conf"
    path.write_text(SECTIONS.format(celery=BIN / "celery", project=project))
    return path


def import_supervisor(host: BranchHost, file: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Its exit code, and what became of each section."""
    ended = subprocess.run(
        [str(BIN / "cyme"), "-b", host.broker, "import-supervisor", str(file), *words],
        env={**plain_environment(), "CYME_URL": f"http://127.0.0.1:{host.port}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.stderr == "", ended
    found = {each["section"].removeprefix("program:"): each for each in json.loads(ended.stdout)}
    return ended.returncode, found


def test_sections_become_workers_that_do_the_same(
    host: BranchHost, file: Path, project: Path, tmp_path: Path
) -> None:
    code, found = import_supervisor(host, file)
    assert (code, list(found)) == (Conflict.exit, ["mail", "many", "beat"])
    assert "celery beat" in found["beat"]["refused"]
    assert host.get("/") == []

    code, found = import_supervisor(host, file, "--apply")
    assert code == Conflict.exit
    assert (found["mail"]["made"], found["many"]["made"]) == (["mail"], ["many-00", "many-01"])
    app = found["mail"]["app"]["name"]
    # The worker itself is asked, and what it does is looked at.
    assert queues(host, "mail") == {"dq.mail", "post", "letters"}
    assert queues(host, "many-00") == {"dq.many-00", "many"}
    assert ask_worker(host, "mail", "stats")["pool"]["max-concurrency"] == 1
    produce(project, host.broker, "look", "post", note := tmp_path / "note", "GREETING")
    eventually(lambda: lines(note) == [f"{project} hello, world"])
    assert host.get(f"/{app}/instances/mail/")["stop_timeout_s"] == 60

    code, found = import_supervisor(host, file, "--apply")
    assert (code, found["many"]["there"]) == (Conflict.exit, ["many-00", "many-01"])
    assert "made" not in found["mail"]


def test_nothing_refused_is_no_failure(host: BranchHost, file: Path) -> None:
    whole = file.read_text()
    file.write_text(whole[: whole.index("[program:beat]")])
    assert import_supervisor(host, file)[0] == 0
