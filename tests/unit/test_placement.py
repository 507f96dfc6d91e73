"""Where a new instance goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from cyme_supd.domain.placement import DEFAULT, PACK, RANDOM, SPREAD, check_placement, place
from cyme_supd.domain.presence import Heartbeat, Peer
from cyme_supd.errors import Invalid, Unavailable
from tests.unit.values import AT

VERSION = "0.3.1"
BEAT = Heartbeat("b1", "http://h", 8000, VERSION, AT, 5.0, 2, "INFO", room=100)


def peer(id: str, is_live: bool = True, **said: Any) -> Peer:
    return Peer(replace(BEAT, id=id, **said), AT, is_live)


def fleet() -> list[Peer]:
    return [peer("b1", instances=5), peer("b2", instances=3), peer("b3", instances=9)]


def chosen(peers: list[Peer], how: str, times: int = 600) -> Counter[str]:
    random = Random(7)
    return Counter(place(peers, how, VERSION, random.randrange) for _ in range(times))


def test_the_emptier_of_two_by_chance() -> None:
    found = chosen(fleet(), DEFAULT)
    # The fullest is the emptier one of no two.
    assert found["b3"] == 0
    assert found["b2"] > found["b1"] > 100


def test_by_chance_alone_and_the_emptiest_and_the_fullest() -> None:
    assert min(chosen(fleet(), RANDOM).values()) > 150
    assert chosen(fleet(), SPREAD) == {"b2": 600}
    assert chosen(fleet(), PACK) == {"b3": 600}


UNFIT = {
    "not there": peer("b2", is_live=False),
    "draining": peer("b2", is_draining=True),
    "full": peer("b2", room=3, instances=3),
    "too old (0.2.9)": peer("b2", version="0.2.9"),
}


@pytest.mark.parametrize("why", UNFIT)
@pytest.mark.parametrize("how", [DEFAULT, RANDOM, SPREAD, PACK])
def test_never_where_it_may_not(why: str, how: str) -> None:
    assert set(chosen([peer("b1"), UNFIT[why]], how, 50)) == {"b1"}
    with pytest.raises(Unavailable) as caught:
        place([UNFIT[why]], how, VERSION, Random(7).randrange)
    assert f"b2 is {why}" in caught.value.message


@pytest.mark.parametrize("version", ["0.3.0", "0.3.2", "0.4.0", "1.0.0rc1"])
def test_newer_ones_and_other_patches_will_do(version: str) -> None:
    assert chosen([peer("b2", version=version)], DEFAULT, 5) == {"b2": 5}


def test_words_for_it() -> None:
    assert [check_placement(how) for how in (None, "random", "spread", "pack")] == [
        DEFAULT, RANDOM, SPREAD, PACK,
    ]  # fmt: skip
    for word in ("two", "sprad", ""):
        with pytest.raises(Invalid):
            check_placement(word)
