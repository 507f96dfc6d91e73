"""What is rendered for supervisord, read back by supervisord."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ClientOptions, ServerOptions, UnhosedConfigParser
from supervisor.xmlrpc import Faults

from cyme_supd import errors
from cyme_supd.config import Paths
from cyme_supd.errors import Invalid
from cyme_supd.supervisord import client
from cyme_supd.supervisord.conf import Tree, check_root, render_supervisord_conf
from cyme_supd.supervisord.rendering import LAUNCHER, encode, ini_value
from cyme_supd.supervisord.repair import repair
from cyme_supd.supervisord.section import section
from cyme_supd.supervisord.sections import SectionFiles

ROOTS = [
    "plain",
    "a b",
    " begins",
    "100%",
    "%(x)s %d %",
    "%%",
    "a[b]*?",
    "[",
    "it's",
    'a"b',
    "back\\slash",
    "a;b#c",
    ";",
    "$HOME ~",
    "a,b=c:d",
    "ünï ☃",
    "!",
]
REFUSED = [
    "a\nb",
    "a\rb",
    "tab\there",
    "nul\0",
    "bell\x07",
    "\x85",
    "\u2028",
    "\udcff",
    "a ;b",
    "a #b",
    "a\u00a0#b",
    "%(here)s",
    "a [b]",
    "a ?",
    "x" * 120,
    "ü" * 60,
]


def parse(conf: Path) -> ServerOptions:
    """supervisord's own reading of its file, as far as that goes before it starts."""
    options = ServerOptions()
    options.realize(["-c", str(conf)], doc="", progname="test")
    return options


def written(root: Path, **more: Any) -> Paths:
    paths = Paths(root)
    for folder in (root, paths.sections, paths.instances, paths.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    tree = Tree(root, **{"password": "p%a;s#s", **more})
    paths.supervisord_conf.write_bytes(encode(render_supervisord_conf(tree)))
    return paths


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


@pytest.mark.parametrize("name", ROOTS)
def test_the_configuration_reads_back_as_meant(folder: Path, name: str) -> None:
    paths = written(folder / name)
    options = parse(paths.supervisord_conf)
    (server,) = options.server_configs
    assert Path(server["file"]) == paths.supervisord_socket
    assert (server["username"], server["password"]) == ("cyme", "p%a;s#s")
    assert server["chmod"] == 0o700
    assert Path(options.logfile) == paths.log
    assert Path(options.pidfile) == paths.pidfile
    assert Path(options.childlogdir) == paths.logs
    assert options.nodaemon is True
    assert options.umask == 0o077
    extension = {name: config for name, _, config in options.rpcinterface_factories}["cyme"]
    assert Path(extension["conf_dir"]) == paths.sections


@pytest.mark.parametrize("name", ROOTS)
def test_the_tree_reads_back_as_meant(folder: Path, name: str) -> None:
    paths = written(folder / name)
    (group,) = parse(paths.supervisord_conf).process_group_configs
    assert group.name == "cyme"
    programs = {config.name: config for config in group.process_configs}
    assert set(programs) == {"broker", "web", "branch"}
    for name, config in programs.items():
        assert words(config) == launched(paths.programs / name)
        assert Path(config.stdout_logfile) == paths.logs / f"{name}.log"
        assert (config.stdout_logfile_maxbytes, config.stdout_logfile_backups) == (5 * 2**20, 1)
        assert config.stdout_events_enabled is (name != "broker")
        assert (config.autostart, config.autorestart) == (True, RestartUnconditionally)
        assert (config.stopasgroup, config.killasgroup) == (False, True)
        assert (config.directory, config.umask) == ("/", 0o077)


@pytest.mark.parametrize("name", ROOTS)
def test_a_section_reads_back_as_meant(folder: Path, name: str) -> None:
    paths = written(folder / name, programs=())
    SectionFiles(paths.root).write("w1.a-b_c", 77)
    (group,) = parse(paths.supervisord_conf).process_group_configs
    (config,) = group.process_configs
    assert (group.name, config.name) == ("w1.a-b_c", "w1.a-b_c")
    assert words(config) == launched(paths.instances / "w1.a-b_c")
    assert Path(config.stdout_logfile) == paths.instances / "w1.a-b_c" / "worker.log"
    assert config.environment == {"CYME_PROGRAM": "w1.a-b_c"}
    intent = {
        "autostart": False,
        "autorestart": RestartUnconditionally,
        "startsecs": 10,
        "startretries": 1_000_000,
        "stopsignal": signal.SIGTERM,
        "stopasgroup": False,
        "killasgroup": True,
        "stopwaitsecs": 77,
        "redirect_stderr": True,
        "stdout_logfile_maxbytes": 0,
        "stderr_logfile": None,
        "directory": "/",
        "umask": 0o077,
        "uid": None,
        "serverurl": None,
        "stdout_events_enabled": False,
    }
    assert {key: getattr(config, key) for key in intent} == intent


@pytest.mark.parametrize("name", ROOTS)
def test_supervisorctl_reads_it_as_meant(folder: Path, name: str) -> None:
    paths = written(folder / name)
    options = ClientOptions()
    options.realize(["-c", str(paths.supervisord_conf), "status"], doc="", progname="test")
    assert options.serverurl == f"unix://{paths.supervisord_socket}"
    assert (options.username, options.password) == ("cyme", "p%a;s#s")


def test_only_the_tree_that_is_wanted(folder: Path) -> None:
    paths = written(folder / "r", programs=("web",), descriptors=6200, loglevel="WARNING")
    options = parse(paths.supervisord_conf)
    (group,) = options.process_group_configs
    assert [config.name for config in group.process_configs] == ["web"]
    assert options.minfds == 6200
    assert options.loglevel == 30
    with pytest.raises(Invalid):
        render_supervisord_conf(Tree(folder / "r", "p", programs=("web", "w1")))


@pytest.mark.parametrize("name", REFUSED)
def test_a_root_that_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="root directory") as caught:
        check_root(f"/srv/{name}")
    assert caught.value.hint


def test_the_longest_root_is_one_that_its_socket_fits_into() -> None:
    longest = "/" + "x" * 81
    assert check_root(longest) == Path(longest)
    socket = os.fsencode(Paths(Path(longest)).supervisord_socket)
    assert len(socket + b".4194304") == 107
    with pytest.raises(Invalid, match=r"1 bytes too long"):
        check_root(longest + "x")


def test_a_root_is_made_absolute(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    assert check_root("a/../r") == folder / "r"


@pytest.mark.parametrize(
    "name", ["", "all", "cyme", "cyme-web", "a b", "a\n[x]", "a]", "%s", "../x"]
)
def test_a_name_that_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        section(Path("/srv/r"), name, 5)


@pytest.mark.parametrize("stop_timeout_s", [-1, 2**31, True, 1.5, "5", None])
def test_a_stop_timeout_that_is_refused(stop_timeout_s: Any) -> None:
    with pytest.raises(Invalid):
        section(Path("/srv/r"), "w1", stop_timeout_s)


@given(st.text(max_size=40))
@example("%(ENV_HOME)s")
@example("a\x0b#b")
def test_a_value_is_read_back_or_refused(text: str) -> None:
    try:
        rendered = ini_value(text)
    except Invalid:
        return
    parser = UnhosedConfigParser()
    parser.expansions = {"ENV_HOME": "leaked"}
    parser.read_string(f"[s]\nbefore=1\nvalue={rendered}\nafter=2\n")
    parser.expand_here("/leaked")
    assert parser.saneget("s", "value") == text
    assert (parser.sections(), parser.options("s")) == (["s"], ["before", "value", "after"])


def test_every_fault_of_supervisord_has_an_error() -> None:
    faults = {name: code for name, code in vars(Faults).items() if name.isupper()}
    assert {fault.name: fault.value for fault in client.Fault} == faults
    assert set(client.ERRORS) == set(faults.values())
    for code in faults.values():
        assert isinstance(client.error(code, "text"), errors.CymeError)
    assert type(client.error(Faults.SHUTDOWN_STATE, "")) is errors.ShuttingDown
    assert type(client.error(12345, "")) is errors.Internal


class TestSectionFiles:
    @pytest.fixture
    def files(self, folder: Path) -> SectionFiles:
        return SectionFiles(written(folder / "r", programs=()).root)

    def test_private_and_whole(self, files: SectionFiles) -> None:
        files.write("w1", 5)
        files.write("w1", 6)
        (path,) = files.folder.iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert files.read("w1") == path.read_bytes()
        assert b"stopwaitsecs=6\n" in path.read_bytes()
        assert files.names() == {"w1"}

    def test_the_same_is_not_written_again(self, files: SectionFiles) -> None:
        files.write("w1", 5)
        before = (files.folder / "w1.conf").stat().st_ino
        files.write("w1", 5)
        assert (files.folder / "w1.conf").stat().st_ino == before

    def test_a_disk_that_refuses(self, files: SectionFiles) -> None:
        (files.folder / "w1.conf").mkdir()
        with pytest.raises(errors.Unavailable, match="section of w1"):
            files.write("w1", 5)

    def test_repair_leaves_what_is_well(self, files: SectionFiles) -> None:
        files.write("w1", 5)
        (files.folder / "theirs.conf").write_text("[program:theirs]\ncommand=/bin/true\n")
        assert repair(files) == []
        assert files.names() == {"w1", "theirs"}

    @pytest.mark.parametrize("length", range(0, 700, 23))
    def test_repair_of_half_a_file(self, files: SectionFiles, length: int) -> None:
        files.write("w1", 5)
        path = files.folder / "w1.conf"
        path.write_bytes(path.read_bytes()[:length])
        repair(files)
        options = parse(files.folder.parent / "supervisord.conf")
        for group in options.process_group_configs:
            assert words(group.process_configs[0]) == launched(
                files.folder.parent / "instances" / "w1"
            )

    @pytest.mark.parametrize(
        "content", [b"[program:x]\ncommand=%\n", b"[program:x]\n", b"text", b"\xff\xfe", b"[x\n"]
    )
    def test_repair_moves_aside_what_would_stop_supervisord(
        self, files: SectionFiles, content: bytes
    ) -> None:
        (files.folder / "x.conf").write_bytes(content)
        (line,) = repair(files)
        assert "x.conf was moved aside: " in line
        assert [path.name for path in files.folder.iterdir()] == ["x.conf.bad"]
        parse(files.folder.parent / "supervisord.conf")

    def test_repair_after_a_move(self, files: SectionFiles, folder: Path) -> None:
        files.write("w1", 7)
        moved = folder / "moved"
        files.folder.parent.rename(moved)
        paths = written(moved, programs=())
        assert repair(SectionFiles(moved)) == []
        (group,) = parse(paths.supervisord_conf).process_group_configs
        assert words(group.process_configs[0]) == launched(paths.instances / "w1")
        assert group.process_configs[0].stopwaitsecs == 7


def words(config: Any) -> list[str]:
    """What supervisord would run."""
    return shlex.split(config.command)


def launched(folder: Path) -> list[str]:
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(folder)]
