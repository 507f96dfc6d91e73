"""What is known of tasks is put together in every store, and found again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyme_supd.domain import ledgerstore
from cyme_supd.domain.ledger import RANKS, Record, merge, merged, observed
from cyme_supd.domain.ledgerstore import (
    EVENTS,
    LOST,
    MONITOR,
    WORKER_GONE,
    Cursor,
    Gap,
    Refusal,
    Source,
    TaskQuery,
    Tracked,
)
from cyme_supd.domain.ports import Store
from cyme_supd.store import ledgerqueries
from cyme_supd.store.repository import SqlStore
from cyme_supd.testing import ledger as fake

SOURCE, OTHER = "a" * 16, "b" * 16


def sent(id: str, at: float = 1.0, **facts: Any) -> Record:
    return observed(id, at, "SENT", 0, **{"name": "mail.send", "routing_key": "mail", **facts})


def keep(store: Store, *records: Record, source: str = SOURCE, **messages: str) -> None:
    with store.recording() as tx:
        tx.observe(source, records, messages)


def found(store: Store, **wanted: Any) -> list[str]:
    with store.reading() as view:
        return [each.record.id for each in view.tracked(TaskQuery(**wanted)).tasks]


def one(store: Store, id: str, source: str | None = None) -> Tracked:
    with store.reading() as view:
        (only,) = view.tracked_with(id, source)
    return only


def test_as_it_was_seen(store: Store) -> None:
    told = {"args": "('ü', '🕐', \"it's\")", "runtime": 1.5, "retries": 2**40, "is_odd": True}
    seen = observed("t'1\"\\%", 1.000001, "SENT", 3, name="n" * 300, parent="p", **told)
    keep(store, seen)
    kept = one(store, seen.id)
    assert kept.record == seen
    assert (kept.source, kept.began_at, kept.lost) == (SOURCE, 1_000_001, None)
    assert found(store, name="n" * 300) == found(store, parent="p") == [seen.id]


def test_the_same_id_of_two_sources_is_two_tasks(store: Store) -> None:
    keep(store, sent("t1"))
    keep(store, sent("t1", name="else"), source=OTHER)
    assert one(store, "t1", OTHER).record.get("name") == "else"
    with store.reading() as view:
        assert [each.source for each in view.tracked_with("t1")] == [SOURCE, OTHER]
        assert view.tracked_with("none") == []
    assert found(store, source=OTHER, name="mail.send") == []


def test_retries_by_the_id_of_the_first(store: Store) -> None:
    keep(store, sent("t1"), sent("t2"), sent("t3", parent="t1"))
    keep(store, *(sent(f"r{n}", 2.0 + n, parent="t1", retry_of="t1") for n in range(2)))
    keep(store, sent("r9", parent="t1", retry_of="t1"), source=OTHER)
    with store.reading() as view:
        found = view.tracked_retries(SOURCE, ["t1", "t2", "none"])
        assert {id: [each.record.id for each in some] for id, some in found.items()} == {
            "t1": ["r0", "r1"]
        }
        assert view.tracked_retries(SOURCE, []) == {}


OBSERVATIONS = st.builds(
    lambda id, at, state, attempt, facts: observed(id, at, state, attempt, **facts),
    st.sampled_from("ABab"),
    st.integers(0, 5).map(float),
    st.sampled_from([*RANKS, ""]),
    st.integers(0, 3),
    st.dictionaries(
        st.sampled_from(["name", "worker", "result", "error"]),
        st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=9)),
        max_size=2,
    ),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(OBSERVATIONS, min_size=1, max_size=8), st.data())
def test_any_order_and_any_repetition_store_the_same(
    store: Store, seen: list[Record], data: Any
) -> None:
    again = data.draw(st.lists(st.sampled_from(seen), max_size=8))
    shuffled = data.draw(st.permutations([*seen, *again]))
    cut = data.draw(st.integers(0, len(shuffled)))
    with store.recording() as tx:
        for name in RANKS:
            tx.forget_tracked(name, (10**18, 0), 100)
        tx.forget_tracked("PENDING", (10**18, 0), 100)
    for batch in (shuffled[:cut], shuffled[cut:]):
        keep(store, *together(batch))
    for whole in together(seen):
        kept = one(store, whole.id)
        assert kept.record == whole
        assert (whole.id in found(store, state=whole.state)) is True


def together(records: list[Record]) -> list[Record]:
    ids = dict.fromkeys(each.id for each in records)
    return [merged(each for each in records if each.id == id) for id in ids]


def test_what_is_new_changes_where_it_is_found(store: Store) -> None:
    keep(store, sent("t1", 5.0), sent("t2", 6.0))
    failed = observed("t1", 7.0, "FAILURE", 0, worker="w1@h", error="ValueError('x')")
    keep(store, failed)
    assert found(store, state="SENT") == ["t2"]
    assert found(store, state="FAILURE", worker="w1@h", error="ValueError") == ["t1"]
    assert one(store, "t1").record == merge(sent("t1", 5.0), failed)
    # An earlier word moves it back in time.
    keep(store, observed("t2", 1.0, "SENT"))
    assert found(store) == ["t1", "t2"]
    assert one(store, "t2").began_at == 1_000_000


def test_the_message_to_send_again_is_the_first(store: Store) -> None:
    keep(store, sent("t1"))
    keep(store, sent("t1"), t1="first ü")
    keep(store, sent("t1", 2.0), t1="second")
    with store.reading() as view:
        number = one(store, "t1").number
        assert view.tracked_messages([number, 10**9]) == {number: "first ü"}


def test_every_filter(store: Store) -> None:
    facts = {"root": "r", "parent": "p", "worker": "w@h", "args": "(1, 'Straße')"}
    keep(store, sent("t1", 1.0), sent("t2", 2.0, routing_key="images", name="resize", **facts))
    keep(store, sent("r", 3.0, root="r"), sent("t4", 4.0, kwargs="{'a': '50%_'}"))
    for wanted in (
        {"name": "resize"},
        {"queue": "images"},
        {"worker": "w@h"},
        {"root": "r"},
        {"parent": "p"},
        {"text": "Straße"},
        {"text": "'Str", "queue": "images", "since": 2.0, "until": 2.1, "state": "SENT"},
    ):
        assert found(store, **wanted) == ["t2"], wanted
    assert found(store, since=2.0, until=4.0) == ["r", "t2"]
    assert found(store, text="0%_") == ["t4"]
    # In arguments alone, and capitals as they are.
    assert found(store, text="mail") == found(store, text="straße") == []


def test_pages(store: Store) -> None:
    keep(store, *(sent(f"t{n}", float(n // 2), args="x" * (n % 2)) for n in range(7)))
    asked: tuple[tuple[dict[str, Any], str], ...]
    asked = (({}, "6543210"), ({"text": "x", "name": "mail.send"}, "531"))
    for wanted, ids in asked:
        seen, after = list[str](), None
        while True:
            with store.reading() as view:
                page = view.tracked(TaskQuery(**wanted, after=after, limit=2))
            assert len(page.tasks) <= 2
            seen += [each.record.id for each in page.tasks]
            if page.after is None:
                break
            after = page.after
        assert sorted(seen) == sorted(f"t{n}" for n in ids)
        cursors = [at(store, each) for each in seen]
        assert cursors == sorted(cursors, reverse=True)


def at(store: Store, id: str) -> Cursor:
    return one(store, id).cursor


def test_a_page_that_looked_through_enough_says_where_to_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgerqueries, "MOST_LOOKED_AT", 3)
    keep(store, *(sent(f"t{n}", float(n), args="x" * (n == 0)) for n in range(8)))
    looks, after = 0, None
    while True:
        with store.reading() as view:
            page = view.tracked(TaskQuery(text="x", after=after))
        looks += 1
        if page.tasks or page.after is None:
            break
        after = page.after
    assert [each.record.id for each in page.tasks] == ["t0"]
    # In memory there is no such bound.
    assert looks == (3 if isinstance(store, SqlStore) else 1)


def test_alike_failures_are_told_together(store: Store) -> None:
    for n, error in enumerate(("ValueError('a')", "ValueError: b", "shop.Sold('c')")):
        keep(store, observed(f"t{n}", float(n), "FAILURE", 0, error=error, name=f"n{n % 2}"))
    keep(store, observed("t9", 9.0, "RETRY", 0, error="ValueError('r')"), sent("t8"))
    with store.reading() as view:
        groups = view.tracked_errors(TaskQuery())
        assert [(each.error, each.count, each.last) for each in groups] == [
            ("ValueError", 2, "t1"),
            ("shop.Sold", 1, "t2"),
        ]
        (only,) = view.tracked_errors(TaskQuery(name="n1"))
        assert (only.error, only.count) == ("ValueError", 1)


def test_what_is_lost_is_so_until_it_is_heard_of(store: Store) -> None:
    keep(store, sent("t1"), sent("t2"), sent("t3"))
    with store.recording() as tx:
        tx.mark_lost([one(store, "t1").number, one(store, "t2").number], WORKER_GONE)
    assert sorted(found(store, state=LOST)) == ["t1", "t2"]
    assert one(store, "t1").lost == WORKER_GONE
    keep(store, observed("t1", 3.0, "RECEIVED"))
    assert found(store, state=LOST) == ["t2"]


def test_those_that_have_not_ended(store: Store) -> None:
    keep(store, *(sent(f"t{n}", float(n)) for n in range(4)))
    keep(store, observed("t1", 5.0, "SUCCESS"), observed("t2", 5.0, "STARTED"))
    keep(store, sent("t0", 0.5), source=OTHER)
    with store.reading() as view:
        two = view.oldest_tracked(SOURCE, ["SENT", "STARTED"], 9.0, (-1, 0), 2)
        assert [each.record.id for each in two] == ["t0", "t2"]
        rest = view.oldest_tracked(SOURCE, ["SENT", "STARTED"], 9.0, two[-1].cursor, 2)
        assert [each.record.id for each in rest] == ["t3"]
        assert view.oldest_tracked(SOURCE, ["SENT"], 0.0, (-1, 0), 2) == []


def test_old_ones_go_and_too_many(store: Store) -> None:
    keep(store, *(sent(f"t{n}", float(n)) for n in range(6)))
    keep(store, observed("old", 0.0, "SUCCESS"))
    with store.recording() as tx:
        assert tx.forget_tracked("SENT", (1_000_000, 10**9), 1) == 1
        assert tx.forget_tracked("SENT", (1_000_000, 10**9), 9) == 1
        assert tx.forget_tracked("SENT", (1_000_000, 10**9), 9) == 0
    with store.recording() as tx:
        assert tx.beyond("SENT", 4) is None
        limit = tx.beyond("SENT", 3)
        assert limit == (2_000_000, limit[1] if limit else 0)
        assert tx.forget_tracked("SENT", limit, 100) == 1
    assert found(store) == ["t5", "t4", "t3", "old"]


def test_what_is_known_of_a_source(store: Store) -> None:
    source = Source(
        SOURCE, "platform.fifo", 1.5, 2.5, 3.5, "run 1", {"body": 1}, {"w@h": [1.5, 4.5, 9]}
    )
    keep(store, sent("t1"), source=OTHER)
    with store.recording() as tx:
        tx.save_source(source)
        tx.save_source(source)
    with store.reading() as view:
        assert view.sources() == [source, Source(OTHER, "")]
    with store.recording() as tx:
        tx.save_source(replace(source, watched_at=9.0))
    with store.reading() as view:
        assert view.sources()[0].watched_at == 9.0


def test_gaps(store: Store) -> None:
    first = Gap(SOURCE, MONITOR, 10.0, 20.0, "it was away")
    second = Gap(SOURCE, EVENTS, 30.0, 40.0)
    with store.recording() as tx:
        tx.add_gap(first)
        tx.add_gap(second)
    with store.reading() as view:
        assert view.gaps() == [second, first]
        assert view.gaps(since=20.5) == [second]
        assert view.gaps(until=30.0) == view.gaps(since=15.0, until=16.0) == [first]


def test_refused_messages_are_kept_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (fake, ledgerstore):
        monkeypatch.setattr(place, "MOST_REFUSALS", 2)
    monkeypatch.setattr("cyme_supd.store.ledgersources.MOST_REFUSALS", 2)
    hostile = Refusal(SOURCE, 1.0, "body", "d\0" * 9000, "x/y", "{}", b"\0\xff'")
    with store.recording() as tx:
        tx.refuse([replace(hostile, at=float(n)) for n in range(4)])
        tx.refuse([])
        tx.refuse([replace(hostile, source=OTHER)])
    with store.reading() as view:
        kept = view.refusals(SOURCE)
        assert [each.at for each in kept] == [3.0, 2.0]
        assert kept[0].body == hostile.body
        assert len(kept[0].detail) <= 4096
        assert "\0" not in kept[0].detail
        assert len(view.refusals(OTHER)) == 1
