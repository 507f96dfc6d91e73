"""What ``cyme-branch`` makes of its words, its environment and its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cyme_supd.branch.prepare import Prepared, knows_somebody
from cyme_supd.cli import branch
from cyme_supd.cli.branch import check_exposure, command, parse_address
from cyme_supd.domain.access import Role, User
from cyme_supd.errors import Forbidden, Invalid
from cyme_supd.store.engine import create_database, sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests.unit.service_support import START


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8001", ("127.0.0.1", 8001)),
        (":8001", ("127.0.0.1", 8001)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("localhost:80", ("localhost", 80)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", ":", "x", ":0", ":65536", "::1:80", "a b:80", "80\n", "٨٠"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Invalid):
        parse_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_users(host: str) -> None:
    check_exposure(host, False, nobody)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])
def test_others_are_not_let_in_unless_somebody_says_so(host: str) -> None:
    with pytest.raises(Forbidden, match="no user"):
        check_exposure(host, False, nobody)
    check_exposure(host, True, nobody)
    check_exposure(host, False, lambda: True)


def nobody() -> bool:
    return False


def test_somebody_is_looked_for_in_the_store(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    assert not knows_somebody(root, None)
    assert not Path(root).exists()
    Path(root).mkdir()
    store = SqlStore(sqlite_url(Path(root) / "branch.db"), "redis://127.0.0.1/0")
    create_database(store.engine)
    # One that is to be migrated, and then one that has been.
    assert not knows_somebody(root, None)
    migrate(store.engine)
    assert not knows_somebody(root, None)
    with store.writing() as tx:
        tx.save_user(User("alice", "x", Role.VIEWER, START))
    assert knows_somebody(root, None)
    store.close()


class Run:
    """Runs the command up to where it would prepare a root."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.settings: dict[str, Any] = {}
        self.root = ""
        self.folder = folder
        monkeypatch.setattr(branch, "prepare", self._prepare)

    def _prepare(self, root: str, wanted: dict[str, Any]) -> Prepared:
        self.root, self.settings = root, wanted
        raise Invalid("stopped here")

    def __call__(self, *words: str, **environment: str) -> Any:
        return CliRunner().invoke(command, words, env=environment)

    def file(self, *lines: str) -> str:
        path = self.folder / "cyme.ini"
        path.write_text("\n".join(lines))
        return str(path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return Run(monkeypatch, tmp_path)


def test_defaults(run: Run) -> None:
    run()

    assert run.root == "instances"
    assert run.settings == {
        "id": None,
        "broker": None,
        "database": None,
        "host": "127.0.0.1",
        "port": 8000,
        "has_httpd": True,
        "has_srs": True,
        "has_scheduler": True,
        "has_monitor": True,
        "redact": (),
        "redact_tasks": (),
        "keep_tasks": (),
        "lost_after": 3600.0,
        "numc": 2,
        "fleet": "cyme",
        "sup_interval": 5.0,
        "wait_after_broker_revived": 35.0,
        "restart_max_rate": "1/m",
        "loglevel": "INFO",
        "logfile": None,
        "pidfile": None,
        "is_detached": False,
        "supervisor": "",
        "conf_dir": "",
        "server_names": (),
        "cors_origins": (),
        "trusted_proxies": (),
        "api_rate": 2000,
        "alert_webhook": "",
        "alert_depth": 10_000,
        "alert_age": 3600.0,
        "runs_keep": 100,
        "runs_expire_s": 7776000.0,
        "run_log_url": "",
        "is_insecure": False,
        "url_allow": (),
        "url_deny": (),
    }


def test_flags_win_over_environment_over_file_over_defaults(run: Run) -> None:
    file = run.file("[cyme-branch]", "numc = 3", "id = file", "loglevel = debug")

    run("-c", file, "--id", "flag", CYME_ID="env", CYME_NUMC="4")

    assert (run.settings["id"], run.settings["numc"]) == ("flag", 4)
    assert (run.settings["loglevel"], run.settings["sup_interval"]) == ("DEBUG", 5.0)


def test_a_file_knows_every_long_option(run: Run) -> None:
    file = run.file(
        "[cyme-branch]",
        "instance_dir = /r",
        "server-name = a.example b.example",
        "without-http = yes",
        "without-srs = yes",
        "sup-interval = 2",
    )

    run("-c", file)

    assert run.root == "/r"
    assert run.settings["server_names"] == ("a.example", "b.example")
    assert run.settings["has_httpd"] is run.settings["has_srs"] is False
    assert run.settings["sup_interval"] == 2.0


def test_a_database_that_cannot_be_shared(run: Run) -> None:
    result = run(CYME_DATABASE="oracle://u:s3cret@h/db")

    assert result.exit_code == 2
    assert "mariadb://user:password@host:port/name" in result.output
    assert "s3cret" not in result.output
    assert run.settings == {}


def test_a_percent_sign_in_a_file_is_one(run: Run) -> None:
    run("-c", run.file("[cyme-branch]", "broker = amqp://u:p%40w@h//"))

    assert run.settings["broker"] == "amqp://u:p%40w@h//"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["[cyme-branch]", "brokr = x"], "did you mean 'broker'?"),
        (["[cyme-brunch]", "broker = x"], "[cyme-branch]"),
        (["broker = x"], "cannot be read"),
        (["[cyme-branch]", "numc = many"], "many"),
    ],
)
def test_a_file_that_is_wrong_says_how(run: Run, lines: list[str], said: str) -> None:
    result = run("-c", run.file(*lines))

    assert result.exit_code == 2
    assert said in result.output
    assert run.settings == {}


def test_a_file_that_is_not_there(run: Run) -> None:
    assert run("-c", "/nowhere/cyme.ini").exit_code == 2


@pytest.mark.parametrize(
    ("word", "said"), [("--brokr=x", "--broker"), ("--logile=x", "--logfile"), ("-l nope", "nope")]
)
def test_a_word_that_is_wrong_says_what_is_near(run: Run, word: str, said: str) -> None:
    result = run(*word.split())

    assert result.exit_code == 2
    assert said in result.output


def test_an_error_is_one_line_and_its_exit_code(run: Run) -> None:
    result = run("0.0.0.0:80")

    assert result.exit_code == 3
    assert len(result.output.splitlines()) == 1


def test_a_webhook_that_is_none_is_refused_and_not_repeated(run: Run) -> None:
    said = run(CYME_ALERT_WEBHOOK="https://me:s3cret@hooks.example/")
    assert said.exit_code == 2
    assert "--alert-webhook" in said.output
    assert "s3cret" not in said.output
    run(CYME_ALERT_WEBHOOK="https://hooks.example/a")
    assert run.settings["alert_webhook"] == "https://hooks.example/a"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--", "0"], "0"),
        (["--", "-1"], "-1"),
        (["--", "1.2.3.4"], "1.2.3.4"),
        (["--instance-dri", "x"], "--instance-dir"),
        (["--brokr", "x"], "--broker"),
        (["--loglevl", "x"], "--loglevel"),
        (["-l", "LOUD"], "LOUD"),
        (["--sup-interval", "0"], "--sup-interval"),
        (["-C", "0"], "--numc"),
        (["--fleet", "a b"], "name"),
        (["--fleet", "celery"], "reserved"),
        (["-c", "/no/such/file"], "/no/such/file"),
    ],
)
def test_words_that_cannot_be(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The root's lock takes a certain descriptor, whosever that is in the tests' process.
    monkeypatch.setattr(branch, "prepare", None)
    done = CliRunner().invoke(command, ["-D", str(tmp_path), *words])
    assert done.exit_code == 2
    assert named in f"{done.exception} {done.output}"


def test_the_command_that_starts_a_branch_imports_none_of_its_parts() -> None:
    words = (
        "import sys, cyme_supd.cli.branch\n"
        "heavy = {'celery', 'flask', 'kombu', 'pydantic', 'redis'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.stdout == "[]\n"
