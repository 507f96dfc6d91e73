"""What people install is the wheel: built, installed elsewhere, and served from."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.services import free_port
from tests.support import eventually, still_running

CHECKOUT = Path(__file__).parents[2]
#: What building needs. Copied, so that nothing built stays in the checkout
#: and nothing that stayed from another build gets into the wheel.
SOURCES = ("cyme_supd", "conf", "templates", "setup.cfg", "setup.py", "pyproject.toml")
TEXTS = ("MANIFEST.in", "README.rst", "LICENSE")
#: Top-level folders that ship inside the package.
SHIPPED = {"cyme_supd": "cyme_supd", "conf": "cyme_supd/conf", "templates": "cyme_supd/templates"}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in (*SOURCES, *TEXTS):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, source / name, ignore=_ignored)
        else:
            shutil.copy(CHECKOUT / name, source / name)
    _run(source, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built))
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it asks for."""
    home = tmp_path_factory.mktemp("home")
    _run(home, sys.executable, "-m", "venv", "environment")
    programs = home / "environment" / "bin"
    _run(home, str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel))
    return programs


def test_everything_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    wanted = {
        f"{inside}/{path.relative_to(CHECKOUT / folder).as_posix()}"
        for folder, inside in SHIPPED.items()
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - shipped == set()
    for kind in ("/conf/", "/templates/supervisord/", "/migrations/versions/", "/workers/boot/"):
        assert any(kind in name for name in wanted), kind


def test_it_is_the_wheel_that_is_imported(installed: Path, tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        str(installed / "python"),
        "-c",
        "import cyme_supd, cyme_supd.cli.branch as b; print(cyme_supd.__file__); print(b.__file__)",
    )
    for path in said.split():
        assert Path(path).is_relative_to(installed.parent / "lib")
        assert not Path(path).is_relative_to(CHECKOUT)


def test_a_branch_keeps_a_worker_and_leaves_nothing(installed: Path, tmp_path: Path) -> None:
    root, port = tmp_path / "root", free_port()
    with _branch(installed, root, port) as branch:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=70) as client:
            eventually(lambda: _pongs(client, branch), within_s=60, every_s=0.1)
            assert client.put("/foo/").status_code == 201
            made = client.put("/foo/instances/w1/", params={"timeout": 60})
            assert made.status_code == 201, made.text
            assert client.get("/foo/").json()["instances"] == ["w1"]
        family = psutil.Process(branch.pid).children(recursive=True)
        assert family
        # ^C at a terminal goes to the whole foreground group.
        os.killpg(branch.pid, signal.SIGINT)
        assert branch.wait(60) == 0
    eventually(lambda: not still_running(family))
    assert _with_a_foot_in(root) == []
    assert [path for path in root.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/ping/")


@contextmanager
def _branch(installed: Path, root: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running cyme-branch; what it says is shown when the test fails."""
    command = [str(installed / "cyme-branch"), f"127.0.0.1:{port}", "-D", str(root)]
    branch = subprocess.Popen(
        command,
        cwd=root.parent,
        env=_environment(),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield branch
    finally:
        if branch.poll() is None:
            family = psutil.Process(branch.pid).children(recursive=True)
            branch.kill()
            branch.wait()
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.kill()


def _pongs(client: httpx.Client, branch: subprocess.Popen[bytes]) -> bool:
    if branch.poll() is not None:
        pytest.fail(f"cyme-branch ended with {branch.returncode}")
    try:
        return bool(client.get("/ping/").json() == {"ok": "pong"})
    except httpx.TransportError:
        return False


def _with_a_foot_in(root: Path) -> list[str]:
    """Processes that work in *root* or were started with it."""
    return [
        f"{each.pid} {' '.join(each.info['cmdline'] or [])}"
        for each in psutil.process_iter(["cmdline", "cwd"])
        if any(
            str(root) in word for word in [*(each.info["cmdline"] or []), each.info["cwd"] or ""]
        )
    ]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _run(directory: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=directory, env=_environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _ignored(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}
