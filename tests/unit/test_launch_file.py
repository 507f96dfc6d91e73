"""What a worker is launched with, and what of it needs a new process."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.domain.declaration import entry
from cyme_supd.domain.spec import Queue
from tests.unit.values import AT, BROKER, a_worker, an_app, the_launch

QUEUE = Queue("foo", "tasks", "ex", "topic", "a.b", {"max_priority": 9}, AT)


def test_it_boots_on_its_own_queue_lean_and_by_its_full_name() -> None:
    argv = the_launch(a_worker(max_concurrency=4, min_concurrency=2)).argv

    named = ("worker", "-n", "w1@b1", "-Q", "dq.w1")
    assert argv[:8] == ("/venv/bin/celery", "-A", "cyme_boot:app", *named)
    assert {"--without-mingle", "--without-gossip", "--autoscale=4,2"} <= set(argv)


def test_no_secret_is_on_the_command_line() -> None:
    worker = a_worker(an_app(environment={"TOKEN": "secret"}, result_backend="db://u:secret@h/"))

    assert "secret" not in " ".join(the_launch(worker).argv)


def test_the_broker_wins_over_the_apps_own_in_all_three_places() -> None:
    environment = the_launch(a_worker()).environment

    assert {environment[f"CELERY_BROKER_{kind}URL"] for kind in ("", "READ_", "WRITE_")} == {BROKER}


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_pool_without_an_autoscaler_gets_a_fixed_size(pool: str) -> None:
    argv = the_launch(a_worker(pool=pool, max_concurrency=1)).argv

    assert argv[-2:] == ("--concurrency", "1")


def test_the_instances_words_and_settings_come_after_the_apps() -> None:
    app = an_app(arguments=("--a",), extra_config={"x": 1, "y": 1})
    launch = the_launch(a_worker(app, arguments=("--b",), extra_config={"y": 2}))

    assert launch.argv.index("--a") < launch.argv.index("--b")
    assert (launch.boot["config"]["x"], launch.boot["config"]["y"]) == (1, 2)


def test_queues_go_along_with_their_full_declarations() -> None:
    entries = the_launch(replace(a_worker(), queues=(QUEUE,))).boot["queues"]

    assert [entry["name"] for entry in entries] == ["dq.w1", "tasks"]
    assert entries[1] == {
        "name": "tasks",
        "exchange": "ex",
        "exchange_type": "topic",
        "routing_key": "a.b",
        "options": {"max_priority": 9},
        "digest": entry(QUEUE)["digest"],
    }


def test_limits_and_queues_change_the_file_and_not_the_identity() -> None:
    before = the_launch(a_worker())

    for after in (
        the_launch(a_worker(max_concurrency=9)),
        the_launch(replace(a_worker(), queues=(QUEUE,))),
    ):
        assert after.digest != before.digest
        assert after.identity == before.identity


@pytest.mark.parametrize(
    "changes",
    [
        {"restarts": 1},
        {"pool": "gevent"},
        {"arguments": ("--x",)},
        {"extra_config": {"task_time_limit": 5}},
    ],
)
def test_what_a_running_worker_cannot_change_changes_the_identity(
    changes: dict[str, Any],
) -> None:
    assert the_launch(a_worker(**changes)).identity != the_launch(a_worker()).identity


def test_limits_of_threads_need_a_new_process() -> None:
    few, many = (a_worker(pool="threads", max_concurrency=n, min_concurrency=n) for n in (1, 2))

    assert the_launch(few).identity != the_launch(many).identity


def test_it_is_json_and_the_same_every_time() -> None:
    launch = the_launch(a_worker(an_app(environment={"B": "1", "A": "2"})))

    assert json.loads(json.dumps(launch.as_dict())) == launch.as_dict()
    assert the_launch(a_worker(an_app(environment={"A": "2", "B": "1"}))).digest == launch.digest
