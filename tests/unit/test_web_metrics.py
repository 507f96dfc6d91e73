"""What Prometheus reads: every metric, what it means, and what the rules of conf/ ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from cyme_supd.domain.metrics import LIVE, MESSAGES, PASSES, Totals
from cyme_supd.domain.pause import Pause
from cyme_supd.domain.ports import Transaction
from cyme_supd.domain.restarts import CRASH_LOOPING
from cyme_supd.domain.spec import App, Instance, Queue
from cyme_supd.domain.status import Condition, ProcessState, Status
from cyme_supd.errors import Unavailable
from cyme_supd.metrics import Metrics
from cyme_supd.service.observed import STALE_AFTER
from cyme_supd.store.engine import sqlite_url
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing.played import SUP_INTERVAL_S
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import BROKER, START, World, declare, put

RULES = Path(__file__).parents[2] / "conf" / "cyme-alerts.yml"
TARGET = "http://93.184.216.34/secret-page?key=s3cret"
#: Prometheus' own: whether it could scrape.
UP = "up"


@dataclass
class Scraped:
    text: str
    families: dict[str, Metric]

    def value(self, name: str, **labels: str) -> float | None:
        """Of the sample with just these labels, if there is one."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return None

    def labels(self, name: str) -> list[dict[str, str]]:
        family = self.families[name]
        return [sample.labels for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """Of families, and of the samples that those have."""
        found = set(re.findall(r"^# TYPE (\S+)", self.text, re.MULTILINE))
        return found | {each.name for one in self.families.values() for each in one.samples}


def scrape(client: FlaskClient) -> Scraped:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    return Scraped(answer.text, families)


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with client_of(house) as client:
        yield client


def client_of(house: World) -> FlaskClient:
    return create_app(Settings(branch="b1"), house.service).test_client()


def condition(type: str, status: bool | None) -> Condition:
    return Condition(type, status, "Reason", "words", START)


# Instances, as they are stored


def test_an_instance_that_is_well(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    found, of_w1 = scrape(client), {"app": "foo", "worker": "w1"}
    assert [
        found.value(f"cyme_instance_{each}", **of_w1)
        for each in ("enabled", "paused", "ready", "consuming")
    ] == [1, 0, 1, 1]
    assert found.value("cyme_instances", app="foo", state="RUNNING") == 1
    assert found.value("cyme_queue_consumers", app="foo", queue="tasks") == 1


def test_conditions_are_told_under_their_status(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    house.branch.override = {
        "ready": False,
        "consuming": False,
        "state": ProcessState.FATAL,
        "queues": (),
        "conditions": (condition("CrashLooping", True), condition("Ready", False)),
    }
    house.branch.run()
    found, of_w1 = scrape(client), {"app": "foo", "worker": "w1"}
    assert found.value("cyme_instance_ready", **of_w1) == 0
    assert found.value("cyme_instances", app="foo", state="FATAL") == 1
    assert found.value("cyme_queue_consumers", app="foo", queue="tasks") == 0
    assert found.labels("cyme_instance_condition") == [
        {**of_w1, "condition": "CrashLooping", "status": "true"},
        {**of_w1, "condition": "Ready", "status": "false"},
    ]


def test_what_nobody_knows_has_no_line(client: FlaskClient, house: World) -> None:
    put(house)
    unknown = (condition("Ready", None),)
    house.branch.override = {"ready": None, "consuming": None, "conditions": unknown}
    house.branch.run()
    found = scrape(client)
    assert found.labels("cyme_instance_ready") == found.labels("cyme_instance_consuming") == []
    assert [one["status"] for one in found.labels("cyme_instance_condition")] == ["unknown"]


def test_of_a_branch_that_does_not_pass_nothing_is_known(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    passed_at = house.clock.now().timestamp()
    house.branch.is_dead = True
    house.clock.sleep(STALE_AFTER * SUP_INTERVAL_S + 1)
    found = scrape(client)
    assert found.value("cyme_instance_enabled", app="foo", worker="w1") == 1
    assert found.labels("cyme_instance_ready") == found.labels("cyme_queue_consumers") == []
    assert found.value("cyme_instances", app="foo", state="unknown") == 1
    last = found.value("cyme_reconciler_last_pass_timestamp_seconds")
    assert last == pytest.approx(passed_at, abs=1)


def app_paused(tx: Transaction, pause: Pause) -> None:
    tx.save_app(replace(tx.app("foo"), pause=pause))


def queue_paused(tx: Transaction, pause: Pause) -> None:
    tx.save_queue(replace(tx.queue("foo", "tasks"), pause=pause))


def instance_paused(tx: Transaction, pause: Pause) -> None:
    tx.save_instance(replace(tx.instance("w1"), pause=pause))


@pytest.mark.parametrize("edit", [app_paused, queue_paused, instance_paused])
def test_pauses_of_all_kinds_until_they_end(
    client: FlaskClient, house: World, edit: Callable[[Transaction, Pause], None]
) -> None:
    declare(house, "tasks")
    put(house, queues=["tasks"])
    with house.store.writing() as tx:
        edit(tx, Pause("deploy", START, house.clock.now() + timedelta(seconds=60)))
    assert scrape(client).value("cyme_instance_paused", app="foo", worker="w1") == 1
    house.clock.sleep(61)
    assert scrape(client).value("cyme_instance_paused", app="foo", worker="w1") == 0


def test_one_that_is_disabled(client: FlaskClient, house: World) -> None:
    put(house)
    client.post("/foo/instances/w1/disable/")
    assert scrape(client).value("cyme_instance_enabled", app="foo", worker="w1") == 0


# The branch


def test_supervisord_and_brokers(client: FlaskClient, house: World) -> None:
    house.branch.health = {
        "supervisord": {"ok": False, "room": 400},
        "brokers": {"a": {"ok": True}, "b": {"ok": False}, "c": {"ok": None}, "d": {"ok": True}},
    }
    house.branch.run()
    found = scrape(client)
    assert found.value("cyme_supervisord_reachable") == 0
    assert found.value("cyme_supervisord_room") == 400
    states = {one["state"] for one in found.labels("cyme_brokers")}
    assert {state: found.value("cyme_brokers", state=state) for state in states} == {
        "up": 2,
        "down": 1,
        "unknown": 1,
    }


def test_a_store_that_cannot_be_read_is_told(client: FlaskClient, house: World) -> None:
    put(house)
    house.service.metrics.time(PASSES, 0.2, "full")
    # Who may ask was known before.
    scrape(client)
    house.store.failure = Unavailable("locked")
    found = scrape(client)
    assert found.value("cyme_store_readable") == 0
    assert found.labels("cyme_instance_enabled") == []
    assert found.value("cyme_pass_duration_seconds_count", kind="full") == 1


# What is counted


def test_a_histogram_adds_up(client: FlaskClient, house: World) -> None:
    for seconds in (0.0, 0.2, 1000.0):
        house.service.metrics.time(PASSES, seconds, "full")
    found = scrape(client)
    name = "cyme_pass_duration_seconds_bucket"
    of_full = {each: found.value(name, kind="full", le=each) for each in ("0.005", "0.5", "+Inf")}
    assert of_full == {"0.005": 1, "0.5": 2, "+Inf": 3}
    assert found.value("cyme_pass_duration_seconds_sum", kind="full") == pytest.approx(1000.2)


def test_what_the_branch_tells(house: World) -> None:
    class Told(Metrics):
        def totals(self) -> Totals:
            return Totals({}, {(LIVE.name, ("b2",)): 0.0, (MESSAGES.name, ("foo", 'a"\\b')): 3.0})

    house.service.measuring._metrics = Told()
    with client_of(house) as client:
        found = scrape(client)
    assert found.value("cyme_branch_live", branch="b2") == 0
    assert found.value("cyme_queue_messages", app="foo", queue='a"\\b') == 3


def requests(client: FlaskClient) -> dict[tuple[str, str, str], float]:
    family = scrape(client).families["cyme_http_requests"]
    return {
        (one.labels["method"], one.labels["route"], one.labels["status"]): one.value
        for one in family.samples
    }


def test_requests_by_their_route_and_never_by_their_path(client: FlaskClient, house: World) -> None:
    put(house)
    for _ in range(2):
        client.get("/foo/instances/w1/")
    client.get("/foo/instances/none-such/")
    client.get("/foo/instances/w1/", headers={"Host": "evil.example"})
    client.post("/foo/instances/!/w1/restart/")
    client.get("/no/such/route/at/all/")
    client.open("/foo/", method="BREW")
    assert requests(client) == {
        ("GET", "/<app>/instances/<name>/", "200"): 2,
        ("GET", "/<app>/instances/<name>/", "404"): 1,
        ("GET", "/<app>/instances/<name>/", "403"): 1,
        ("POST", "/<app>/instances/!/<name>/restart/", "202"): 1,
        ("GET", "none", "404"): 1,
        ("other", "none", "405"): 1,
    }
    assert requests(client)["GET", "/metrics/", "200"] == 1


def test_a_client_does_not_name_the_route(client: FlaskClient) -> None:
    client.get("/foo/", headers={"Cyme-Route": "/mine"}, environ_overrides={"cyme.route": "/mine"})
    assert list(requests(client)) == [("GET", "/<app>/", "200")]


def test_a_url_that_is_queued_is_not_told(client: FlaskClient, house: World) -> None:
    declare(house, "tasks")
    assert client.post(f"/foo/queue/tasks/{TARGET}").status_code == 202
    found = scrape(client)
    counted = ("POST", "/<app>/queue/<queue>/<url>", "202")
    assert requests(client)[counted] == 1
    assert "93.184" not in found.text
    assert "s3cret" not in found.text


def test_one_too_many_is_counted(house: World) -> None:
    app = create_app(Settings(branch="b1", processes=1, api_rate=1), house.service)
    with app.test_client() as limited:
        answers = [limited.get("/foo/").status_code for _ in range(5)]
    with client_of(house) as client:
        counted = requests(client)
    refused = answers.count(429)
    assert refused > 0
    assert counted["GET", "none", "429"] == refused
    assert counted["GET", "/<app>/", "200"] == 5 - refused


# The text


def test_every_metric_says_what_it_means(client: FlaskClient, house: World) -> None:
    put(house)
    text = scrape(client).text
    types = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    assert [name for name, _ in types] == list(helps)
    for name, kind in types:
        assert name.startswith("cyme_")
        assert helps[name].endswith(".")
        assert (kind == "counter") == name.endswith("_total"), name
    for line in text.splitlines():
        assert line.startswith("#") or re.match(r"(cyme_\w+)", line)


def test_it_takes_no_parameters(client: FlaskClient) -> None:
    assert client.get("/metrics/?all=1").status_code == 400


# The rules of conf/


def expressions() -> list[str]:
    """Of every rule; the folded ones in one line."""
    text = RULES.read_text()
    found = re.findall(r"^ {8}expr: (?:>-\n((?: {10}.+\n)+)|(.+)\n)", text, re.MULTILINE)
    return [" ".join((folded or plain).split()) for folded, plain in found]


def named(expression: str) -> set[str]:
    """The metrics in *expression*: words that are no labels, functions or operators."""
    plain = re.sub(r"\{[^}]*\}|\b(by|on|without) \([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:cyme_\w+|up)\b", plain))


def test_the_rules_ask_for_what_there_is(client: FlaskClient, house: World) -> None:
    put(house)
    known = scrape(client).names | {UP}
    assert len(expressions()) == RULES.read_text().count("- alert:") > 8
    for expression in expressions():
        assert named(expression), expression
        assert named(expression) <= known, expression


def test_the_rules_say_what_to_do() -> None:
    rules = RULES.read_text().split("- alert:")[1:]
    for rule in rules:
        for part in ("expr:", "for:", "severity:", "summary:", "description:"):
            assert part in rule, rule
    names = [rule.split()[0] for rule in rules]
    assert len(set(names)) == len(names)


def test_the_rules_name_conditions_that_there_are() -> None:
    asked = set(re.findall(r'condition="(\w+)"', RULES.read_text()))
    # Of what is said of one that answers, and of one that ends too often.
    assert asked == {CRASH_LOOPING, "Progressing"}


# Many of them


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url(tmp_path / "branch.db"), BROKER, branch="b1")
    migrate(made.engine)
    yield made
    made.close()


def fill(house: World, store: SqlStore, count: int) -> None:
    conditions = tuple(condition(each, True) for each in ("Ready", "Consuming", "Progressing"))
    plain = Status("", 1, ProcessState.RUNNING, 100, True, True, (1, 1), ("tasks",), conditions)
    with store.writing() as tx:
        tx.add_app(App("shop", START))
        tx.add_queue(Queue("shop", "tasks", "tasks", "direct", "tasks", {}, START))
        tx.save_branch(replace(house.branch.row(), observed_at=house.clock.now()))
        names = [f"worker-{number:04}" for number in range(count)]
        for name in names:
            tx.add_instance(Instance(name, "shop", "b1", START, queues=("tasks",)))
        tx.save_statuses([replace(plain, name=name) for name in names])


@pytest.mark.parametrize("count", [10, 1000])
def test_what_a_scrape_costs_does_not_grow_but_for_the_lines(
    house: World, store: SqlStore, count: int
) -> None:
    fill(house, store, count)
    service = house.over(store)
    asked: list[str] = []
    with create_app(Settings(branch="b1"), service).test_client() as client:
        scrape(client)
        event.listen(store.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        found = scrape(client)
    assert found.value("cyme_queue_consumers", app="shop", queue="tasks") == count
    assert len(found.labels("cyme_instance_condition")) == 3 * count
    assert len(asked) <= 20, asked
    assert len(found.text) <= 16_000 + 1000 * count
    assert house.broker_queues.asked == []
    assert house.questions.asked == []
