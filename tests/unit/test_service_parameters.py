"""What well-formed parameters come to; the hostile ones have a test of their own."""

from __future__ import annotations

from typing import Any

import pytest

from cyme_supd.domain.parameters import app_changes, check_limits, instance_changes
from cyme_supd.errors import Invalid


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("-O fair", ("-O", "fair")),
        ("--time-limit='60' \"-I a b\"", ("--time-limit=60", "-I a b")),
        (["-E", "--max-tasks-per-child", "5"], ("-E", "--max-tasks-per-child", "5")),
        ('["-O", "fair"]', ("-O", "fair")),
        ("-s /x/A.db -l DEBUG", ("-s", "/x/A.db", "-l", "DEBUG")),
        ("100% #not-a-comment a;b", ("100%", "#not-a-comment", "a;b")),
        ("", ()),
        (None, ()),
        ([], ()),
    ],
)
def test_arguments(sent: Any, stored: tuple[str, ...]) -> None:
    assert instance_changes({"arguments": sent}) == {"arguments": stored}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a=1 b=true c=text", {"a": 1, "b": True, "c": "text"}),
        ("d='two words' e=", {"d": "two words", "e": ""}),
        ("a=[1,2] b=1.5 c=NaN d=1e999", {"a": [1, 2], "b": 1.5, "c": "NaN", "d": "1e999"}),
        ({"a": {"b": [None]}}, {"a": {"b": [None]}}),
        ('{"a": 1}', {"a": 1}),
        (None, {}),
    ],
)
def test_extra_config(sent: Any, stored: dict[str, Any]) -> None:
    assert instance_changes({"extra_config": sent}) == {"extra_config": stored}


def test_environment_values_stay_text() -> None:
    given = {"environment": "A=1 B='x y' C=%(ENV_HOME)s"}
    changes = app_changes(given, is_new=True, is_root=False)
    assert changes == {"environment": {"A": "1", "B": "x y", "C": "%(ENV_HOME)s"}}


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("-c4", "max_concurrency"),
        ("--pool=x", "pool"),
        ("-Q", "queues"),
        ("-EA", "celery_app"),
        ("--workdir", "directory"),
        ("--uid=0", "user"),
        ("--broker", "broker"),
    ],
)
def test_a_flag_of_ours_names_the_parameter(word: str, instead: str) -> None:
    with pytest.raises(Invalid) as refused:
        instance_changes({"arguments": [word]})
    assert instead in refused.value.hint


@pytest.mark.parametrize(
    ("pool", "most", "least"),
    [("prefork", 1, 0), ("gevent", 1000, 1), ("threads", 4, 4), ("solo", 1, 1)],
)
def test_limits_that_can_be(pool: str, most: int, least: int) -> None:
    check_limits(pool, most, least)


@pytest.mark.parametrize(
    ("pool", "most", "least"),
    [("prefork", 0, 0), ("prefork", 1001, 1), ("gevent", 1, 2), ("threads", 4, 1), ("solo", 2, 2)],
)
def test_limits_that_cannot(pool: str, most: int, least: int) -> None:
    with pytest.raises(Invalid):
        check_limits(pool, most, least)


def test_rediss_verifies_the_server() -> None:
    given = {"hostname": "h", "transport": "rediss", "password": "p"}
    url = app_changes(given, is_new=True, is_root=False)["broker"]
    assert url == "rediss://:p@h:6379/0?ssl_cert_reqs=CERT_REQUIRED"
