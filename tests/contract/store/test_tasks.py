"""How tasks ended: kept once, found by their ids, forgotten when they are old."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from cyme_supd.domain.ports import Store
from cyme_supd.domain.task import Task, TaskState
from cyme_supd.errors import Invalid
from tests.contract.store.values import AT, app, fill

ANSWER = {
    "status_code": 200,
    "headers": {"A": "\u00e9"},
    "body": "gr\u00f6\u00dfe \U0001f40d \x00 \x7f",
    "encoding": "utf-8",
    "truncated": False,
    "elapsed_s": 0.25,
    "url": "http://h/",
}


def a_task(number: int = 0, **given: Any) -> Task:
    id = f"019b7ca9-0000-7000-8000-{number:012d}"
    return replace(Task(id, "foo", TaskState.SUCCESS, ANSWER, None, AT), **given)


def save(store: Store, *tasks: Task) -> None:
    with store.writing() as transaction:
        transaction.save_tasks(tasks)


def found(store: Store, task: Task) -> Task | None:
    with store.reading() as view:
        return view.task(task.id)


def test_comes_back_as_it_was_saved(store: Store) -> None:
    answer, failure = a_task(1), a_task(2, state=TaskState.FAILURE, result=None, error="no\nanswer")
    empty = a_task(3, result={}, error="")
    save(store, answer, failure, empty)
    for task in (answer, failure, empty):
        back = found(store, task)
        assert back == task
        assert isinstance(back.state, TaskState)
        assert back.finished_at.tzinfo is UTC


def test_one_that_has_not_ended(store: Store) -> None:
    save(store, a_task(1))
    for id in ("", "x", a_task(2).id, a_task(1).id.upper(), "\0", "x" * 10_000):
        with store.reading() as view:
            assert view.task(id) is None


def test_the_first_word_stands(store: Store) -> None:
    save(store, a_task(1))
    save(store, a_task(1, state=TaskState.FAILURE, result=None, error="late"), a_task(2))
    assert found(store, a_task(1)) == a_task(1)
    assert found(store, a_task(2)) == a_task(2)


def test_also_within_one_call(store: Store) -> None:
    save(store, a_task(1), a_task(1, error="second"), a_task(2), a_task(1, error="third"))
    assert found(store, a_task(1)) == a_task(1)
    assert found(store, a_task(2)) == a_task(2)
    with store.writing() as transaction:
        transaction.save_tasks([a_task(3)])
        transaction.save_tasks([a_task(3, error="second")])
        assert transaction.task(a_task(3).id) == a_task(3)


def test_many_at_once_some_of_them_known(store: Store) -> None:
    many = [a_task(n, result=None) for n in range(1300)]
    save(store, *many[100:900:3])
    save(store, *[replace(task, error="again") for task in many])
    with store.reading() as view:
        errors = [view.task(task.id).error for task in many]  # type: ignore[union-attr]
    assert errors.count(None) == len(many[100:900:3])
    assert errors.count("again") == len(many) - len(many[100:900:3])
    save(store)
    save(store, *(task for task in many))


def test_they_need_no_app_and_outlive_it(store: Store) -> None:
    fill(store, app())
    save(store, a_task(1), a_task(2, app="never"))
    with store.writing() as transaction:
        transaction.remove_app("foo")
    assert found(store, a_task(1)) == a_task(1)
    assert found(store, a_task(2, app="never")) is not None


def test_old_ones_are_forgotten(store: Store) -> None:
    old, edge, new = (a_task(n, finished_at=AT + timedelta(microseconds=n)) for n in range(3))
    save(store, old, edge, new)
    with store.writing() as transaction:
        assert transaction.remove_tasks(edge.finished_at) == 1
        assert transaction.remove_tasks(edge.finished_at) == 0
    assert [found(store, task) for task in (old, edge, new)] == [None, edge, new]


def test_all_of_a_transaction_or_none(store: Store) -> None:
    def fail() -> None:
        with store.writing() as transaction:
            transaction.save_tasks([a_task(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert found(store, a_task(1)) is None


@pytest.mark.parametrize(
    "given",
    [
        {"finished_at": AT.replace(tzinfo=None)},
        {"result": {"a": float("nan")}},
        {"error": "\ud800"},
        {"id": "\ud800"},
    ],
    ids=str,
)
def test_what_cannot_be_stored(given: dict[str, Any], store: Store) -> None:
    with pytest.raises(Invalid):
        save(store, a_task(1), a_task(2, **given))
    assert found(store, a_task(1)) is None


def test_nothing_is_shared_with_who_wrote_it(store: Store) -> None:
    result: dict[str, Any] = {"headers": {}}
    save(store, a_task(1, result=result))
    result["headers"]["A"] = "b"
    task = found(store, a_task(1))
    assert task is not None
    assert task.result == {"headers": {}}


def test_a_result_is_a_change_that_others_see(store: Store) -> None:
    before = store.version()
    save(store, a_task(1))
    assert store.version() != before
