"""What is typed, in order, and what should come of it. Data, and nothing else.

In every text ``{name}`` is a name's value: one of those that the runner has
from the beginning, or one that a step ``keeps`` of its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cyme_supd import __version__

#: How long something may take that nobody promised at once.
SOON_S = 20.0


@dataclass(frozen=True)
class Says:
    """What the worker itself should say. ``queues`` are those besides its own."""

    queues: tuple[str, ...] = ()
    max: int = 1
    min: int = 1
    is_new_process: bool = False


@dataclass(frozen=True)
class Arrives:
    """The request that the tour's web server should have got, once."""

    method: str
    path: str
    body: str = ""
    agent: str = f"Celery/cyme v{__version__}"


@dataclass(frozen=True)
class Step:
    """One command.

    A ``title`` begins a paragraph; without one the step belongs to the one
    before. ``answer`` is what its answer must hold, at least; ``shows`` the
    keys of it, dotted, that a person sees: ``None`` is all of them. What
    ``worker`` is ``None`` for has nobody that answers.
    """

    command: str
    title: str = ""
    does: Literal["start", "ask", "run", "interrupt"] = "ask"
    status: int = 200
    answer: Any = field(default_factory=dict)
    shows: str | None = None
    keeps: Mapping[str, str] = field(default_factory=dict)
    worker: Says | None = None
    arrives: Arrives | None = None
    within_s: float = 0.0
    is_in_readme: bool = True


OK = {"ok": "ok"}
IDLE = Says()
CONSUMES = Says(("tasks",))
SCALES = Says(("tasks",), max=3)
INSTANCE = "{url}/foo/instances/{worker}"

STEPS = (
    Step(
        "cyme-branch :{port} -i {branch}{with_broker}",
        "``make run`` starts a branch, prints where everything is, and stays in the foreground. So "
        "does the command itself, which is in ``.venv/bin`` like the others below: "
        "``. .venv/bin/activate`` has a shell find them",
        does="start",
    ),
    Step(
        "curl -X POST {url}/foo/",
        "From another terminal in the same folder, make an application, whose workers are to use "
        "the branch's broker, and one with a broker of its own",
        status=201,
        answer={"name": "foo", "instances": []},
        shows="name broker.hostname broker.port",
    ),
    Step(
        "curl -X POST {url}/bar/",
        status=201,
        answer={"name": "bar"},
        shows="name broker.hostname",
        is_in_readme=False,
    ),
    Step(
        "curl {url}/bar/ \\\n"
        "    -d hostname=mq.example -d userid=bar -d password=s3cret -d vhost=/",
        answer={
            "name": "bar",
            "broker": {
                "hostname": "mq.example",
                "port": 5672,
                "userid": "bar",
                "password": "********",
                "virtual_host": "/",
            },
            "restarting": [],
        },
        shows="name broker.url",
    ),
    Step("curl {url}/", answer=["bar", "foo"]),
    Step(
        "curl {url}/foo/",
        answer={"name": "foo", "instances": []},
        shows="name instances",
        is_in_readme=False,
    ),
    Step(
        "curl -X PUT {url}/foo/instances/",
        "A worker for it. The answer comes when the worker has answered, not when it was started",
        status=201,
        answer={
            "app": "foo",
            "branch": "{branch}",
            "is_enabled": True,
            "queues": [],
            "max_concurrency": 1,
            "min_concurrency": 1,
            "ready": True,
            "consuming": True,
        },
        shows="name app branch is_enabled queues max_concurrency min_concurrency pool pid ready",
        keeps={"worker": "name"},
        worker=IDLE,
    ),
    Step("curl {url}/foo/instances/", answer=["{worker}"], worker=IDLE),
    Step(
        "curl -X PUT {url}/foo/instances/extra/",
        status=201,
        answer={"name": "extra", "ready": True},
        shows="name ready",
        worker=IDLE,
        is_in_readme=False,
    ),
    Step("curl -X DELETE {url}/foo/instances/extra/", answer=OK, worker=IDLE, is_in_readme=False),
    Step(
        "curl -X POST {url}/foo/queues/tasks/ -d exchange=tasks -d routing_key=tasks",
        "Declare a queue, and have the worker consume from it; the answer comes when it does",
        status=201,
        answer={
            "name": "tasks",
            "exchange": "tasks",
            "exchange_type": "direct",
            "routing_key": "tasks",
            "options": {},
        },
        shows="name exchange exchange_type routing_key options",
        worker=IDLE,
    ),
    Step("curl {url}/foo/queues/", answer=["tasks"], worker=IDLE, is_in_readme=False),
    Step(
        "curl {url}/foo/queues/tasks/",
        answer={"name": "tasks", "exchange": "tasks", "routing_key": "tasks"},
        shows="name exchange routing_key",
        worker=IDLE,
        is_in_readme=False,
    ),
    Step(
        "curl -X PUT \\\n    " + INSTANCE + "/queues/tasks/",
        status=201,
        answer=OK,
        worker=CONSUMES,
    ),
    Step(
        "grep consume_from instances/branch.log",
        does="run",
        answer="{worker}: consume_from tasks",
        worker=CONSUMES,
    ),
    Step(
        "curl '{url}/foo/queue/tasks/{target}/hello?name=Ada'",
        "Queue a URL, here one of a small web server on port 8080 (``python -m docs.tour.target`` "
        "in a third terminal is it): a worker that consumes from ``tasks`` requests it, with the "
        "verb that you used, and what comes back is the task's result",
        status=202,
        answer={"url": "{target}/hello?name=Ada", "queue": "tasks", "method": "GET"},
        shows="uuid url queue method",
        keeps={"task": "uuid"},
        worker=CONSUMES,
    ),
    Step(
        "curl {url}/foo/query/{task}/state/",
        answer={"state": "SUCCESS"},
        worker=CONSUMES,
        arrives=Arrives("GET", "/hello?name=Ada"),
        within_s=SOON_S,
    ),
    Step(
        "curl {url}/foo/query/{task}/result/",
        answer={"state": "SUCCESS", "result": {"status_code": 200, "body": "Hello, Ada!"}},
        shows="state result.status_code result.body",
        worker=CONSUMES,
    ),
    Step(
        "curl {url}/foo/queue/tasks/{target}/people \\\n    -d name=Ada -d born=1815",
        "What you send with it goes along; and you can wait for the result",
        status=202,
        answer={"url": "{target}/people", "queue": "tasks", "method": "POST"},
        shows="uuid url queue method",
        keeps={"posted": "uuid"},
        worker=CONSUMES,
    ),
    Step(
        "curl {url}/foo/query/{posted}/wait/",
        answer={"state": "SUCCESS", "result": {"status_code": 201, "body": "Welcome, Ada!"}},
        shows="state result.status_code result.body",
        worker=CONSUMES,
        arrives=Arrives("POST", "/people", "name=Ada&born=1815"),
    ),
    Step(
        "curl {url}/foo/instance/{worker}/stats/",
        "Look at the worker as Celery sees it, and let it scale between one process and three "
        "while it runs",
        answer={
            "pid": "{pid}",
            "total": {"cyme.request": 2},
            "autoscaler": {"max": 1, "min": 1},
            "instance": {"name": "{worker}", "queues": ["tasks"]},
        },
        shows="pid total autoscaler.max autoscaler.min",
        worker=CONSUMES,
    ),
    Step(
        "curl {url}/foo/instance/{worker}/autoscale/",
        answer={"max": 1, "min": 1},
        worker=CONSUMES,
        is_in_readme=False,
    ),
    Step(
        "curl -X POST \\\n    '" + INSTANCE + "/autoscale/?max=3&min=1'",
        answer={"max": 3, "min": 1},
        worker=SCALES,
    ),
    Step(
        "kill -9 $(cat instances/instances/{worker}/worker.pid)",
        "Kill it. It is back with the limits and the queues of today, before you can look",
        does="run",
        worker=Says(("tasks",), max=3, is_new_process=True),
        within_s=SOON_S,
    ),
    Step(
        "curl " + INSTANCE + "/",
        answer={
            "name": "{worker}",
            "pid": "{pid}",
            "ready": True,
            "queues": ["tasks"],
            "max_concurrency": 3,
        },
        shows="name queues max_concurrency pid ready",
        worker=SCALES,
        within_s=SOON_S,
    ),
    Step(
        "supervisorctl -c instances/supervisord.conf status",
        "supervisord keeps the processes, and its tools work as you know them",
        does="run",
        answer="cyme:branch",
        worker=SCALES,
    ),
    Step(
        "curl -X POST '{url}/foo/?brokr=amqp://mq//'",
        "What cannot be done is said in words",
        status=400,
        answer={"error": {"code": "invalid", "hint": "did you mean 'broker'?"}},
        worker=SCALES,
    ),
    Step(
        "curl -X DELETE {url}/foo/queues/",
        status=400,
        answer={"error": {"code": "invalid"}},
        worker=SCALES,
        is_in_readme=False,
    ),
    Step(
        "curl -X DELETE \\\n    " + INSTANCE + "/queues/tasks/",
        "Clean up: stop consuming, forget the queue, delete the worker, which finishes what it has "
        "begun",
        answer=OK,
        worker=Says(max=3),
    ),
    Step("curl -X DELETE {url}/foo/queues/tasks/", answer=OK, worker=Says(max=3)),
    Step("curl -X DELETE {url}/instances/{worker}/", answer=OK),
    Step("curl {url}/foo/instances/", answer=[], is_in_readme=False),
    Step(
        "^C",
        "``^C`` in the first terminal stops workers warmly, all at once, then web and branch, then "
        "the broker. A second ``^C`` kills what is left.",
        does="interrupt",
    ),
)


def with_names(value: Any, names: Mapping[str, Any]) -> Any:
    """*value*, a text or made of texts, in which every ``{name}`` is that name's value."""
    if isinstance(value, str):
        # One that is nothing but a name keeps that value's type.
        alone = value[1:-1] if value[:1] == "{" and value[-1:] == "}" else ""
        return names[alone] if alone in names else value.format_map(names)
    if isinstance(value, Mapping):
        return {key: with_names(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_names(inner, names) for inner in value]
    return value
