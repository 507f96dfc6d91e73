"""Three branches with a store each, asked over HTTP: any of them answers for all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyme_supd.service.fleet import API
from cyme_supd.web.forwarding import UNKNOWN
from tests.unit.fleet_support import Places, ok, three_places


@pytest.fixture
def places() -> Places:
    return three_places()


def make(places: Places, name: str, branch: str, through: str = "b1", app: str = "foo") -> None:
    made = places[through].client.put(f"/{app}/instances/{name}/", json={"branch": branch})
    assert ok(made, 201)["branch"] == branch


@pytest.fixture
def foo(places: Places) -> Places:
    ok(places["b1"].client.put("/foo/"), 201)
    for number, branch in enumerate(places, start=1):
        make(places, f"w{number}", branch)
    return places


def test_an_app_that_is_made_on_one_is_known_to_all(places: Places) -> None:
    ok(places["b2"].client.put("/foo/", json={"arguments": "-O fair"}), 201)
    for place in places.values():
        assert ok(place.client.get("/")) == ["foo"]
        assert ok(place.client.get("/foo/"))["arguments"] == ["-O", "fair"]


def test_lists_are_of_the_whole_fleet(foo: Places) -> None:
    for place in foo.values():
        assert ok(place.client.get("/foo/instances/")) == ["w1", "w2", "w3"]
        assert ok(place.client.get("/foo/"))["instances"] == ["w1", "w2", "w3"]


def test_they_come_in_pages(foo: Places) -> None:
    first = foo["b3"].client.get("/foo/instances/?limit=2")
    assert ok(first) == ["w1", "w2"]
    rest = foo["b3"].client.get(first.headers["Link"].partition(">")[0].removeprefix("<"))
    assert (ok(rest), "Link" in rest.headers) == (["w3"], False)


@pytest.mark.parametrize("through", ["b1", "b2", "b3"])
def test_any_instance_is_asked_through_any_branch(foo: Places, through: str) -> None:
    client = foo[through].client
    for number, branch in enumerate(foo, start=1):
        found = ok(client.get(f"/foo/instance/w{number}/"))
        assert (found["branch"], found["ready"]) == (branch, True)
        assert ok(client.post(f"/foo/instances/w{number}/autoscale/", json={"max": 3})) == {
            "max": 3,
            "min": 1,
        }
        log = client.get(f"/foo/instances/w{number}/log/?bytes=4")
        assert (log.status_code, log.get_data(as_text=True)) == (200, "two\n")
        if branch != through:
            refused = ok(client.get(f"/foo/instances/w{number}/log/?follow=1"), 501)["error"]
            assert refused["hint"] == f"GET http://h/foo/instances/w{number}/log/?follow=1"


@pytest.mark.parametrize("path", ["/foo/instances/w2/", "/instances/w2/", "/foo/instances/!/w2/"])
def test_any_instance_is_deleted_through_any_branch(foo: Places, path: str) -> None:
    assert foo["b3"].client.delete(path).status_code in (200, 202)
    for _ in range(3):
        foo["b1"].house.clock.sleep(1)
    assert ok(foo["b1"].client.get("/foo/instances/")) == ["w1", "w3"]
    ok(foo["b1"].client.get("/foo/instances/w2/"), 404)


def test_an_error_crosses_as_itself(foo: Places) -> None:
    there = foo["b2"].client.post("/foo/instances/w2/autoscale/", json={"max": 0})
    here = foo["b1"].client.post("/foo/instances/w2/autoscale/", json={"max": 0})
    assert here.status_code == there.status_code == 400
    assert here.get_json() == there.get_json()


def test_a_name_is_one_fleets(foo: Places) -> None:
    for through in foo:
        edited = foo[through].client.put("/foo/instances/w2/", json={"max_concurrency": 2})
        assert ok(edited)["branch"] == "b2"
    moved = foo["b1"].client.put("/foo/instances/w2/", json={"branch": "b3"})
    assert ok(moved, 409)["error"]["code"] == "conflict"
    ok(foo["b1"].client.put("/bar/"), 201)
    taken = foo["b3"].client.put("/bar/instances/w2/")
    assert ok(taken, 409)["error"]["code"] == "conflict"


def test_a_branch_that_has_just_come_is_told_of_the_app(foo: Places) -> None:
    foo["b3"].peer.is_mute = True
    ok(foo["b1"].client.put("/bar/"), 201)
    ok(foo["b1"].client.put("/bar/queues/tasks/"), 201)
    foo["b3"].peer.is_mute = False
    asked = {"branch": "b3", "queues": ["tasks"]}
    ok(foo["b1"].client.put("/bar/instances/w9/", json=asked), 201)
    asked = {"branch": "b3", "queues": ["nonsense"]}
    ok(foo["b1"].client.put("/bar/instances/w10/", json=asked), 404)


def test_one_that_was_just_made_elsewhere_is_not_moved(foo: Places) -> None:
    """As if it had been asked for on both at once, the one a moment later."""
    house = foo["b2"].house
    house.branch.is_dead = True
    ok(foo["b2"].client.put("/foo/instances/!/w9/", json={"branch": "b2"}), 202)
    again = foo["b1"].client.put("/foo/instances/!/w9/", json={"branch": "b1"})
    assert ok(again, 409)["error"]["message"] == "w9 is on branch 'b2'"


def test_a_branch_that_is_named(foo: Places) -> None:
    unknown = foo["b1"].client.put("/foo/instances/w9/", json={"branch": "b9"})
    assert ok(unknown, 404)["error"]["code"] == "not_found"
    draining = replace(foo["b2"].peer.heartbeat, is_draining=True)
    foo["b2"].peer.heartbeat = draining
    refused = foo["b1"].client.put("/foo/instances/w9/", json={"branch": "b2"})
    assert "draining" in ok(refused, 503)["error"]["message"]
    bad = foo["b1"].client.put("/foo/instances/w9/", json={"placement": "sprad"})
    assert "spread" in ok(bad, 400)["error"]["hint"]


def test_a_name_that_is_free_again_is_made_where_it_is_wanted(foo: Places) -> None:
    """Whoever remembers where it was asks there first."""
    ok(foo["b1"].client.get("/foo/instances/w2/"))
    ok(foo["b3"].client.delete("/foo/instances/w2/"))
    make(foo, "w2", "b3", through="b1")
    ok(foo["b2"].client.delete("/foo/instances/w2/"))
    draining = replace(foo["b3"].peer.heartbeat, is_draining=True)
    foo["b3"].peer.heartbeat = draining
    again = ok(foo["b1"].client.put("/foo/instances/w2/"), 201)
    assert again["branch"] in ("b1", "b2")


def test_a_branch_is_drained_through_any_other(foo: Places) -> None:
    assert ok(foo["b1"].client.post("/branches/b2/drain/"))["is_draining"] is True
    with foo["b2"].house.store.reading() as view:
        assert view.is_draining("b2")
    # Its next heartbeat says so, and another that it is over.
    assert ok(foo["b1"].client.post("/branches/b2/undrain/"))["is_draining"] is False
    ok(foo["b1"].client.post("/branches/b9/drain/"), 404)
    foo["b3"].peer.kill()
    foo["b1"].house.clock.sleep(60)
    ok(foo["b1"].client.post("/branches/b3/drain/"), 503)


def test_a_branch_is_told_through_any_other_to_move_what_it_has(foo: Places) -> None:
    begun = ok(foo["b1"].client.post("/branches/b2/drain/?move=1"))
    none_yet: dict[str, Any] = {"left": 1, "now": None, "to": None, "failed": {}, "reason": None}
    assert (begun["is_draining"], begun["moving"]) == (True, none_yet)
    own = foo["b2"].client
    # Told again, or only to drain, it goes on.
    ok(own.post("/branches/b2/drain/"))
    assert ok(own.get("/branches/b2/"))["moving"] == none_yet
    assert ok(own.get("/branches/b1/"))["moving"] is None
    foo["b2"].peer.heartbeat = replace(foo["b2"].peer.heartbeat, moving=none_yet)
    assert ok(foo["b3"].client.get("/branches/b2/"))["moving"] == none_yet
    ok(foo["b1"].client.post("/branches/b2/undrain/"))
    foo["b2"].house.service.moves.look()
    assert ok(own.get("/branches/b2/"))["moving"] is None
    assert ok(own.get("/foo/instances/w2/"))["branch"] == "b2"


def test_where_instances_would_go_is_not_said_before(foo: Places) -> None:
    refused = foo["b1"].client.post("/branches/b2/drain/?move=1&dry_run=1")
    assert "leave move out" in ok(refused, 400)["error"]["hint"]
    assert ok(foo["b2"].client.get("/branches/b2/"))["moving"] is None


def test_one_that_is_mute_is_said_to_be_unknown(foo: Places) -> None:
    foo["b2"].peer.is_mute = True
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1", "w3"], "b2")
    clock, begun = foo["b1"].house.clock, foo["b1"].house.clock.elapsed
    asked = foo["b1"].client.get("/foo/instances/w2/")
    assert ok(asked, 504)["error"]["code"] == "timeout"
    assert clock.elapsed - begun < 2.0
    # Nobody has it, but one that might have did not say so.
    never = foo["b1"].client.get("/foo/instances/w9/")
    assert "b2" in ok(never, 503)["error"]["message"]


def test_one_that_has_lapsed_is_not_asked(foo: Places) -> None:
    foo["b2"].peer.kill()
    foo["b1"].house.clock.sleep(60)
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1", "w3"], "b2")
    # Nobody who can be asked has it, which is not to say that it is gone.
    for refused in (
        foo["b1"].client.get("/foo/instances/w2/"),
        foo["b1"].client.delete("/foo/instances/w2/"),
    ):
        assert "b2" in ok(refused, 503)["error"]["message"]
    ok(foo["b1"].client.put("/foo/instances/w4/", json={"branch": "b3"}), 201)
    there = foo["b1"].client.put("/foo/instances/w5/", json={"branch": "b2"})
    assert "not there" in ok(there, 503)["error"]["message"]


def test_one_that_has_ended_is_not_left_out_without_a_word(foo: Places) -> None:
    foo["b1"].house.fleet.peers()
    foo["b2"].peer.stop()
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1", "w3"], "b2")


def test_one_that_comes_back_while_others_are_asked_is_not_left_out_either(foo: Places) -> None:
    foo["b2"].peer.kill()
    foo["b1"].house.clock.sleep(60)
    handlers = foo["b3"].peer.handlers
    answer = handlers[API]

    def come_back(arguments: Any, left_s: float) -> Any:
        foo["b2"].peer.is_alive = True
        return answer(arguments, left_s)

    handlers[API] = come_back
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1", "w3"], "b2")
    handlers[API] = answer
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), UNKNOWN in found.headers) == (["w1", "w2", "w3"], False)


def test_one_that_refuses_is_not_left_out_without_a_word(foo: Places) -> None:
    refusal = {"status": 503, "headers": [], "body": "{}"}
    foo["b2"].peer.handlers[API] = lambda arguments, left_s: refusal
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1", "w3"], "b2")
    unknown = ok(foo["b1"].client.get("/foo/orphans/"))["unknown"]
    assert {"what": "branch b2", "reason": "it answers 503"} in unknown


def test_an_app_with_instances_names_them_wherever_they_are(foo: Places) -> None:
    refused = ok(foo["b2"].client.delete("/foo/"), 409)["error"]
    assert refused["message"] == "app 'foo' has instances: w1, w2, w3"


def test_without_a_broker_a_branch_answers_for_itself(foo: Places) -> None:
    fleet = foo["b1"].house.fleet
    fleet.is_down = True
    found = foo["b1"].client.get("/foo/instances/")
    assert (ok(found), found.headers[UNKNOWN]) == (["w1"], "b2, b3")
    ok(foo["b1"].client.get("/foo/instances/w1/"))


def test_a_queue_is_declared_through_one_and_consumed_on_another(foo: Places) -> None:
    ok(foo["b1"].client.put("/foo/queues/tasks/"), 201)
    ok(foo["b3"].client.put("/foo/instances/w2/queues/tasks/"), 201)
    assert [each["name"] for each in ok(foo["b1"].client.get("/foo/instances/w2/queues/"))] == [
        "tasks"
    ]
    edited = ok(foo["b3"].client.put("/foo/queues/tasks/", json={"routing_key": "other"}))
    assert edited["restarting"] == ["w2"]
    assert ok(foo["b1"].client.delete("/foo/queues/tasks/")) == {"ok": "ok"}
    for place in foo.values():
        assert ok(place.client.get("/foo/queues/")) == []
    assert ok(foo["b1"].client.get("/foo/instances/w2/"))["queues"] == []


def test_an_edit_of_an_app_restarts_workers_everywhere(foo: Places) -> None:
    edited = ok(foo["b2"].client.post("/foo/", json={"arguments": "-O fair"}))
    assert edited["restarting"] == ["w1", "w2", "w3"]


def test_a_dry_run_is_one_of_all(foo: Places) -> None:
    plan = ok(foo["b2"].client.post("/foo/", json={"arguments": "-O fair", "dry_run": True}))
    assert plan["restarting"] == ["w1", "w2", "w3"]
    assert ok(foo["b3"].client.get("/foo/"))["arguments"] == []
    assert ok(foo["b3"].client.get("/foo/plan/"))["actions"] == []


def test_all_are_stopped_and_started(foo: Places) -> None:
    assert ok(foo["b2"].client.post("/foo/stop/")) == {"ok": "ok"}
    for number in (1, 2, 3):
        assert ok(foo["b1"].client.get(f"/foo/instances/w{number}/"))["is_enabled"] is False
    assert ok(foo["b2"].client.post("/foo/start/")) == {"ok": "ok"}
    assert ok(foo["b1"].client.get("/foo/instances/w3/"))["ready"] is True


def test_an_app_with_instances_elsewhere_is_not_deleted(foo: Places) -> None:
    ok(foo["b1"].client.delete("/foo/instances/w1/"))
    refused = ok(foo["b1"].client.delete("/foo/"), 409)
    assert "w2, w3" in refused["error"]["message"]
    assert ok(foo["b1"].client.delete("/foo/?force=1")) == {"ok": "ok"}
    for place in foo.values():
        assert ok(place.client.get("/")) == []


def test_a_task_is_known_to_whoever_queued_it_and_so_to_all(foo: Places) -> None:
    ok(foo["b1"].client.put("/foo/queues/tasks/"), 201)
    sent = foo["b2"].client.get("/foo/queue/tasks/http://h/x")
    id = ok(sent, 202)["uuid"]
    assert ok(foo["b3"].client.get(f"/foo/query/{id}/state/")) == {"state": "PENDING"}
    ok(foo["b3"].client.get("/foo/query/nonsense/state/"), 404)


@pytest.fixture
def task(foo: Places) -> str:
    """Queued by b2; where b3 asks for it."""
    ok(foo["b1"].client.put("/foo/queues/tasks/"), 201)
    id = ok(foo["b2"].client.get("/foo/queue/tasks/http://h/x"), 202)["uuid"]
    return f"/foo/query/{id}/state/"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_task_of_a_branch_that_is_away_is_not_said_to_be_none(
    foo: Places, task: str, how: str
) -> None:
    foo["b3"].house.fleet.peers()
    getattr(foo["b2"].peer, how)()
    foo["b3"].house.clock.sleep(60)
    refused = ok(foo["b3"].client.get(task), 503)["error"]
    assert (refused["code"], "b2" in refused["message"]) == ("unavailable", True)
    # No branch has that.
    ok(foo["b3"].client.get(task.replace("foo", "bar")), 404)


def test_a_task_is_told_of_by_who_knows_it_before_who_cannot_say(foo: Places, task: str) -> None:
    refusal = {"status": 503, "headers": [], "body": "{}"}
    foo["b1"].peer.handlers[API] = lambda arguments, left_s: refusal
    assert ok(foo["b3"].client.get(task)) == {"state": "PENDING"}
    ok(foo["b3"].client.get("/foo/query/nonsense/state/"), 503)


def test_an_instances_own_queue_is_there_for_all(foo: Places) -> None:
    ok(foo["b1"].client.get("/foo/queue/dq.w3/http://h/x"), 202)
    ok(foo["b1"].client.get("/foo/queue/dq.w9/http://h/x"), 404)
    ok(foo["b1"].client.put("/bar/"), 201)
    ok(foo["b1"].client.get("/bar/queue/dq.w3/http://h/x"), 404)


def test_of_two_that_claim_a_name_one_has_it(foo: Places) -> None:
    """The other's question comes while the first has noted its own, and not made it yet."""
    first, second = foo["b1"].house.service.claims, foo["b2"].house.service.claims
    outcomes = []
    with first.held("w9") as check_first:
        try:
            with second.held("w9") as check_second, foo["b2"].house.store.writing() as tx:
                check_second(tx)
                outcomes.append("second")
        except Exception as exc:
            outcomes.append(type(exc).__name__)
        try:
            with foo["b1"].house.store.writing() as tx:
                check_first(tx)
                outcomes.append("first")
        except Exception as exc:
            outcomes.append(type(exc).__name__)
    assert outcomes in (["second", "Conflict"], ["Conflict", "first"])
