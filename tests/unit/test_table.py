"""What is kept of the answers of workers."""

from __future__ import annotations

from typing import Any

from cyme_supd.workers.table import Table


def said(pid: int, **more: Any) -> dict[str, Any]:
    return {"pid": pid, "autoscale": [2, 1], "queues": {"dq.w1": ""}, "refused": {}, **more}


def test_one_that_booted_with_an_older_cyme_tells_less() -> None:
    table = Table()

    assert table.take("w1@b1", said(1), 10.0)

    answer = table.answer("w1@b1")
    assert answer is not None
    assert (answer.pid, answer.started, answer.active, answer.prefetch) == (1, None, None, None)
    assert not answer.is_narrow


def test_work_is_kept_and_is_no_news() -> None:
    table = Table()
    table.take("w1@b1", said(1, started=3, active=0, waiting=0, prefetch=8), 10.0)

    assert not table.take("w1@b1", said(1, started=4, active=1, waiting=2, prefetch=4), 11.0)

    answer = table.answer("w1@b1")
    assert answer is not None
    assert (answer.at, answer.started, answer.active, answer.waiting) == (11.0, 4, 1, 2)
    assert answer.prefetch == 4


def test_other_limits_are_news() -> None:
    table = Table()
    table.take("w1@b1", said(1), 10.0)

    assert table.take("w1@b1", said(1, autoscale=[3, 1]), 11.0)


def test_one_that_was_replaced_is_no_rival() -> None:
    table = Table()
    for when, pid in enumerate((1, 1, 2)):
        table.take("w1@b1", said(pid), float(when))

    answer = table.answer("w1@b1", 2)
    assert answer is not None
    assert (answer.pid, answer.rival) == (2, None)


def test_two_of_one_name_are_told_apart() -> None:
    table = Table()
    for when, pid in enumerate((1, 2, 1, 2)):
        table.take("w1@b1", said(pid), float(when))

    for pid, rival, at in ((1, 2, 2.0), (2, 1, 3.0)):
        answer = table.answer("w1@b1", pid)
        assert answer is not None
        assert (answer.pid, answer.rival, answer.at) == (pid, rival, at)


def test_a_third_process_takes_the_place_of_the_first() -> None:
    table = Table()
    for when, pid in enumerate((1, 2, 3)):
        table.take("w1@b1", said(pid), float(when))

    answer = table.answer("w1@b1", 1)
    assert answer is not None
    assert (answer.pid, answer.rival) == (3, None)


def test_forgotten_is_forgotten() -> None:
    table = Table()
    table.take("w1@b1", said(1), 10.0)
    table.forget("w1@b1")

    assert table.answer("w1@b1", 1) is None
