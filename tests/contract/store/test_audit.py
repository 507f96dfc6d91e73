"""What was changed is kept, in every store, and found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cyme_supd.domain.audit import ACT, EDIT, INSTANCE, QUEUE, Actor, Event, Query
from cyme_supd.domain.ports import Store
from tests.contract.store.values import AT

BORIS = Actor("boris", "192.0.2.7", "curl/8")
EVENT = Event(AT, BORIS, "b1", EDIT, INSTANCE, "foo", "w1", {"pool": None}, {"pool": "solo"})


def kept(store: Store, *events: Event) -> None:
    with store.writing() as tx:
        tx.save_audit(events)


def found(store: Store, **wanted: object) -> list[Event]:
    with store.reading() as view:
        # The store numbers them.
        return [replace(each, id=0) for each in view.audit(Query(**wanted))]  # type: ignore[arg-type]


def later(seconds: int, **other: object) -> Event:
    return replace(EVENT, at=AT + timedelta(seconds=seconds), **other)  # type: ignore[arg-type]


def test_the_newest_first(store: Store) -> None:
    assert found(store) == []
    kept(store, EVENT, later(2), later(1))
    assert found(store) == [later(2), later(1), EVENT]
    assert found(store, limit=1) == [later(2)]
    assert found(store, until=later(1).at) == [EVENT]
    assert found(store, since=later(1).at) == [later(2), later(1)]


def test_each_has_a_number_of_its_own(store: Store) -> None:
    kept(store, EVENT, EVENT)
    with store.reading() as view:
        ids = [each.id for each in view.audit(Query())]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 2
    kept(store, later(-9))
    assert found(store, newer_than=ids[0]) == [later(-9)]
    assert found(store, newer_than=ids[1]) == [EVENT, later(-9)]


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        ({"actor": "boris"}, True),
        ({"actor": "bori"}, False),
        ({"verb": EDIT}, True),
        ({"verb": "act"}, False),
        ({"kind": INSTANCE}, True),
        ({"kind": QUEUE}, False),
        ({"app": "foo", "name": "w1"}, True),
        ({"app": "w1"}, False),
        ({"text": "SOLO"}, True),
        ({"text": "192.0.2.7"}, True),
        ({"text": "w_"}, False),
        ({"text": "100%"}, False),
        ({"text": "boris192"}, False),
    ],
)
def test_what_is_looked_for(store: Store, wanted: dict[str, str], is_found: bool) -> None:
    kept(store, EVENT)
    assert found(store, **wanted) == ([EVENT] if is_found else [])


def test_nothing_before_and_nothing_after(store: Store) -> None:
    made, gone = replace(EVENT, before=None), later(1, after=None, actor=Actor())
    kept(store, made, gone)
    assert found(store) == [gone, made]


def test_with_the_change_or_not_at_all(store: Store) -> None:
    def fail() -> None:
        with store.writing() as tx:
            tx.save_audit([EVENT])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found(store) == []


def test_old_decisions_go_and_what_people_did_stays(store: Store) -> None:
    decision = replace(EVENT, verb=ACT, actor=Actor())
    kept(store, EVENT, decision, later(1, verb=ACT))
    with store.recording() as tx:
        assert tx.forget_decisions(later(1).at) == 1
    assert found(store) == [later(1, verb=ACT), EVENT]
    kept(store, later(2))
    with store.reading() as view:
        ids = [each.id for each in view.audit(Query())]
    assert len(ids) == len(set(ids)) == 3
