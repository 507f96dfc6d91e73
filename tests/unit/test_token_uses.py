"""When a token was last used: noted now and then, and only of those that there are."""

from __future__ import annotations

from datetime import timedelta

from cyme_supd.service.access import USED_EVERY
from tests.unit.service_support import World


def test_uses_are_noted_now_and_then(house: World) -> None:
    access = house.service.access
    made = access.add_token({"role": "viewer"})
    begun_at = house.clock.now()
    for _ in range(2):
        access.by_token(made.text, is_on_host=False)
        house.clock.sleep(USED_EVERY.total_seconds() - 1)
    assert access.token(made.token.id).last_used_at == begun_at
    house.clock.sleep(1)
    access.by_token(made.text, is_on_host=False)
    assert access.token(made.token.id).last_used_at == begun_at + 2 * USED_EVERY - timedelta(
        seconds=1
    )


def test_of_tokens_that_come_and_go_nothing_stays(house: World) -> None:
    access = house.service.access
    access.add_token({"role": "admin"})
    for _ in range(20):
        made = access.add_token({"role": "viewer"})
        access.by_token(made.text, is_on_host=False)
        access.remove_token(made.token.id)
    assert len(access._noted) == 1
