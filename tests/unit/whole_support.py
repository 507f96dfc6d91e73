"""A service of which everything can be told that there is to tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.foresight import RunningTask
from cyme_supd.domain.job import Job, Run, RunEvent, RunOutput, run_id
from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import Gap, Refusal, source_key
from cyme_supd.domain.orphans import Inventory, Stray
from cyme_supd.domain.samples import Point, Sample
from cyme_supd.domain.status import Condition
from cyme_supd.domain.transitions import Transition
from tests.unit.service_support import BROKER, HERE, START, World
from tests.unit.url_support import with_a_queue

RESULT = {
    "status_code": 200,
    "headers": {"Content-Type": "text/plain"},
    "body": "Hello",
    "encoding": "utf-8",
    "truncated": False,
    "elapsed_s": 0.25,
    "url": "http://shop.example/",
}


SOURCE = source_key(parse_broker(BROKER).key, "platform.fifo")
#: All it takes to send a task again.
AGAIN = (
    '{"headers": {"task": "a"}, "body": "[[], {}, {}]", "encoding": "utf-8", "routing_key": "q"}'
)


LATER = START + timedelta(seconds=60)
JOB = Job("example", "Test Job", "R/2013-05-29T00:00:00/PT1M", START, command="sleep 10")
RUN = Run(run_id(JOB.id, START), JOB.id, JOB.category, JOB.name, START, "failed", START)
GOING = replace(RUN, id=run_id(JOB.id, LATER), fire_at=LATER, status="running", wants_cancel=True)


def _add_jobs(house: World) -> None:
    """One that has run, and one where all is said that may be."""
    full = {
        "name": "full",
        "schedule": "30 2 * * *",
        "argv": ["echo", "http://user:hunter2@host/"],
        "app": "foo",
        "timezone": "Europe/Berlin",
        "environment": {"PASSWORD": "hunter2"},
        "user": "nobody",
        **dict.fromkeys(("timeout_s", "deadline_s", "retries", "jitter_s"), 5),
    }
    house.service.jobs.replace(
        "example",
        [{"name": JOB.name, "schedule": JOB.schedule, "command": JOB.command}, full],
    )
    with house.store.writing() as tx:
        failed = replace(RUN, exit_code=1, host="h", started_at=START, reason="it failed")
        tx.add_runs([failed, GOING])
        tx.save_outputs([RunOutput(RUN.id, START, 70000, b"sorry\n", is_truncated=True)])
        tx.add_run_events([RunEvent(RUN.id, START, "failed", "exit code 1")])


def whole_house() -> World:
    """Where everything that can be told is there to tell."""
    made = with_a_queue()
    made.service.apps.put(
        "foo", {"environment": {"A": "b"}, "arguments": ["-O", "fair"], "is_tracked": True}
    )
    made.service.queues.put("foo", "others", {"options": {"durable": True}})
    condition = Condition("Drifted", True, "Edited", "by hand", START)
    made.branch.override = {"conditions": (condition,)}
    for name in ("w1", "w2"):
        made.service.instances.put("foo", name, {"queues": ["tasks"]}, 5)
    made.questions.answer = {"pid": 1000, "total": {"a.task": 1}}
    sample = Sample(START, "", Point(3, 1.5, 7, 1, 2, 4))
    with made.store.writing() as tx:
        tx.save_samples("b1", [sample])
        tx.save_transitions([Transition("w1", START, None, True, None, "")])
        tx.observe(
            SOURCE,
            [
                observed("t1", 1.0, "SENT"),
                observed("t2", 2.0, "SENT", parent="t1"),
                observed("t9", 3.0, "FAILURE", 0, error="E('x')"),
            ],
            {"t9": AGAIN},
        )
        tx.refuse([Refusal(SOURCE, 1.0, "no task")])
        tx.add_gap(Gap(SOURCE, "events", 1.0, 2.0))
    made.questions.running = [RunningTask("w1", "id", "a.task", START)]
    made.questions.known[f"w1@{HERE.id}"] = Inventory(frozenset({"dq.w1", "x"}), frozenset())
    made.broker_queues.holds(BROKER, "others", 2, 0, {"house.old": 2})
    _add_jobs(made)
    made.strays.left = [Stray(7, "w1", "sleep 60", START, has_worker=True)]
    made.branch.health = {
        "supervisord": {"ok": True, "has_extension": True},
        "threads": {"pulse": 0.5},
    }
    return made
