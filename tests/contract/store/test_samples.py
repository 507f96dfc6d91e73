"""What was measured is kept for hours, in every store, and less of it as it grows old."""

from __future__ import annotations

from datetime import datetime, timedelta

from cyme_supd.domain.ports import Store
from cyme_supd.domain.samples import COARSE_S, FINE_FOR, KEPT_FOR, Found, Point, Sample, Subject
from cyme_supd.domain.status import ProcessState
from cyme_supd.domain.transitions import Transition
from tests.contract.store.values import AT

T0 = datetime.fromtimestamp(AT.timestamp() // COARSE_S * COARSE_S, AT.tzinfo)
TASKS, W1 = Point(depth=3, oldest_s=1.5), Point(begun=7, running=1, processes=2, most=4)
WHOLE = Point(3, 1.5, 7, 1, 2, 4)


def a_sample(seconds: float = 0, app: str = "foo", **given: object) -> Sample:
    at = T0 + timedelta(seconds=seconds)
    told = {"queues": {"tasks": TASKS}, "instances": {"w1": W1}, **given}
    return Sample(at, app, WHOLE, **told)  # type: ignore[arg-type]


def keep(store: Store, *samples: Sample, branch: str = "b1") -> None:
    with store.recording() as tx:
        tx.save_samples(branch, samples)


def found(store: Store, subject: Subject, since: datetime = T0) -> Found:
    with store.reading() as view:
        return view.samples(subject, since)


def ats(store: Store) -> list[datetime]:
    points = found(store, Subject("foo"), T0 - KEPT_FOR).get("b1", ())
    return [at for at, _ in points]


def test_of_whatever_is_wanted(store: Store) -> None:
    keep(store, a_sample(), a_sample(30, queues={}), a_sample(app=""))
    later = T0 + timedelta(seconds=30)
    assert found(store, Subject("foo")) == {"b1": [(T0, WHOLE), (later, WHOLE)]}
    assert found(store, Subject("foo"), later) == {"b1": [(later, WHOLE)]}
    assert found(store, Subject("foo", queue="tasks")) == {"b1": [(T0, TASKS)]}
    assert found(store, Subject("foo", instance="w1")) == {"b1": [(T0, W1), (later, W1)]}
    assert found(store, Subject()) == {"b1": [(T0, WHOLE)]}
    for nobody in (Subject("bar"), Subject("foo", queue="w1"), Subject("foo", instance="tasks")):
        assert found(store, nobody) == {}


def test_each_branch_by_itself_in_the_order_of_time(store: Store) -> None:
    keep(store, a_sample(30))
    keep(store, a_sample())
    keep(store, a_sample(), branch="b2")
    assert {id: len(points) for id, points in found(store, Subject("foo")).items()} == {
        "b1": 2,
        "b2": 1,
    }
    assert ats(store) == [T0, T0 + timedelta(seconds=30)]


def test_one_of_each_moment(store: Store) -> None:
    keep(store, a_sample(), a_sample(app="gone"))
    keep(store, a_sample(queues={"tasks": Point(depth=9)}))
    assert found(store, Subject("foo", queue="tasks")) == {"b1": [(T0, Point(depth=9))]}
    assert found(store, Subject("gone")) == {}


def test_what_is_old_is_thinned_out_and_then_forgotten(store: Store) -> None:
    keep(store, a_sample(), a_sample(30))
    keep(store, a_sample(30), branch="b2")

    def after(age: timedelta) -> list[datetime]:
        with store.recording() as tx:
            tx.remove_samples("b1", T0 + age)
        return ats(store)

    assert after(FINE_FOR) == [T0, T0 + timedelta(seconds=30)]
    assert after(FINE_FOR + timedelta(seconds=31)) == [T0]
    assert after(KEPT_FOR) == [T0]
    assert after(KEPT_FOR + timedelta(seconds=1)) == []
    assert list(found(store, Subject("foo"))) == ["b2"]
    # Whoever is there clears up after those that are not.
    after(KEPT_FOR + timedelta(seconds=31))
    assert found(store, Subject("foo")) == {}


def test_many_at_a_time(store: Store) -> None:
    many = {f"w{number}": W1 for number in range(1000)}
    keep(store, a_sample(instances=many))
    assert found(store, Subject("foo", instance="w999")) == {"b1": [(T0, W1)]}


def test_how_an_instance_changed(store: Store) -> None:
    up = Transition("w1", T0, ProcessState.RUNNING, True, True)
    down = Transition("w1", T0 + timedelta(seconds=1), None, None, False, "Lost")
    other = Transition("w2", T0, ProcessState.FATAL, False, None, "SpawnFailed")
    with store.writing() as tx:
        tx.save_transitions([up, other])
    with store.writing() as tx:
        tx.save_transitions([down])
        tx.save_transitions([])
    with store.reading() as view:
        assert view.transitions("w1", 5) == [down, up]
        assert view.transitions("w1", 1) == [down]
        assert view.transitions("w3", 5) == []
    with store.recording() as tx:
        tx.remove_transitions(down.at)
    with store.reading() as view:
        assert view.transitions("w1", 5) == [down]
