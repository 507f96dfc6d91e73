"""How the answers of all branches become one."""

from __future__ import annotations

from typing import Any

from cyme_supd.web import gathering

WHY = {"b3": "it did not answer in time"}


def orphans(**found: Any) -> dict[str, Any]:
    kinds = ("queues", "tasks", "consumers", "processes", "unknown")
    return {kind: found.get(kind, []) for kind in kinds}


def test_a_message_is_nobodys_only_if_no_branch_takes_it() -> None:
    mails = {"name": "mails", "depth": 3, "reason": "no consumer"}
    jobs = {"name": "jobs", "depth": 1, "reason": "no consumer"}
    lost = {"name": "house.add", "queue": "jobs", "count": 2}
    here = orphans(queues=[mails, jobs], tasks=[lost])
    there = orphans(queues=[{**jobs, "depth": 2}], tasks=[{**lost, "count": 3}])

    found = gathering.orphans(here, {"b2": there}, {})

    assert (found["queues"], found["tasks"]) == ([jobs], [lost])
    assert gathering.orphans(here, {"b2": orphans()}, {})["queues"] == []


def test_what_is_on_a_host_is_told_of_whichever_it_is() -> None:
    one = {"instance": "w1", "queue": "old"}
    other = {"instance": "w2", "queue": "old"}
    silent = {"what": "instance w1", "reason": "it does not answer"}
    here = orphans(consumers=[one], processes=[{"pid": 1}], unknown=[silent])
    there = orphans(consumers=[one, other], processes=[{"pid": 1}], unknown=[silent])

    found = gathering.orphans(here, {"b2": there}, WHY)

    assert found["consumers"] == [one, other]
    assert found["processes"] == [{"pid": 1}, {"pid": 1}]
    assert found["unknown"] == [silent, {"what": "branch b3", "reason": WHY["b3"]}]


def rollout(state: str | None, number: int = 2, **found: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"restarted": [], "left": [], "stopped_at": None, "reason": ""}
    return {"state": state, "number": number, **empty, **found}


def test_a_rolling_restart_is_as_far_as_whoever_is_worst_off() -> None:
    here = rollout("done", restarted=["w1"])
    stopped = rollout("stopped", left=["w3"], stopped_at="w2", reason="it is not ready")

    found = gathering.rollout(here, {"b2": stopped, "b3": rollout("running", left=["w4"])}, {})

    assert (found["state"], found["stopped_at"]) == ("stopped", "w2")
    assert (found["restarted"], found["left"]) == (["w1"], ["w3", "w4"])
    # One that has not heard of it yet says nothing of this one.
    assert gathering.rollout(here, {"b2": rollout("stopped", 1)}, {})["state"] == "done"
