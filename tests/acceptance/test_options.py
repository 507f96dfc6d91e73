"""The command: its options, where they come from, and what supervisorctl does."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celeryside import worker_pid
from tests.acceptance.harness import BranchHost, cyme_branch
from tests.services import free_port
from tests.support import eventually

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    """A branch with one worker."""
    with BranchHost("-i", "b-1", "--sup-interval", "1") as host:
        host.start()
        host.post("/foo/", 201)
        host.make("foo", "w1")
        yield host


# What supervisorctl does


def test_a_worker_that_is_stopped_by_hand_comes_back(host: BranchHost) -> None:
    before = worker_pid(host, "w1")
    assert host.supervisorctl("stop", "w1").returncode == 0
    eventually(lambda: host.pid("w1") not in (0, before), 10)
    eventually(lambda: host.is_ready("foo", "w1"), 10)
    assert worker_pid(host, "w1") == host.pid("w1")
    assert "w1: start" in host.log()


def test_a_worker_that_is_restarted_by_hand(host: BranchHost) -> None:
    before = worker_pid(host, "w1")
    # It would wait until the worker is RUNNING, which takes startsecs.
    with subprocess.Popen(host.control("restart", "w1"), stdout=subprocess.PIPE) as restarting:
        eventually(lambda: host.pid("w1") not in (0, before), 10)
        eventually(lambda: host.is_ready("foo", "w1"), 10)
        restarting.terminate()
    assert host.mains("w1") == [worker_pid(host, "w1")]


def test_the_tails_of_its_logs(host: BranchHost) -> None:
    assert "w1@b-1 ready" in host.supervisorctl("tail", "-5000", "w1").stdout
    assert "branch b-1" in host.supervisorctl("tail", "-5000", "cyme:branch").stdout
    assert host.supervisorctl("tail", "cyme:broker").stdout
    log = host.log()
    for line in ("b-1: POST /foo/ -> 201 foo", "b-1: POST /foo/instances/w1/ -> 201 w1"):
        assert line in log
        assert line in host.output.read_text()


def test_the_status_of_everything(host: BranchHost) -> None:
    words = [line.split() for line in host.supervisorctl("status").stdout.splitlines()]
    found = host.programs()
    assert {name: state for name, state, *_ in words} == {
        name: program.state for name, program in found.items()
    }
    assert found["w1"].pid == host.pid("w1") == int(host.supervisorctl("pid", "w1").stdout)


def test_update_restarts_nothing(host: BranchHost) -> None:
    before = host.programs()
    assert "No config updates" in host.supervisorctl("reread").stdout
    assert host.supervisorctl("update").stdout == ""
    assert {name: one.pid for name, one in host.programs().items()} == {
        name: one.pid for name, one in before.items()
    }


def test_a_program_that_is_not_ours_is_left_alone(host: BranchHost) -> None:
    section = host.root / "conf.d" / "of-somebody-else.conf"
    section.write_text("[program:theirs]\ncommand=/bin/sleep 600\nautostart=true\n")
    host.supervisorctl("update")
    try:
        theirs = host.pid("theirs")
        refused = host.client.post("/foo/instances/theirs/", params={"timeout": 3})
        removed = host.client.delete("/foo/instances/theirs/", params={"timeout": 3})
        assert host.pid("theirs") == theirs
    finally:
        section.unlink()
        host.supervisorctl("update")
    assert refused.status_code == 409, refused.text
    assert removed.status_code == 404, removed.text


# Options


def test_what_it_prints_first(host: BranchHost) -> None:
    said = host.output.read_text()
    for word in (f"http://127.0.0.1:{host.port}/", "branch b-1", str(host.root), "supervisorctl"):
        assert word in said
    shown = host.get("/branches/b-1/")
    assert (shown["sup_interval"], shown["port"]) == (1, host.port)


def test_a_second_branch_on_a_root(host: BranchHost) -> None:
    before = host.settings
    done = cyme_branch(f":{free_port()}", "-D", str(host.root), cwd=host.folder)
    assert done.returncode == 5
    assert done.stderr.startswith("cyme-branch: another cyme-branch runs on")
    assert len(done.stderr.splitlines()) == 1
    assert host.settings == before
    assert host.get("/health/")["ok"] is True


def test_a_root_is_one_branch_s(tmp_path: Path) -> None:
    with BranchHost("-i", "b-3") as host:
        host.start()
        host.interrupt()
        host.wait()
        done = cyme_branch(f":{host.port}", "-D", str(host.root), "-i", "b-2", cwd=tmp_path)
        assert done.returncode == 5
        assert "'b-3'" in done.stderr
        assert host.id == "b-3"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = cyme_branch(str(port), "-D", "root", cwd=tmp_path)
    assert done.returncode == 6
    assert f"port {port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("form", ["{}", "localhost:{}", "[::1]:{}"])
def test_forms_of_the_address(form: str) -> None:
    with BranchHost() as host:
        host.spawn(form.format(host.port), "-D", str(host.root))
        if "::1" in form:
            host.client.base_url = f"http://[::1]:{host.port}"
        host.await_up()
        assert host.get("/ping/") == {"ok": "pong"}


@pytest.mark.parametrize("words", [("--", "1.2.3.4"), ("--instance-dri", "x")])
def test_words_that_are_none(words: tuple[str, ...], tmp_path: Path) -> None:
    done = cyme_branch(*words, "-D", "root", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("words", "named"), [(["-b", "http://h/"], "transport"), (["-i", "../b"], "name")]
)
def test_values_that_cannot_be(words: list[str], named: str, tmp_path: Path) -> None:
    done = cyme_branch("-D", "root", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cyme.ini"
    file.write_text("[cyme-branch]\nid = from-file\nsup-interval = 7\nnumc = 3\nloglevel = debug\n")
    environment = {"CYME_SUP_INTERVAL": "8", "CYME_NUMC": "4"}
    words = ("-c", str(file), "-C", "5", "--without-srs")
    with BranchHost(*words, environment=environment) as host:
        host.start()
        shown = host.get("/branches/from-file/")
        assert (shown["sup_interval"], shown["numc"], shown["loglevel"]) == (8, 5, "DEBUG")
        assert not [name for name in host.get("/health/")["threads"]["ages_s"] if "srs" in name]


def test_a_misspelt_name_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cyme.ini"
    file.write_text("[cyme-branch]\nsup_intervall = 7\n")
    done = cyme_branch("-c", str(file), "-D", "root", cwd=tmp_path)
    assert done.returncode == 2
    assert "'sup-interval'" in done.stderr
    assert not (tmp_path / "root").exists()


def test_without_httpd() -> None:
    with BranchHost() as host:
        host.launch("--without-httpd")
        eventually(lambda: "is up" in host.output.read_text(), 20)
        assert set(host.programs()) == {"cyme:broker", "cyme:branch"}


def test_a_log_elsewhere(tmp_path: Path) -> None:
    with BranchHost("-f", str(tmp_path / "here.log")) as host:
        host.start()
        host.post("/foo/", 201)
        eventually(lambda: f"{host.id}: POST /foo/ -> 201" in (tmp_path / "here.log").read_text())
        assert not (host.root / "branch.log").exists()
        assert host.get(f"/branches/{host.id}/")["logfile"] == str(tmp_path / "here.log")
