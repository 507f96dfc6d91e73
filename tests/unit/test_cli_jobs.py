"""Jobs from the command line, from a file, and from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.cyme import cyme
from cyme_supd.client import Client, Conflict, Invalid, NotFound
from cyme_supd.domain.job import Run, job_id, run_id
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from docs.reference import SCHEMA, job_schema
from tests.unit.service_support import START, World
from tests.unit.test_job_fields import HOSTILE

ENTRY = {"name": "a", "schedule": "@daily", "command": "true"}
EXAMPLE = {"category": "example", "jobs": [ENTRY, {**ENTRY, "name": "b", "jitter_s": 5}]}
OTHER = {"category": "other", "jobs": [{"name": "c", "schedule": "@hourly", "argv": ["true"]}]}
ID = job_id("example", "a")


@pytest.fixture
def client(house: World) -> Iterator[Client]:
    app = create_app(Settings("b1"), house.service)
    with Client("http://localhost:8000", wsgi=app) as made:
        yield made


def run(client: Client | None, *words: str, typed: str = "", format: str = "json") -> Result:
    wanted = Wanted(given=client, format=format)
    return CliRunner().invoke(cyme, words, obj=wanted, standalone_mode=False, input=typed)


def output(result: Result) -> Any:
    if result.exception:
        raise result.exception
    return json.loads(result.output)


def apply(client: Client, said: Any) -> Any:
    return output(run(client, "jobs.apply", "-", typed=json.dumps(said)))


def test_a_file_is_applied(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([EXAMPLE, OTHER]))
    nothing: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
    assert output(run(client, "jobs.apply", str(path))) == {
        "example": {**nothing, "added": ["a", "b"]},
        "other": {**nothing, "added": ["c"]},
    }
    assert output(run(client, "jobs.apply", str(path))) == {"example": nothing, "other": nothing}
    assert apply(client, {"category": "example", "jobs": [ENTRY]}) == {
        "example": {**nothing, "removed": ["b"]}
    }
    assert [each["name"] for each in output(run(client, "jobs"))] == ["a", "c"]


def test_a_file_is_looked_over_without_a_branch() -> None:
    assert output(run(None, "jobs.validate", "-", typed=json.dumps(EXAMPLE))) == {"example": 2}
    wrong = {"category": "example", "jobs": [{**ENTRY, "schedule": "R/0000"}]}
    result = run(None, "jobs.validate", "-", typed=json.dumps(wrong))
    assert isinstance(result.exception, Invalid)
    assert str(result.exception).startswith("category 'example': job 'a': schedule: ")


@pytest.mark.parametrize(
    "typed",
    ["", "{", "[]", "{}", "null", '{"category": "a/b", "jobs": []}', '{"category": "a"}',
     '{"category": "a", "jobs": [], "x": 1}',
     '[{"category": "a", "jobs": []}, {"category": "a", "jobs": []}]', "\ud800"],
)  # fmt: skip
def test_what_is_no_such_file(client: Client, typed: str) -> None:
    data = typed.encode("utf-8", "surrogatepass").decode("latin-1")
    for word in ("jobs.validate", "jobs.apply"):
        result = CliRunner(charset="latin-1").invoke(
            cyme, [word, "-"], obj=Wanted(given=client), standalone_mode=False, input=data
        )
        assert isinstance(result.exception, Invalid), result.output


def test_nothing_of_a_file_is_sent_where_anything_is_wrong(client: Client) -> None:
    wrong = {"category": "other", "jobs": [{**ENTRY, "command": ""}]}
    with pytest.raises(Invalid):
        apply(client, [EXAMPLE, wrong])
    assert list(client.jobs) == []


def test_one_job(client: Client) -> None:
    apply(client, EXAMPLE)
    shown = output(run(client, "jobs.get", ID, "--next", "3"))
    assert (shown["name"], len(shown["upcoming"])) == ("a", 3)
    assert output(run(client, "jobs.pause", ID))["paused"]
    held = output(run(client, "jobs", "--due"))
    assert [each["name"] for each in held] == ["b", "a"]
    assert not output(run(client, "jobs.resume", ID))["paused"]
    assert isinstance(run(client, "jobs.pause", job_id("x", "y")).exception, NotFound)


def test_runs(client: Client, house: World) -> None:
    apply(client, EXAMPLE)
    one = Run(run_id(ID, START), ID, "example", "a", START, "failed", START, exit_code=1)
    with house.store.writing() as tx:
        tx.add_runs([one])
    for words in (("runs",), ("runs", "--job", ID, "--status", "failed")):
        assert [each["id"] for each in output(run(client, *words))] == [one.id]
    assert output(run(client, "runs", "--status", "lost")) == []
    table = run(client, "jobs", format="table").output
    assert "failed" in table
    assert "@daily" in table
    assert client.jobs.run(one.id)["events"] == []


def test_a_run_by_hand_from_its_beginning_to_its_end(client: Client, house: World) -> None:
    apply(client, EXAMPLE)
    made = output(run(client, "jobs.run", "example/a"))
    assert made["job_id"] == ID
    assert output(run(client, "runs.get", made["id"]))["status"] == "queued"
    ended = output(run(client, "runs.cancel", made["id"]))
    assert (ended["status"], ended["job"]) == ("cancelled", "a")
    assert isinstance(run(client, "runs.cancel", made["id"]).exception, Conflict)
    assert output(run(client, "jobs.pause", "example/a"))["paused"]
    assert isinstance(run(client, "jobs.run", "example/none").exception, NotFound)
    assert output(run(client, "jobs.troubles")) == []


def test_what_a_run_prints(client: Client, house: World) -> None:
    one = Run(run_id(ID, START), ID, "example", "a", START, "running", START)
    ended = replace(one, status="failed", finished_at=START)
    with house.store.writing() as tx:
        tx.add_runs([one])
    known, said = house.run_logs.known, []
    known[ID, one.id] = b"one\n" * 9000
    assert run(client, "runs.output", one.id, "--bytes", "8", format="").output == "one\none\n"
    following = client.jobs.follow(one.id, size=16384, every_s=0)
    said.append(next(following))
    known[ID, one.id] += b"two"
    said.append(next(following))
    with house.store.writing() as tx:
        tx.save_runs([ended])
    known[ID, one.id] += b"\nthree"
    said += following
    assert said == ["one\n" * 4096, "two", "\nthree"]
    assert run(client, "runs.output", one.id, "-f", format="").output.endswith("two\nthree")


def test_what_is_old_is_forgotten(client: Client, house: World) -> None:
    with house.store.writing() as tx:
        for second in range(3):
            at = START.replace(second=second)
            tx.add_runs([Run(run_id(ID, at), ID, "example", "a", at, "failed", at)])
    assert output(run(client, "prune", "--runs", "--keep", "1")) == {"runs": 2}
    assert output(run(client, "prune", "--runs", "--older", "90d")) == {"runs": 0}
    for words in ((), ("--keep", "1"), ("--runs",), ("--runs", "--older", "1w")):
        assert isinstance(run(client, "prune", *words).exception, Invalid)


def test_from_python(client: Client) -> None:
    made = client.jobs.apply("many", [{**ENTRY, "name": f"{n:04}"} for n in range(1100)])
    assert len(made["added"]) == 1100
    assert [each["name"] for each in client.jobs][-1] == "1099"
    assert client.jobs.categories[0]["job_count"] == 1100
    assert client.jobs.get(job_id("many", "0007"), next=2)["name"] == "0007"
    client.jobs.delete("many")
    assert list(client.jobs.find(category_name="many")) == []


def test_the_schema_is_that_of_this_code() -> None:
    assert SCHEMA.read_text() == job_schema(), "conf/jobs.schema.json is old: make reference"


def test_what_the_schema_says() -> None:
    schema = json.loads(job_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    good = jsonschema.Draft202012Validator(schema)
    assert good.is_valid(EXAMPLE)
    assert good.is_valid([EXAMPLE, {**OTHER, "$schema": "jobs.schema.json"}])
    for said in ({}, [{"category": "a"}], {**EXAMPLE, "jobs": [{**ENTRY, "argv": ["x"]}]}):
        assert not good.is_valid(said)
    refused = [said for said, _ in HOSTILE if None not in said.values()]
    found = [not good.is_valid({**EXAMPLE, "jobs": [{**ENTRY, **said}]}) for said in refused]
    # What it cannot tell: names, text and zones in detail.
    assert sum(found) > len(found) / 2
