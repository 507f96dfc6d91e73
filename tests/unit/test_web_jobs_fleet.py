"""Jobs on several branches with a store each: any of them answers for all."""

from __future__ import annotations

import pytest

from cyme_supd.errors import Conflict
from cyme_supd.service.claims import CATEGORY
from tests.unit.fleet_support import Places, ok, three_places
from tests.unit.test_web_jobs import ENTRY, ID, a_run, job, names, put


@pytest.fixture
def places() -> Places:
    return three_places()


def test_a_category_is_on_one_branch_whoever_is_asked(places: Places) -> None:
    ok(put(places["b1"].client, {}))
    made = ok(put(places["b2"].client, {"command": "false"}, {"name": "b"}))
    assert (made["added"], made["changed"]) == (["b"], ["a"])
    for place in places.values():
        assert names(place.client) == ["a", "b"]
        assert job(place.client)["command"] == "false"
        (found,) = ok(place.client.get("/api/categories"))["data"]["categories"]
        assert found["job_count"] == 2
        assert len(ok(place.client.get("/api/categories/example"))["data"]["category"]["jobs"]) == 2
    assert not places["b2"].house.service.jobs.has_category("example")
    ok(places["b3"].client.post(f"/api/jobs/{ID}/pause"))
    assert job(places["b2"].client)["paused"]
    ok(places["b3"].client.delete("/api/category/example"))
    assert names(places["b1"].client) == []
    ok(places["b3"].client.delete("/api/category/example"), 404)


def test_pages_are_of_all_branches(places: Places) -> None:
    for category, branch in zip("xyz", places, strict=True):
        ok(put(places[branch].client, *({"name": n} for n in "ba"), category=category))
    for place in places.values():
        pages = [names(place.client, f"?per_page=4&page={page}") for page in (1, 2)]
        assert pages == [["a", "b", "a", "b"], ["a", "b"]]
        assert names(place.client, "?sort=-name&per_page=3") == ["b", "a", "b"]
        assert names(place.client, "?category_name=y") == ["a", "b"]
    run = a_run(places["b2"].house, 3)
    assert ok(places["b1"].client.get(f"/api/runs/{run.id}"))["data"]["run"]["id"] == run.id
    assert len(ok(places["b3"].client.get("/api/runs"))["data"]["runs"]) == 1
    too_deep = ok(places["b1"].client.get("/api/jobs?page=100&per_page=50"), 400)
    assert "gathered" in too_deep["error"]["message"]


def test_a_new_category_is_not_taken_while_another_may_have_it(places: Places) -> None:
    ok(put(places["b1"].client, {}))
    places["b1"].peer.is_mute = True
    refused = ok(put(places["b2"].client, {}), 503)
    assert "b1" in refused["error"]["message"]
    assert not places["b2"].house.service.jobs.has_category("example")
    ok(places["b2"].client.get(f"/api/jobs/{ID}"), 503)
    shown = places["b2"].client.get("/api/jobs")
    assert (shown.status_code, shown.headers["Cyme-Unknown"]) == (200, "b1")
    # Of what is held here nobody else is asked.
    ok(put(places["b1"].client, {}, {"name": "b"}))
    ok(put(places["b2"].client, {}, force=True))
    assert places["b2"].house.service.jobs.has_category("example")


def test_two_that_are_asked_at_the_same_moment(places: Places) -> None:
    """As if both had heard that nobody has it, and neither had stored anything yet."""
    first, second = (places[id].house.service for id in ("b1", "b2"))
    with first.claims.held("example", CATEGORY) as check:
        both: list[type[Exception]] = []
        try:
            second.jobs.replace("example", [ENTRY])
        except Conflict as exc:
            both.append(type(exc))
        try:
            with places["b1"].house.store.writing() as tx:
                check(tx)
        except Conflict as exc:
            both.append(type(exc))
    # The draw says who of them goes on, and never both.
    assert both == [Conflict]
    # What is claimed is a category: an instance may be called so.
    ok(places["b1"].client.put("/foo/"), 201)
    ok(places["b3"].client.put("/foo/instances/example/"), 201)


def test_a_category_is_not_made_where_another_has_it(places: Places) -> None:
    ok(put(places["b1"].client, {}))
    with pytest.raises(Conflict, match="it is a category there"):
        places["b2"].house.service.jobs.replace("example", [ENTRY])
    places["b2"].house.service.jobs.replace("example", [ENTRY], force=True)
