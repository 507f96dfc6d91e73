"""A task on record is sent again by one of those who ask at once, in every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cyme_supd.domain.ledger import observed
from cyme_supd.domain.ledgerstore import TaskQuery
from cyme_supd.domain.ports import Store
from cyme_supd.domain.spec import App
from cyme_supd.errors import Conflict, Unavailable
from tests.unit.service_support import BROKER, START, World, world
from tests.unit.whole_support import AGAIN, SOURCE

AT_ONCE = 4


@pytest.fixture
def house(store: Store) -> World:
    """An application that is tracked, one of whose tasks has failed, over *store*."""
    made = world()
    with store.writing() as tx:
        tx.add_app(App("foo", START, broker=BROKER, is_tracked=True))
    with store.recording() as tx:
        tx.observe(SOURCE, [observed("t1", 1.0, "FAILURE", 0, name="mail.send")], {"t1": AGAIN})
    made.service = made.over(store)
    return made


def test_one_of_those_who_ask_at_once_sends_it(house: World, store: Store) -> None:
    def retry(_: int) -> str:
        try:
            return house.service.retrying.one("t1")
        except Conflict as exc:
            return exc.message

    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = list(pool.map(retry, range(AT_ONCE)))
    (made,) = [each for each in told if "was sent again" not in each]
    assert [each.id for each in house.task_broker.sent] == [made]
    with store.reading() as view:
        found = {each.record.id for each in view.tracked(TaskQuery()).tasks}
    assert found == {"t1", made}


def test_all_at_once_and_one_by_one(house: World) -> None:
    def retry(number: int) -> int:
        service = house.service.retrying
        return service.many(TaskQuery(state="FAILURE")).sent if number % 2 else _one(house)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sum(pool.map(retry, range(AT_ONCE))) == 1
    assert len(house.task_broker.sent) == 1


def _one(house: World) -> int:
    try:
        house.service.retrying.one("t1")
    except Conflict:
        return 0
    return 1


def test_what_the_broker_did_not_take_may_be_sent_again(house: World) -> None:
    house.task_broker.takes = 0
    with pytest.raises(Unavailable):
        house.service.retrying.one("t1")
    house.task_broker.takes = None
    assert house.service.retrying.one("t1") == house.task_broker.sent[0].id
