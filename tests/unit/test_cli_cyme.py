"""What ``cyme`` makes of its words, on a branch in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from cyme_supd import testing
from cyme_supd.cli.asking import Wanted, path
from cyme_supd.cli.cyme import COMMANDS, cyme
from cyme_supd.cli.output import harmless, pretty
from cyme_supd.client import Client
from cyme_supd.errors import CymeError, Invalid, NotFound


class Shell:
    """Types commands; what one raises comes out here."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, *words: str) -> Any:
        """The JSON that a pipe gets."""
        return json.loads(self.text(*words))

    def text(self, *words: str) -> str:
        result = self.run(*words)
        if result.exception:
            raise result.exception
        return result.output

    def run(self, *words: str) -> Result:
        wanted = Wanted(given=self.client)
        return CliRunner().invoke(cyme, list(words), obj=wanted, standalone_mode=False)


@pytest.fixture
def shell() -> Iterator[Shell]:
    with testing.client() as client:
        yield Shell(client)


def test_applications(shell: Shell) -> None:
    made = shell("apps.add", "foo", "redis://127.0.0.1/3", "--pool", "threads", "--", "-O fair")

    assert made["broker"]["url"] == "redis://127.0.0.1:6379/3"
    assert (made["arguments"], made["pool"]) == (["-O", "fair"], "threads")
    assert shell("apps") == ["foo"]
    assert shell("apps.get", "foo")["instances"] == []
    assert shell("apps.plan", "foo")["actions"] == []
    assert shell("apps.pause", "foo", "--reason", "why not") == {"ok": "ok"}
    assert shell("apps.resume", "foo") == {"ok": "ok"}
    assert shell("apps.delete", "foo") == {"ok": "ok"}
    assert shell("apps") == []


def test_instances(shell: Shell) -> None:
    shell("apps.add", "foo")
    shell("-a", "foo", "queues.add", "tasks")
    made = shell("-a", "foo", "instances.add", "w1", "-q", "tasks", "--max", "3")

    assert (made["ready"], made["queues"], made["max_concurrency"]) == (True, ["tasks"], 3)
    assert shell("-a", "foo", "instances") == ["w1"]
    assert shell("-a", "foo", "instances.get", "w1")["name"] == "w1"
    assert shell("-a", "foo", "instances.stats", "w1")["pid"] == 1000
    assert shell("-a", "foo", "instances.autoscale", "w1") == {"max": 3, "min": 1}
    assert shell("-a", "foo", "instances.autoscale", "w1", "4", "2") == {"max": 4, "min": 2}
    for word in ("disable", "enable", "restart", "pause", "resume", "delete"):
        assert shell("-a", "foo", f"instances.{word}", "w1") == {"ok": "ok"}, word
    assert shell("-a", "foo", "instances") == []
    assert len(shell("-a", "foo", "instances.add")["name"]) == 36


def test_queues_and_consumers(shell: Shell) -> None:
    shell("apps.add", "foo")
    made = shell("-a", "foo", "queues.add", "q/1", "ex", "topic", "a.#", '{"max_priority": 9}')

    kept = {"exchange": "ex", "exchange_type": "topic", "routing_key": "a.#"}
    assert {name: made[name] for name in kept} == kept
    assert made["options"] == {"max_priority": 9}
    assert shell("-a", "foo", "queues") == ["q/1"]
    assert shell("-a", "foo", "queues.get", "q/1")["exchange"] == "ex"
    shell("-a", "foo", "instances.add", "w1")
    assert shell("-a", "foo", "consumers.add", "w1", "q/1") == {"ok": "ok"}
    assert [one["name"] for one in shell("-a", "foo", "consumers", "w1")] == ["q/1"]
    assert shell("-a", "foo", "consumers.delete", "w1", "q/1") == {"ok": "ok"}
    assert shell("-a", "foo", "consumers", "w1") == []
    assert shell("-a", "foo", "queues.purge", "q/1") == {"purged": 0}
    assert shell("-a", "foo", "queues.delete", "q/1") == {"ok": "ok"}


def test_branches(shell: Shell) -> None:
    assert shell("branches") == ["memory"]
    assert shell("branches.get", "memory")["is_live"] is True
    assert shell("branches.drain", "memory")["is_draining"] is True
    assert shell("branches.undrain", "memory")["is_draining"] is False


def test_all_of_them(shell: Shell) -> None:
    for name in ("w1", "w2"):
        shell("apps.add", "foo")
        shell("-a", "foo", "instances.add", name)

    for command, is_enabled in (("shutdown-all", False), ("start-all", True)):
        assert shell("-a", "foo", command) == {"done": ["w1", "w2"], "failed": {}}
        for name in ("w1", "w2"):
            found = shell("-a", "foo", "instances.get", name)
            assert found["is_enabled"] is is_enabled
    assert shell("shutdown-all", "--yes")["done"] == ["w1", "w2"]


@pytest.mark.parametrize("command", ["start-all", "restart-all", "shutdown-all"])
def test_the_fleet_is_not_touched_by_chance(command: str, shell: Shell) -> None:
    with pytest.raises(Invalid, match="--yes"):
        shell(command)


def test_a_rolling_restart_that_nobody_waits_for(shell: Shell) -> None:
    shell("apps.add", "foo")
    shell("-a", "foo", "instances.add", "w1")
    assert shell("-n", "-a", "foo", "restart-all")["foo"]["left"] == ["w1"]


def test_what_is_not_waited_for(shell: Shell) -> None:
    shell("apps.add", "foo")
    assert shell("-n", "-a", "foo", "instances.add", "w1") == {"name": "w1"}
    assert shell("instances.delete", "w1", "--nowait", "--app", "foo") == {"name": "w1"}


@pytest.mark.parametrize(
    "words",
    [
        "instances",
        "instances.get w1",
        "queues",
        "queues.add q",
        "consumers w1",
        "consumers.add w q",
    ],
)
def test_what_is_in_an_app_needs_one(words: str, shell: Shell) -> None:
    with pytest.raises(Invalid, match="cyme -a APP"):
        shell(*words.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("instanes", "did you mean 'instances'?"),
        ("app.get foo", "did you mean 'apps.get'?"),
        ("xyzzy", "cyme --help"),
        ("apps --formt json", "--format"),
        ("--nowiat apps", "--nowait"),
        ("apps -F yaml", "pretty"),
        ("apps.get", "NAME"),
        ("-a foo instances.autoscale w1 many", "many"),
    ],
)
def test_words_that_it_does_not_know(words: str, said: str, shell: Shell) -> None:
    with pytest.raises(click.UsageError) as caught:
        shell(*words.split())
    assert said in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_what_a_branch_refuses_is_raised_as_it_was(shell: Shell) -> None:
    with pytest.raises(NotFound, match="there is no app 'foo'") as caught:
        shell("apps.get", "foo")
    assert caught.value.exit == 4
    with pytest.raises(CymeError) as refused:
        shell("apps.add", "ping")
    assert refused.value.exit == 2


# What it shows


def test_a_table_has_what_each_is(shell: Shell) -> None:
    shell("apps.add", "foo")
    shell("-a", "foo", "instances.add", "w1")
    lines = shell.text("-F", "table", "-a", "foo", "instances").splitlines()
    assert lines[0].split()[:4] == ["name", "branch", "state", "ready"]
    assert lines[2].split()[:4] == ["w1", "memory", "RUNNING", "yes"]


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_table_fits_the_terminal(
    width: int, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shell("apps.add", "a" * 60, "redis://broker.example/1")
    lines = shell.text("-F", "table", "apps").splitlines()
    assert max(map(len, lines)) <= width
    letters = "".join(line.split()[0] for line in lines if line.startswith("a"))
    assert letters.count("a") == 60


def test_pretty() -> None:
    broker = {"url": "redis://h//", "transport": "redis"}
    assert pretty(["a", "b"]) == "a\nb"
    assert pretty([]) == "none"
    assert pretty({"ok": "ok"}) == "ok"
    assert pretty({"name": "w1", "ready": True, "pid": None, "broker": broker}) == (
        "name    w1\nready   yes\npid     -\nbroker  redis://h//"
    )


def test_nothing_moves_a_terminal() -> None:
    assert harmless("a\x1b[2Jb\tc\n\x9b\r") == "a\\x1b[2Jb\tc\n\\x9b\\x0d"


def test_names_are_segments_of_a_path() -> None:
    assert path(("foo", "queues", "!"), "a/b") == "/foo/queues/!/a%2Fb/"
    with pytest.raises(Invalid):
        path(("",))


# Help and completion


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_each_has_help_and_an_example_that_is_right(command: Any, shell: Shell) -> None:
    text = shell.text(command.name, "--help")
    assert "Example:" in text
    assert f"cyme {'-a shop ' if '-a shop' in command.example else ''}{command.name}" in text


@pytest.mark.parametrize(
    ("words", "begun", "found"),
    [
        ("", "instances.a", ["instances.add", "instances.autoscale"]),
        ("", "--no", ["--nowait"]),
        ("-F", "t", ["table"]),
        ("-a", "f", ["foo"]),
        ("apps.get", "f", ["foo"]),
        ("-a foo instances.get", "", ["w1"]),
        ("-a foo consumers.add w1", "ta", ["tasks"]),
        ("branches.get", "", ["memory"]),
        ("instances.get", "", []),
        ("-a bar instances.get", "", []),
    ],
)
def test_completion(words: str, begun: str, found: list[str], shell: Shell) -> None:
    shell("apps.add", "foo")
    shell("-a", "foo", "queues.add", "tasks")
    shell("-a", "foo", "instances.add", "w1")
    asked = ShellComplete(cyme, {"obj": Wanted(given=shell.client)}, "cyme", "_CYME_COMPLETE")
    assert [one.value for one in asked.get_completions(words.split(), begun)] == found


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(kind: str, shell: Shell) -> None:
    assert f"_CYME_COMPLETE={kind}_complete" in shell.text("completion", kind)
