"""Which names may exist."""

from __future__ import annotations

import pytest

from cyme_supd.domain import naming
from cyme_supd.errors import Invalid


@pytest.mark.parametrize("name", ["a", "0", "w1", "A.b_c-d", "x" * 128])
def test_names(name: str) -> None:
    assert naming.check_name("app", name) == name
    assert naming.check_instance_name(name) == name


NO_NAMES = (
    *("", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "a\r", "a\0", "a%", "a;", "a]"),
    *("ä", "\u0430", "\u2028", "\u0661", "a\ud800", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
    *("x" * 129, None, 3, ["a"]),
)


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(Invalid):
        naming.check_name("instance", name)


@pytest.mark.parametrize("name", sorted(naming.RESERVED_APPS))
def test_routes_are_no_apps(name: str) -> None:
    with pytest.raises(Invalid, match="reserved"):
        naming.check_app_name(name)


@pytest.mark.parametrize("name", ["all", "cyme", "cyme-broker", "cyme-"])
def test_supervisords_words_are_no_instances(name: str) -> None:
    with pytest.raises(Invalid, match="reserved"):
        naming.check_instance_name(name)


@pytest.mark.parametrize("name", ["tasks", "a b", "a.b.#", "Ω", "x" * 128, "a/b"])
def test_queues_may_be_called_much(name: str) -> None:
    assert naming.check_queue_name("queue", name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a\n", "a\x7f", "€" * 86, None, "\ud800"])
def test_but_not_everything(name: object) -> None:
    with pytest.raises(Invalid):
        naming.check_queue_name("queue", name)


def test_the_nearest_name_is_suggested_else_all_are() -> None:
    assert naming.nearest("brokr", ["broker", "pool"]) == "did you mean 'broker'?"
    assert naming.nearest("zzz", ["broker", "pool"]) == "known: broker, pool"
    assert naming.nearest("zzz", []) == ""
