"""What is answered is what the OpenAPI document says: nothing less, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from cyme_supd.domain.task import Task, TaskState, UrlRequest
from cyme_supd.errors import Unavailable
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.contract_support import Contract, the_document
from tests.unit.service_support import World
from tests.unit.whole_support import GOING, JOB, RUN, whole_house

RESULT = {
    "status_code": 200,
    "headers": {"Content-Type": "text/plain"},
    "body": "Hello",
    "encoding": "utf-8",
    "truncated": False,
    "elapsed_s": 0.25,
    "url": "http://shop.example/",
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(the_document())


@pytest.fixture
def house() -> World:
    return whole_house()


@pytest.fixture
def client(house: World) -> Iterator[FlaskClient]:
    with create_app(Settings(branch="b1"), house.service).test_client() as client:
        yield client


def tasks(house: World) -> dict[str, str]:
    """The ids of three tasks, by how they ended."""
    waits, went, failed = house.service.tasks.queue_all("foo", "tasks", [_request()] * 3)
    now = house.clock.now()
    with house.store.writing() as tx:
        tx.save_tasks(
            [
                Task(went, "foo", TaskState.SUCCESS, RESULT, None, now),
                Task(failed, "foo", TaskState.FAILURE, None, "nobody answered", now),
            ]
        )
    return {"PENDING": waits, "SUCCESS": went, "FAILURE": failed}


def _request() -> Any:
    return UrlRequest("GET", "http://shop.example/", (), b"")


READINGS = (
    "/",
    "/foo/",
    "/foo/instances/",
    "/foo/instances/w1/",
    "/foo/instances/w1/stats/",
    "/foo/instances/w1/log/",
    "/foo/instances/w1/autoscale/",
    "/foo/instances/w1/history/",
    "/foo/instances/w1/tasks/",
    "/foo/instances/w1/queues/",
    "/foo/queues/",
    "/foo/queues/tasks/",
    "/foo/queues/others/",
    "/foo/restart/",
    "/foo/plan/",
    "/foo/orphans/",
    "/foo/tracking/",
    "/api/tasks/",
    "/api/tasks/t9/",
    "/api/tasks/t1/",
    "/api/tasks/export/",
    "/api/tasks/errors/",
    "/api/tasks/refusals/",
    "/branches/",
    "/branches/b1/",
    "/ping/",
    "/health/",
    "/api/openapi.json",
    "/api/docs",
    "/api/categories/",
    "/api/categories/example/",
    "/api/jobs/",
    "/api/jobs/troubles/",
    f"/api/jobs/{JOB.id}/",
    "/api/runs/",
    f"/api/runs/{RUN.id}/",
    f"/api/runs/{RUN.id}/output/",
    "/api/overview/",
    "/api/audit/",
    "/api/events/",
    "/api/queues/",
    "/api/samples/",
    "/metrics/",
)
OF_CALLERS = ("/api/users/", "/api/users/boris/", "/api/tokens/", "/api/tokens/0123456789ab/")
OF_TASKS = ("/foo/query/{id}/state/", "/foo/query/{id}/result/", "/foo/query/{id}/wait/")


@pytest.mark.parametrize("path", READINGS)
def test_reading(path: str, client: FlaskClient, contract: Contract) -> None:
    for query in ("", "?secrets=1") if "secrets" in _parameters(contract, path) else ("",):
        answer = client.get(path + query)
        assert answer.status_code == 200
        assert contract.complaints("GET", path, answer) == []


def _parameters(contract: Contract, path: str) -> set[str]:
    said = contract.document["paths"][contract.operation(path)]["get"]
    return {each["name"] for each in said["parameters"]}


def test_every_reading_is_tried(contract: Contract) -> None:
    tried = {contract.operation(path) for path in (*READINGS, *OF_TASKS, *OF_CALLERS)}
    readings = {path for path, item in contract.document["paths"].items() if "get" in item}
    # A GET that queues is no reading.
    assert readings - tried == {"/{app}/queue/{queue}/{url}"}


@pytest.mark.parametrize("state", ["PENDING", "SUCCESS", "FAILURE"])
@pytest.mark.parametrize("path", OF_TASKS)
def test_tasks(
    path: str, state: str, client: FlaskClient, house: World, contract: Contract
) -> None:
    where = path.replace("{id}", tasks(house)[state])
    answer = client.get(where, query_string={"timeout": 0} if "wait" in path else {})
    assert answer.status_code == (408 if state == "PENDING" and "wait" in path else 200)
    assert contract.complaints("GET", where, answer) == []


CHANGES: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("PUT", "/bar/", {"hostname": "mq", "password": "hunter2"}, 201),
    ("POST", "/foo/", {"pool": "solo"}, 200),
    ("DELETE", "/foo/", {"force": True}, 200),
    ("DELETE", "/foo/", {}, 409),
    ("POST", "/foo/start/", {}, 200),
    ("POST", "/foo/stop/", {}, 200),
    ("POST", "/foo/instances/", {}, 201),
    ("PUT", "/foo/instances/w3/", {}, 201),
    ("PUT", "/foo/instances/w1/", {"max_concurrency": 3}, 200),
    ("DELETE", "/foo/instances/w1/", {}, 200),
    ("DELETE", "/instances/w1/", {}, 200),
    ("POST", "/foo/instances/w1/enable/", {}, 200),
    ("POST", "/foo/instances/w1/disable/", {}, 200),
    ("POST", "/foo/instances/w1/restart/", {}, 200),
    ("POST", "/foo/instances/w1/restart/", {"timeout": 0}, 408),
    ("POST", "/foo/instances/w1/autoscale/", {"max": 3}, 200),
    ("POST", "/foo/instances/w1/autoscale/", {"max": -1}, 400),
    ("PUT", "/foo/queues/news/", {}, 201),
    ("PUT", "/foo/queues/tasks/", {"routing_key": "k"}, 200),
    ("DELETE", "/foo/queues/others/", {"purge": True}, 200),
    ("POST", "/foo/queues/others/purge/", {"expect": 2}, 200),
    ("DELETE", "/foo/queues/", {}, 400),
    ("PUT", "/foo/instances/w1/queues/others/", {}, 201),
    ("PUT", "/foo/instances/w1/queues/tasks/", {}, 200),
    ("DELETE", "/foo/instances/w1/queues/tasks/", {}, 200),
    ("POST", "/foo/pause/", {"reason": "lunch", "until": 60}, 408),
    ("POST", "/foo/resume/", {}, 200),
    ("POST", "/foo/queues/tasks/pause/", {}, 408),
    ("POST", "/foo/queues/tasks/resume/", {}, 200),
    ("POST", "/foo/instances/w1/pause/", {}, 408),
    ("POST", "/foo/instances/w1/resume/", {}, 200),
    ("POST", "/foo/restart/", {"max_unavailable": 2}, 202),
    ("POST", "/foo/restart/resume/", {}, 409),
    ("POST", "/foo/restart/abort/", {}, 409),
    ("PUT", "/api/category/example/", {"jobs": []}, 200),
    ("PUT", "/api/category/new/", {"jobs": [{"name": "a"}]}, 400),
    ("DELETE", "/api/category/example/", {}, 200),
    ("POST", f"/api/jobs/{JOB.id}/run/", {}, 202),
    ("POST", f"/api/jobs/{JOB.id}/pause/", {}, 200),
    ("POST", f"/api/jobs/{JOB.id}/resume/", {}, 200),
    ("POST", f"/api/runs/{GOING.id}/cancel/", {}, 202),
    ("POST", f"/api/runs/{RUN.id}/cancel/", {}, 409),
    ("POST", "/api/runs/prune/", {"keep": 0}, 200),
    ("POST", "/api/runs/prune/", {}, 400),
    ("POST", "/api/tasks/t9/retry/", {}, 201),
    ("POST", "/api/tasks/t9/retry/", {"dry_run": True}, 200),
    ("POST", "/api/tasks/t1/retry/", {}, 409),
    ("POST", "/api/tasks/retry/", {"state": "FAILURE"}, 200),
    ("POST", "/api/tasks/retry/", {}, 400),
    ("POST", "/api/tasks/t1/revoke/", {"terminate": True}, 202),
    ("POST", "/api/tasks/t9/revoke/", {}, 409),
    ("POST", "/branches/b1/drain/", {"move": True}, 200),
    ("POST", "/branches/b1/undrain/", {}, 200),
)


@pytest.mark.parametrize(("method", "path", "body", "status"), CHANGES)
def test_changing(
    method: str,
    path: str,
    body: dict[str, Any],
    status: int,
    client: FlaskClient,
    contract: Contract,
) -> None:
    answer = client.open(path, method=method, json=body)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert contract.complaints(method, path, answer) == []


@pytest.mark.parametrize(
    ("method", "path", "body"), sorted({each[:2]: each[:3] for each in CHANGES}.values(), key=str)
)
def test_a_dry_run(
    method: str, path: str, body: dict[str, Any], client: FlaskClient, contract: Contract
) -> None:
    answer = client.open(path, method=method, json={**body, "dry_run": True})
    assert answer.status_code in (200, 400, 409), answer.get_data(as_text=True)
    assert contract.complaints(method, path, answer) == []


@pytest.mark.parametrize(("method", "path", "body", "_"), CHANGES)
def test_its_asynchronous_form(
    method: str, path: str, body: dict[str, Any], _: int, client: FlaskClient, contract: Contract
) -> None:
    item = contract.document["paths"][contract.operation(path)]
    later = item[method.lower()]["x-asynchronous"]
    at = later.split("/").index("!")
    parts = path.split("/")
    answer = client.open("/".join([*parts[:at], "!", *parts[at:]]), method=method, json=body)
    assert answer.status_code in (200, 201, 202, 400, 409), answer.get_data(as_text=True)
    assert contract.complaints(method, path, answer) == []


def test_every_change_is_tried(contract: Contract) -> None:
    changed = [each[:2] for each in CHANGES] + [each[:2] for each in OF_ACCESS]
    tried = {(method, contract.operation(path)) for method, path in changed}
    changes = {
        ("PUT" if "put" in item and verb == "post" else verb.upper(), path)
        for path, item in contract.document["paths"].items()
        for verb in item
        if verb in ("put", "post", "delete") and "/queue/" not in path
    }
    assert changes - tried <= {("PUT", "/{app}/instances/")}


OF_ACCESS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("PUT", "/api/users/boris/", {"password": "correct horse", "role": "admin"}, 201),
    ("POST", "/api/users/", {"name": "boris", "password": "battery staple"}, 200),
    ("POST", "/api/tokens/", {"label": "deploy", "role": "operator"}, 201),
    ("DELETE", "/api/tokens/0123456789ab/", {}, 404),
    ("DELETE", "/api/users/boris/", {}, 200),
)


def test_who_may_ask(client: FlaskClient, contract: Contract) -> None:
    given: dict[str, Any] = {}
    for method, path, body, status in OF_ACCESS:
        answer = client.open(path, method=method, json=body, **given)
        assert answer.status_code == status, answer.get_data(as_text=True)
        assert contract.complaints(method, path, answer) == []
        if status == 201:
            # From now on somebody is known.
            given = {"auth": ("boris", "correct horse")} if method == "PUT" else given
        if path == "/api/users/":
            given = {"auth": ("boris", "battery staple")}
        ids = client.get("/api/tokens/", **given)
        assert contract.complaints("GET", "/api/tokens/", ids) == []
        reads = ["/api/users/", "/api/users/boris/"]
        for read in [*reads, *(f"/api/tokens/{id}/" for id in ids.get_json() if ids.is_json)]:
            assert contract.complaints("GET", read, client.get(read, **given)) == []


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/foo/instances/w9/"), ("POST", "/foo/instances/w1/autoscale/")]
)
def test_what_is_waited_for_in_vain(
    method: str, path: str, client: FlaskClient, house: World, contract: Contract
) -> None:
    house.branch.health = {"supervisord": {"ok": False, "reason": "it is down"}}
    house.branch.run()
    house.branch.override = {"generation": 0}
    answer = client.open(
        path, method=method, json={"max_concurrency": 4} if method == "PUT" else {"max": 4}
    )
    assert (answer.status_code, answer.get_json().get("converged")) == (202, False)
    assert contract.complaints(method, path, answer) == []


def test_a_pause_that_nobody_has_to_follow(client: FlaskClient, contract: Contract) -> None:
    client.post("/foo/stop/")
    for path in ("/foo/pause/", "/foo/queues/tasks/pause/", "/foo/instances/w1/pause/"):
        answer = client.post(path)
        assert answer.status_code == 200
        assert contract.complaints("POST", path, answer) == []


def test_pauses_and_rollouts_are_seen(client: FlaskClient, contract: Contract) -> None:
    client.post("/foo/pause/", json={"until": 60})
    client.post("/foo/queues/tasks/pause/")
    client.post("/foo/restart/")
    client.post("/branches/b1/drain/", json={"move": True})
    for path in ("/foo/", "/foo/queues/tasks/", "/foo/restart/", "/foo/plan/", "/branches/b1/"):
        assert contract.complaints("GET", path, client.get(path)) == []


def test_queueing(client: FlaskClient, contract: Contract) -> None:
    for method in ("GET", "POST", "PATCH"):
        path = "/foo/queue/tasks/http://shop.example/"
        answer = client.open(f"{path}?a=1&a=2&b=", method=method)
        assert answer.status_code == 202
        assert contract.complaints(method, path, answer) == []
    batch = ["http://shop.example/", {"url": "http://shop.example/", "data": [1]}]
    answer = client.post("/foo/queue/tasks/", json=batch)
    assert answer.status_code == 202
    assert contract.complaints("POST", "/foo/queue/tasks/", answer) == []
    said = contract.document["paths"]["/{app}/queue/{queue}/"]["put"]["requestBody"]
    assert contract.of_value(said["content"]["application/json"]["schema"], batch) == []


def test_ill_health(client: FlaskClient, house: World, contract: Contract) -> None:
    house.store.failure = Unavailable("locked")
    for path in ("/health/", "/foo/"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert contract.complaints("GET", path, answer) == []


def test_an_answer_that_is_not_as_it_says(client: FlaskClient, contract: Contract) -> None:
    answer = client.get("/foo/queues/tasks/")
    value = answer.get_json()
    schema = {"$ref": "#/components/schemas/DeclaredQueue"}
    assert contract.of_value(schema, value) == []
    assert contract.of_value(schema, {**value, "depth": "many"}) != []
    assert contract.of_value(schema, {**value, "news": 1}) != []
    del value["depth"]
    assert contract.of_value(schema, value) != []
    assert contract.complaints("GET", "/foo/", answer) != []
