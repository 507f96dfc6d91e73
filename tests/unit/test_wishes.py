"""What one broker's asker is to do next."""

from __future__ import annotations

from cyme_supd.testing.clock import FakeClock
from cyme_supd.workers.wishes import ASK_SOON_S, Drop, Question, Wishes

LOOK = Question("look", {}, ("w1@b1",))


def all_of(wishes: Wishes) -> list[Question | Drop]:
    taken = []
    while wish := wishes.take(0.0):
        taken.append(wish)
    return taken


def test_questions_are_taken_in_order_and_forgotten_with_their_broker() -> None:
    wishes = Wishes(FakeClock())
    other = Question("autoscale", {}, ("w1@b1",))
    wishes.ask(LOOK)
    wishes.ask(other)
    assert all_of(wishes) == [LOOK, other]

    wishes.ask(LOOK)
    wishes.expect("w1@b1")
    wishes.forget_questions()

    assert all_of(wishes) == []
    assert wishes.due() == []


def test_a_queue_to_drop_stays_to_be_dropped_until_it_is() -> None:
    wishes = Wishes(FakeClock())
    wishes.drop(Drop("dq.w1"))
    (taken,) = all_of(wishes)
    assert isinstance(taken, Drop)
    assert wishes.is_wanted(taken)

    # The broker went before it was done.
    wishes.forget_questions()
    assert all_of(wishes) == [taken]

    wishes.keep("dq.w1")
    wishes.forget_questions()
    assert all_of(wishes) == []
    assert not wishes.is_wanted(taken)


def test_one_with_news_is_asked_until_it_tells_it_and_not_for_ever() -> None:
    clock = FakeClock()
    wishes = Wishes(clock)
    wishes.expect("w1@b1")
    wishes.expect("w2@b1")
    wishes.heard("w2@b1")
    asked = 0
    for _ in range(400):
        asked += len(wishes.due())
        clock.advance(0.01)

    assert asked == len(ASK_SOON_S) - 1
