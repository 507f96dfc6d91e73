"""A branch on a host whose supervisord, Debian's, runs other programs, too."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from docs.tour.place import Place
from docs.tour.runner import Runner
from docs.tour.steps import STEPS, Step
from docs.tour.target import target
from tests.acceptance import processes
from tests.acceptance.harness import BIN, BranchHost, cyme_branch, plain_environment
from tests.debian import FOREIGN, IN_FOLDER, Debian, debian
from tests.services import free_port
from tests.support import eventually, still_running

pytestmark = pytest.mark.timeout(240)
WITHIN_S = 30.0
LOG = "instances/log/branch.log"


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: a unix socket's path has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="cy", dir="/tmp") as name:
        yield Path(name)


#: Without Cyme's extension in it, and with it.
EACH = [
    pytest.param(False, id="stock", marks=pytest.mark.faults),
    pytest.param(True, id="extension"),
]


@pytest.fixture(params=EACH)
def host(request: pytest.FixtureRequest, folder: Path) -> Iterator[Debian]:
    """At the end its own programs are the processes that they were."""
    with debian(folder, request.param) as made:
        before = made.foreign()
        yield made
        assert made.foreign() == before
        assert "mail" not in made.log().partition("mail entered RUNNING")[2]


class Attached(BranchHost):
    """Its supervisord is another's, and so are its programs."""

    def __init__(self, host: Debian, *arguments: str) -> None:
        super().__init__("--sup-interval", "1", *host.attach, *arguments)

    def end(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.interrupt(signal.SIGTERM)
        assert self.wait(60) == 0, self.output.read_text()


@pytest.fixture
def branch(host: Debian) -> Iterator[Attached]:
    with Attached(host, "--stop-workers") as branch:
        branch.start()
        branch.post("/foo/", 201)
        yield branch


class OtherPlace(Place):
    @property
    def log(self) -> Path:
        return self.folder / LOG


def steps(host: Debian) -> Iterator[Step]:
    """The tour's, of a branch that is attached."""
    for step in STEPS:
        if step.does == "start":
            words = " ".join((*host.attach, "--stop-workers"))
            step = replace(step, command=f"{step.command} {words}")
        command = step.command.replace("-c instances/supervisord.conf", f"-s {host.url}")
        yield replace(step, command=command.replace("instances/branch.log", LOG))


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(False, id="stock"),
        pytest.param(True, id="extension", marks=pytest.mark.faults),
    ],
    indirect=True,
)
def test_the_tutorial(host: Debian) -> None:
    port = free_port()
    names = {
        "port": port,
        "url": f"http://127.0.0.1:{port}",
        "branch": "branch1",
        "with_broker": "",
    }
    with tempfile.TemporaryDirectory(prefix="cy", dir="/tmp") as name, target() as web:
        place = OtherPlace(Path(name))
        try:
            taken = list(Runner(place, web, names).take(list(steps(host))))
        finally:
            place.end()
    assert len(taken) == len(STEPS)
    # Detached, and nothing is left.
    assert sorted(host.programs()) == sorted(FOREIGN)
    left = {path.name for path in host.conf_dir.iterdir()} - {"cyme-extension.conf"}
    assert left == {f"{name}.conf" for name in IN_FOLDER}


def test_workers_outlive_the_foreground_process(host: Debian) -> None:
    with Attached(host) as branch:
        branch.start()
        branch.post("/foo/", 201)
        made = branch.make("foo", "w1")
        assert host.programs()["cyme:web"] == "RUNNING"
        branch.end()
        states = host.programs()
        assert (states["cyme:web"], states["cyme:branch"]) == ("STOPPED", "STOPPED")
        assert states["w1"] in ("STARTING", "RUNNING")
        assert states["cyme:broker"] == "RUNNING"

        branch.start("--stop-workers")
        assert branch.get("/foo/instances/w1/")["pid"] == made["pid"]
        eventually(lambda: branch.is_ready("foo", "w1"), WITHIN_S)
    assert sorted(host.programs()) == sorted(FOREIGN)


def test_one_that_is_killed_is_taken_over(branch: Attached) -> None:
    made = branch.make("foo", "w1")
    assert branch.process is not None
    branch.process.kill()
    branch.process.wait()
    # Web and branch are not its children.
    assert branch.get("/foo/instances/w1/")["pid"] == made["pid"]
    branch.launch()
    eventually(lambda: branch.output.read_text().count("A first tour") == 2, WITHIN_S)
    branch.await_up()
    assert branch.get("/foo/instances/w1/")["pid"] == made["pid"]


def test_it_says_what_it_is_attached_to(branch: Attached, host: Debian) -> None:
    said = branch.get("/health/")["supervisord"]
    assert (said["ok"], said["has_extension"]) == (True, host.has_extension)
    ended = subprocess.run(
        [BIN / "cyme", "doctor", "-D", str(branch.root), "-F", "json"],
        env=plain_environment(),
        capture_output=True,
        text=True,
    )
    found = [one for one in json.loads(ended.stdout) if one["what"] == "supervisord"]
    assert [one["level"] for one in found] == ["ok" if host.has_extension else "warning"], found
    if host.has_extension:
        assert "hint" not in said
    else:
        assert said["hint"] == found[0]["hint"]
        assert "conf/cyme-extension.conf" in said["hint"]
    orphans = branch.get("/foo/orphans/")
    branch.make("foo", "w1")
    assert branch.get("/foo/orphans/")["processes"] == orphans["processes"] == []


def test_a_name_that_is_somebody_s(branch: Attached, host: Debian) -> None:
    # It runs; or is written and not taken up yet.
    (host.conf_dir / "later.conf").write_text("[program:later]\ncommand=/bin/sleep 1\n")
    for name in ("mail", "later"):
        refused = branch.client.post(f"/foo/instances/{name}/")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert branch.get("/foo/instances/") == []
    assert not list(host.conf_dir.glob("cyme.*.conf"))


def test_an_instance_of_before_with_the_name_of_a_program(host: Debian) -> None:
    with BranchHost() as own:
        own.start()
        own.post("/foo/", 201)
        own.make("foo", "cron")
        own.end()
        attached = ("--sup-interval", "1", *host.attach, "--stop-workers")
        own.start(*attached)
        assert "cron: supervisord has programs of others" in own.output.read_text()
        eventually(lambda: own.get("/foo/instances/cron/")["ready"] is False, WITHIN_S)
        (ready,) = own.get("/foo/instances/cron/")["conditions"]
        assert ready["reason"] == "NameTaken"
        assert not (host.conf_dir / "cyme.cron.conf").exists()
        own.delete("/foo/instances/cron/")
        # The fixture sees that its process is the one it was.
        own.interrupt(signal.SIGTERM)
        assert own.wait(60) == 0
        own.process = None


def test_a_root_that_is_attached_is_not_run_in_another_way(host: Debian, folder: Path) -> None:
    with Attached(host) as branch:
        branch.start()
        branch.post("/foo/", 201)
        made = branch.make("foo", "w1")
        branch.end()
        others = ((), ("--supervisor", host.url, "--conf-dir", str(folder)))
        for words in others:
            done = cyme_branch(f":{free_port()}", "-D", str(branch.root), *words, cwd=folder)
            assert (done.returncode, "end it there with --stop-workers" in done.stderr) == (5, True)
        assert host.programs()["w1"] in ("STARTING", "RUNNING")
        ended = subprocess.run(
            [BIN / "cyme", "doctor", "-D", str(branch.root), "-F", "json"],
            env=plain_environment(),
            capture_output=True,
            text=True,
        )
        # A healthy worker is nothing to be killed.
        assert str(made["pid"]) not in ended.stdout
        branch.start("--stop-workers")
        assert branch.get("/foo/instances/w1/")["pid"] == made["pid"]


def test_somebody_else_s_section_that_is_broken(host: Debian) -> None:
    with Attached(host) as branch:
        branch.start()
        branch.end()
        broken = host.conf_dir / "zz.conf"
        broken.write_text("[program:zz]\ncommand=/bin/sleep 1\nautorestart=maybe\n")
        try:
            branch.start()
            assert "warning supervisord: CANT_REREAD" in branch.output.read_text()
        finally:
            broken.unlink()
        branch.end()
        branch.start("--stop-workers")


def test_a_worker_that_dies_and_one_that_is_scaled(branch: Attached, host: Debian) -> None:
    made = branch.make("foo", "w1")
    subprocess.run(["kill", "-9", str(made["pid"])], check=True)
    eventually(lambda: branch.get("/foo/instances/w1/")["pid"] not in (None, made["pid"]), WITHIN_S)
    eventually(lambda: branch.is_ready("foo", "w1"), WITHIN_S)
    branch.post("/foo/instances/w1/autoscale/", max=3, min=2)
    branch.post("/foo/instances/w1/disable/")
    assert host.programs()["w1"] == "STOPPED"
    branch.delete("/foo/instances/w1/")
    assert "w1" not in host.programs()


@pytest.fixture(params=EACH)
def mortal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Debian]:
    """One that may end."""
    with debian(folder, request.param) as made:
        yield made


def test_when_that_supervisord_is_reloaded(mortal: Debian) -> None:
    with Attached(mortal, "--stop-workers") as branch:
        branch.start()
        branch.post("/foo/", 201)
        made = branch.make("foo", "w1")
        assert "Restarted" in mortal.ctl("reload")
        eventually(mortal.is_up, WITHIN_S)
        eventually(branch.is_up, WITHIN_S)
        eventually(lambda: branch.is_ready("foo", "w1"), WITHIN_S)
        assert branch.get("/foo/instances/w1/")["pid"] != made["pid"]


def test_when_that_supervisord_ends(mortal: Debian) -> None:
    with Attached(mortal) as branch:
        branch.start()
        branch.post("/foo/", 201)
        branch.make("foo", "w1")
        family = mortal.main.children(recursive=True)
        mortal.main.terminate()
        mortal.main.wait(WITHIN_S)
        assert branch.wait() == 6
        assert "supervisord, process" in branch.output.read_text().splitlines()[-1]
        assert not still_running(family)
        branch.process = None
    ended = [line.split()[4] for line in mortal.log().splitlines() if " stopped: " in line]
    if mortal.has_extension:
        ours = [name for name in ended if name not in FOREIGN]
        assert (ours[0], ours[-1]) == ("w1", "broker")
        assert set(ours) == {"w1", "web", "branch", "broker"}


def test_when_that_supervisord_is_killed(mortal: Debian) -> None:
    with Attached(mortal) as branch:
        branch.start()
        branch.post("/foo/", 201)
        made = branch.make("foo", "w1")
        mortal.kill()
        assert branch.wait() == 6
        assert not processes.is_running(made["pid"])
        branch.process = None
        # Nobody is left who could.
        (branch.root / "hint.sock").unlink()


def refusal(host: Debian, *words: str) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="cy", dir="/tmp") as name:
        done = cyme_branch(f":{free_port()}", "-D", f"{name}/r", *words, cwd=Path(name))
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_what_cannot_be_attached_to(host: Debian, folder: Path) -> None:
    supervisor, conf_dir = ("--supervisor", host.url), ("--conf-dir", str(host.conf_dir))
    code, said = refusal(host, *supervisor)
    assert (code, "needs --conf-dir" in said) == (2, True)
    code, said = refusal(host, *conf_dir)
    assert (code, "goes with --supervisor" in said) == (2, True)
    code, said = refusal(host, "--supervisor", f"unix://{folder}/none", *conf_dir)
    assert (code, "[unix_http_server]" in said) == (6, True)
    code, said = refusal(host, *supervisor, "--conf-dir", f"{folder}/none")
    assert (code, "nothing can be written" in said) == (2, True)
    code, said = refusal(host, *supervisor, *conf_dir, "--detach")
    assert (code, "--detach is for" in said) == (2, True)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    code, said = refusal(host, *supervisor, "--conf-dir", str(elsewhere))
    wanted = "name the same folder" if host.has_extension else "does not read"
    assert (code, wanted in said) == (2, True), said
    assert list(elsewhere.iterdir()) == []


def test_one_branch_for_a_supervisord(branch: Attached, host: Debian) -> None:
    code, said = refusal(host, *host.attach)
    assert (code, f"the branch at {branch.root} is attached" in said) == (5, True), said
    with BranchHost() as own:
        own.start()
        password = own.settings["supervisor_password"]
        url = f"unix://cyme:{password}@{own.root}/supervisord.sock"
        words = ("--supervisor", url, "--conf-dir", str(own.root / "conf.d"))
        code, said = refusal(host, *words)
    assert (code, "is the one of a cyme-branch" in said) == (5, True), said
    assert password not in said
