"""Settings that are taken from the environment."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from celery import Celery

from cyme_supd.errors import Invalid
from cyme_supd.tracking import Config
from cyme_supd.tracking.settings import from_environment, literal


def read(prefix: str = "CELERY_", /, **environ: str) -> dict[str, Any]:
    return from_environment(environ, prefix)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True),
        ("None", None),
        ("4", 4),
        ("-4", -4),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("'4'", "4"),
        ('["a", 1]', ["a", 1]),
        ("('a', 1)", ("a", 1)),
        ("{'a': {'b': None}}", {"a": {"b": None}}),
        ("{'a'}", {"a"}),
        ("b'a'", b"a"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("true", "true"),
        ("json", "json"),
        ("2026-01-02", "2026-01-02"),
        ("10/m", "10/m"),
        ("08", "08"),
        ("a b", "a b"),
        ("f()", "f()"),
        ("__import__('os')", "__import__('os')"),
        ("1if", "1if"),
        ("'\\d", "'\\d"),
        ("(" * 5000, "(" * 5000),
        ("1" * 5000, "1" * 5000),
        ("a\x00b", "a\x00b"),
        (" ", " "),
    ],
)
def test_what_a_text_is(text: str, value: Any) -> None:
    found = literal(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("CELERY_TASK_ACKS_LATE", "True", "task_acks_late", True),
        ("CELERY_TASK_ACKS_LATE", "0", "task_acks_late", 0),
        ("CELERY_TASK_ACKS_LATE", "false", "task_acks_late", False),
        ("CELERY_TASK_ACKS_LATE", "Yes", "task_acks_late", True),
        ("CELERY_WORKER_CONCURRENCY", "4", "worker_concurrency", 4),
        ("CELERY_WORKER_CONCURRENCY", "auto", "worker_concurrency", "auto"),
        ("CELERY_ACCEPT_CONTENT", "['json']", "accept_content", ["json"]),
        ("CELERY_BROKER_URL", "amqp://h//", "broker_url", "amqp://h//"),
        ("CELERY_TASK_DEFAULT_PRIORITY", "5", "task_default_priority", 5),
        ("CELERY_RESULT_EXPIRES", "None", "result_expires", None),
        # A password of digits is none of numbers.
        ("CELERY_REDIS_PASSWORD", "1e5", "redis_password", "1e5"),
        ("CELERY_RESULT_DB_PASS", "007", "RESULT_DB_PASS", "007"),
        ("CELERY_RESULT_DB_PASS", "1e5", "RESULT_DB_PASS", "1e5"),
        ("CELERY_RESULT_DB_NAME", "True", "RESULT_DB_NAME", "True"),
        ("CELERY_RESULT_DB_PORT", "5433", "RESULT_DB_PORT", 5433),
        ("CELERY_PLATFORM_QUEUE_NAME", "seen", "PLATFORM_QUEUE_NAME", "seen"),
        ("CELERY_CHORD_UNLOCK_MAX_RETRIES", "60", "CHORD_UNLOCK_MAX_RETRIES", 60),
    ],
)
def test_a_variable(variable: str, text: str, setting: str, value: Any) -> None:
    found = read(**{variable: text})
    assert found == {setting: value}
    assert type(found[setting]) is type(value)


def test_what_is_empty_or_of_others_says_nothing() -> None:
    assert read(CELERY_TASK_ACKS_LATE="", CELERY_CONFIG_MODULE="m", TASK_ACKS_LATE="True") == {}
    assert read(CELERY_LOADER="l", CELERY_BIN="/b", CELERY_APP="a", HOME="/") == {}


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CELERY_TAKS_ACKS_LATE", "CELERY_TASK_ACKS_LATE"),
        ("CELERY_ACKS_LATE", "CELERY_TASK_ACKS_LATE"),
        ("CELERY_RESULT_DB_PASSWORD", "CELERY_RESULT_DB_PASS"),
    ],
)
def test_one_that_resembles_a_setting_is_told_of(variable: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=rf"^{variable} is of no setting: {meant}\?"):
        assert read(**{variable: "x"}) == {}


def test_neither_true_nor_false() -> None:
    with pytest.raises(Invalid, match="CELERY_TASK_ACKS_LATE is neither"):
        read(CELERY_TASK_ACKS_LATE="perhaps")


def test_another_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TASK_ACKS_LATE", "True")
    monkeypatch.setenv("CELERY_TASK_TRACK_STARTED", "False")
    config = Config(queues=[], ENV_PREFIX="SHOP_")
    assert (config.task_acks_late, config.task_track_started) == (True, True)
    assert read("", TASK_ACKS_LATE="True") == {}


def test_a_keyword_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_TASK_ACKS_LATE", "True")
    monkeypatch.setenv("CELERY_RESULT_DB_NAME", "theirs")
    assert Config(queues=[]).task_acks_late is True
    config = Config(queues=[], task_acks_late=False, RESULT_DB_NAME="mine")
    assert config.task_acks_late is False
    assert config.result_backend.endswith("/mine")


def test_the_environment_comes_before_what_config_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_TASK_TRACK_STARTED", "False")
    monkeypatch.setenv("CELERY_PLATFORM_QUEUE_NAME", "seen")
    monkeypatch.setenv("CELERY_RESULT_DB_HOST", "db.local")
    config = Config(queues=["foo"])
    assert config.task_track_started is False
    assert [queue.name for queue in config.task_queues] == ["foo", "celery", "seen"]
    assert "@db.local:" in config.result_backend


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("CELERY_BROKER_URL", "broker_url"),
        ("CELERY_BROKER_READ_URL", "broker_read_url"),
        ("CELERY_BROKER_WRITE_URL", "broker_write_url"),
        ("CELERY_RESULT_BACKEND", "result_backend"),
    ],
)
def test_what_celery_takes_from_the_environment_whatever_is_said(
    variable: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "redis://theirs/0")
    with pytest.warns(UserWarning, match=f"Celery takes {variable} of the environment"):
        config = Config(queues=[], **{setting: "redis://mine/0"})
    app = Celery("house", set_as_current=False)
    app.config_from_object(config)
    assert getattr(app.conf, setting) == "redis://theirs/0"
    Config(queues=[], **{setting: "redis://theirs/0"})


def test_a_typed_limit_of_python_is_no_error() -> None:
    assert sys.get_int_max_str_digits() < 5000
