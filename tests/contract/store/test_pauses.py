"""What holds work back, and rolling restarts: wishes and how far they got."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cyme_supd.domain.pause import Pause
from cyme_supd.domain.ports import Store
from cyme_supd.domain.rollout import Rollout, RolloutState, RolloutStatus
from tests.contract.store.values import AT, app, fill, instance, pending, queue

LASTING, SHORT = Pause("deploy", AT), Pause("", AT, AT + timedelta(seconds=60))
STATUS = RolloutStatus(
    "foo", "b1", 2, 1, RolloutState.STOPPED, ("w1",), ("w3", "w4"), "w2", "it ends soon"
)


def test_pauses(store: Store) -> None:
    fill(store, app(pause=LASTING), queue(pause=SHORT), instance(pause=SHORT, queues=("tasks",)))
    with store.reading() as view:
        worker = view.worker("w1")
    assert (worker.app.pause, worker.instance.pause) == (LASTING, SHORT)
    assert worker.queues[0].pause == SHORT
    with store.writing() as tx:
        tx.save_app(replace(tx.app("foo"), pause=None))
        tx.save_queue(replace(tx.queue("foo", "tasks"), pause=LASTING))
        tx.save_instance(replace(tx.instance("w1"), pause=None))
    with store.reading() as view:
        worker = view.worker("w1")
    assert (worker.app.pause, worker.instance.pause) == (None, None)
    assert worker.queues[0].pause == LASTING
    assert pending(store) == ["w1"]


def test_the_wish_of_a_rolling_restart(store: Store) -> None:
    wish = Rollout(3, 2, AT, is_aborted=True, attempt=4)
    fill(store, app(rollout=wish))
    with store.reading() as view:
        assert view.app("foo").rollout == wish


def test_how_far_it_got(store: Store) -> None:
    fill(store, app(), app("bar"))
    elsewhere = replace(STATUS, branch="b2", state=RolloutState.DONE, stopped_at=None)
    with store.writing() as tx:
        tx.save_rollout(replace(STATUS, number=1))
        for status in (STATUS, elsewhere, replace(STATUS, app="bar"), replace(STATUS, app="gone")):
            tx.save_rollout(status)
    with store.reading() as view:
        assert view.rollouts(branch="b1", app="foo") == [STATUS]
        assert view.rollouts(app="foo") == [STATUS, elsewhere]
        assert [each.app for each in view.rollouts(branch="b1")] == ["bar", "foo"]
    with store.writing() as tx:
        tx.remove_app("foo")
    with store.reading() as view:
        assert [each.app for each in view.rollouts()] == ["bar"]
