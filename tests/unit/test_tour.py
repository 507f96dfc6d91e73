"""The tour's own parts, without a process: what it types, how it judges, what is read of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.request import urlopen

import pytest

from docs.tour import readme, rendering
from docs.tour.place import Place, Wrong
from docs.tour.runner import Done, Heard, Runner, differences, disagreement
from docs.tour.steps import STEPS, Arrives, Says, Step, with_names
from docs.tour.target import Target, main, target
from docs.tour.worker import Own


def done(command: str, value: Any = None, text: str = "", **more: Any) -> Done:
    step = next(one for one in STEPS if one.does == "ask")
    return Done(replace(step, title="", shows=None, **more), command, Heard(text, value))


def test_the_readme_s_commands_are_the_tour_s() -> None:
    tour = readme.section(readme.README.read_text())
    assert readme.commands(tour) == rendering.commands(), "README's tour is old: make readme"


def test_the_readme_s_words_are_the_tour_s() -> None:
    tour = readme.section(readme.README.read_text())
    titles = ["\n".join(rendering.title(one)).strip() for one in STEPS if one.is_in_readme]
    assert [title for title in titles if title and title not in tour] == []


def test_who_takes_it_by_hand_has_its_web_server() -> None:
    command = [sys.executable, "-m", "docs.tour.target", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().rpartition(": ")[2].strip()
            assert urlopen(url).read() == b"Hello, Ada!"
        finally:
            server.terminate()


def test_a_port_that_is_somebody_s_is_named() -> None:
    with target() as other, pytest.raises(SystemExit, match=f"port {other.server_port} is not"):
        main([str(other.server_port)])


@pytest.mark.parametrize("old", ["", "\n", "\nold\n\n"])
def test_another_tour_takes_the_place_of_the_old(old: str) -> None:
    text = f"before\n\n{readme.BEGIN}{old}{readme.END}\nafter\n"
    new = readme.with_section(text, "\nnew\n\n")
    assert new == f"before\n\n{readme.BEGIN}\nnew\n\n{readme.END}\nafter\n"


def test_commands_are_read_with_their_other_lines() -> None:
    tour = "Words::\n\n    $ one \\\n        more\n    answer\n    $ two\n"
    assert readme.commands(tour) == ["one \\\n    more", "two"]


def test_every_name_that_is_typed_is_known_by_then() -> None:
    known = {"port", "url", "branch", "with_broker", "target", "pid"}
    for step in STEPS:
        with_names([step.command, step.answer], dict.fromkeys(known, "x"))
        known |= step.keeps.keys()


def test_a_name_alone_keeps_its_type() -> None:
    names = {"pid": 7, "name": "w"}
    assert with_names({"pid": "{pid}", "all": ["{name}!"]}, names) == {"pid": 7, "all": ["w!"]}


@pytest.mark.parametrize(
    ("wanted", "got", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, ["the answer's a is 2, not 1"]),
        ({"a": 1}, {}, ["the answer has no a"]),
        ({"a": {"b": True}}, {"a": {"b": None}}, ["the answer's a's b is None, not True"]),
        ({"a": 1}, ["a"], ["the answer is ['a'], not {'a': 1}"]),
        (["a"], ["a", "b"], ["the answer is ['a', 'b'], not ['a']"]),
        ([], [], []),
    ],
)
def test_differences(wanted: Any, got: Any, found: list[str]) -> None:
    assert list(differences(wanted, got)) == found


@pytest.mark.parametrize(
    ("own", "found"),
    [
        (Own(2, ("dq.w", "tasks"), 3, 1), ""),
        (None, "is silent"),
        (Own(2, ("dq.w",), 3, 1), "consumes from dq.w, not from dq.w, tasks"),
        (Own(2, ("dq.w", "tasks"), 1, 1), "scales from 1 to 1, not from 1 to 3"),
        (Own(1, ("dq.w", "tasks"), 3, 1), "is still process 1"),
    ],
)
def test_what_a_worker_says_otherwise(own: Own | None, found: str) -> None:
    said = Says(("tasks",), max=3, is_new_process=True)
    assert disagreement(said, own, "w", pid=1) == found


@dataclass
class OneAnswer:
    """A place where every command ends the same."""

    stdout: str = '{"a": 1}'
    stderr: str = "200"
    returncode: int = 0

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, self.returncode, self.stdout, self.stderr)


@pytest.fixture
def server() -> Iterator[Target]:
    with target() as server:
        yield server


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (OneAnswer(stderr="404"), "curl: the answer is 404, not 200"),
        (OneAnswer(stdout="<html>"), "curl: the answer is no JSON"),
        (OneAnswer('{"a": 2}'), "curl: the answer's a is 2, not 1"),
        (OneAnswer("", "(7) refused\n000", 7), "curl: (7) refused 000"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be(
    answer: OneAnswer, message: str, server: Target
) -> None:
    runner = Runner(cast(Place, answer), server, {})
    with pytest.raises(Wrong) as failure:
        list(runner.take([Step("curl", answer={"a": 1})]))
    assert str(failure.value).startswith(message)


def test_a_request_that_has_not_arrived_once(server: Target) -> None:
    runner = Runner(cast(Place, OneAnswer()), server, {})
    arrives = Arrives("GET", "/hello?name=Ada", agent="a/1")
    step = Step("curl", answer={"a": 1}, arrives=arrives)
    with pytest.raises(Wrong, match="0 times"):
        list(runner.take([step]))
    with urlopen(f"{server.url}/hello?name=Ada") as answer:
        assert answer.read() == b"Hello, Ada!"
    assert [replace(one, agent="a/1") for one in server.got] == [arrives]


def test_what_is_left_out_of_an_answer_shows() -> None:
    value = {"name": "w", "broker": {"port": 1, "url": "u"}, "pid": 7}
    kept = rendering.picked(value, ["name", "broker.port"])
    assert rendering.as_json(kept) == '{"name": "w", "broker": {"port": 1, ...}, ...}'
    assert rendering.as_json(rendering.picked({"max": 1}, ["max"])) == '{"max": 1}'


def test_long_answers_are_wrapped_between_their_keys() -> None:
    value = {f"key{number}": "x" * 30 for number in range(5)}
    lines = rendering.narrated(done("curl", value))
    assert max(map(len, lines)) <= rendering.WIDTH
    assert all(line.count('": "') == line.count('"key') for line in lines[1:] if "..." not in line)


def test_two_tours_read_the_same() -> None:
    def tour(port: int, worker: str, folder: str, pid: int, second: str) -> str:
        url = f"http://127.0.0.1:{port}"
        names = {"port": port, "url": url, "worker": worker, "branch": "branch1"}
        return rendering.readme(
            [
                done(f"curl {url}/foo/instances/{worker}/", {"pid": pid}),
                done("supervisorctl", text=f"{worker} pid {pid}, uptime 0:00:{second}"),
                done("grep", text=f"2026-11-25 10:29:{second}.97 root {folder}/instances"),
            ],
            names,
            folder,
        )

    one = tour(4711, "5a1e", "/tmp/one", 1234, "12")
    assert one == tour(4712, "9b7c", "/tmp/two", 5678, "13")
    assert str(rendering.FIXED["worker"]) in one
    assert "4711" not in one
