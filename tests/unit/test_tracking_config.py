"""The configuration with which an application is tracked."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import make_url

from cyme_supd.errors import Invalid
from cyme_supd.tracking import Config, config_of, topology
from cyme_supd.tracking.settings import _OLD, OWN


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have variables of Celery's."""
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.delenv(name, raising=False)


def app_with(config: Config, **kwargs: Any) -> Celery:
    app = Celery("house", set_as_current=False, **kwargs)
    app.config_from_object(config)
    return app


def bindings(config: Config) -> dict[str, tuple[str, str, str]]:
    return {
        queue.name: (queue.exchange.name, queue.exchange.type, queue.routing_key)
        for queue in config.task_queues
    }


# What the toolbox's document says, line by line.


def test_queues_are_all_it_has_to_be_told_and_are_kept() -> None:
    assert Config(queues=["foo", "bar"]).QUEUES == ["foo", "bar"]
    with pytest.raises(TypeError, match="queues"):
        Config()  # type: ignore[call-arg]


def test_the_default_queue_and_the_platforms_are_added() -> None:
    names = [queue.name for queue in Config(queues=["foo"]).task_queues]
    assert names == ["foo", "celery", "platform.fifo"]
    said = Config(queues=["platform.fifo", "foo", "celery", "foo"])
    assert [queue.name for queue in said.task_queues] == ["foo", "celery", "platform.fifo"]


def test_all_queues_are_on_one_topic_exchange() -> None:
    assert bindings(Config(queues=["foo"])) == {
        "foo": ("task_exchange", "topic", "foo"),
        "celery": ("task_exchange", "topic", "celery"),
        "platform.fifo": ("task_exchange", "topic", "#"),
    }


def test_any_setting_of_celerys_is_a_keyword() -> None:
    config = Config(queues=[], task_acks_late=True, broker_url="redis://h/1")
    assert (config.task_acks_late, config.broker_url) == (True, "redis://h/1")
    app = app_with(config)
    assert (app.conf.task_acks_late, app.conf.broker_url) == (True, "redis://h/1")


def test_repr_shows_settings_in_lower_case_and_no_others() -> None:
    shown = repr(Config(queues=["foo"], task_acks_late=True, RESULT_DB_NAME="db1", MY_OWN=1))
    assert shown.startswith("Config(result_backend='db+postgresql")
    assert "task_acks_late=True" in shown
    assert not [name for name in ("QUEUES", "RESULT_DB", "MY_OWN", "SENTRY") if name in shown]


def test_the_backend_comes_from_the_template() -> None:
    parts: dict[str, Any] = {
        "USER": "ann",
        "PASS": "pw",
        "HOST": "db.local",
        "PORT": 5433,
        "NAME": "results",
    }
    config = Config(queues=[], **{f"RESULT_DB_{name}": value for name, value in parts.items()})
    assert config.result_backend == "db+postgresql+psycopg://ann:pw@db.local:5433/results"
    assert app_with(config).conf.result_backend == config.result_backend


def test_the_platform_queue_has_another_name_if_wanted() -> None:
    config = Config(queues=["foo"], PLATFORM_QUEUE_NAME="seen")
    assert bindings(config)["seen"] == ("task_exchange", "topic", "#")
    assert "platform.fifo" not in bindings(config)
    assert config.PLATFORM_QUEUE_NAME == "seen"
    assert Config(queues=[]).PLATFORM_QUEUE_NAME == "platform.fifo"


# What its document left open.


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("foo.bar.baz", "foo"),
        ("foo.bar", "foo"),
        ("foo", "foo"),
        ("food.bar", "celery"),
        ("bar.foo.baz", "celery"),
        ("baz", "celery"),
        ("celery.backend_cleanup", "celery"),
        ("seen.it", "celery"),
        ("a[b.c", "a[b"),
        ("ab.c", "celery"),
        ("dotted.name.x", "celery"),
    ],
)
def test_tasks_go_to_the_queue_of_their_first_part(task: str, queue: str) -> None:
    config = Config(queues=["foo", "a[b", "dotted.name"], PLATFORM_QUEUE_NAME="seen")
    found = app_with(config).amqp.router.route({}, task)["queue"]
    assert (found.name, found.exchange.name) == (queue, "task_exchange")


def test_routes_may_be_added() -> None:
    added = [{"report": {"queue": "foo"}}, topology.routes(["foo"])]
    router = app_with(Config(queues=["foo"], task_routes=added)).amqp.router
    found = {task: router.route({}, task)["queue"].name for task in ("report", "foo.x", "x.y")}
    assert found == {"report": "foo", "foo.x": "foo", "x.y": "celery"}


def test_starts_are_told() -> None:
    assert app_with(Config(queues=[])).conf.task_track_started is True


def test_a_queue_that_is_not_declared_is_refused() -> None:
    app = app_with(Config(queues=["foo"]))
    with pytest.raises(Exception, match="'fooo' missing from task_queues"):
        app.amqp.router.route({"queue": "fooo"}, "foo.bar")


def test_the_default_queue_may_be_another() -> None:
    app = app_with(Config(queues=["foo"], task_default_queue="rest"))
    assert app.amqp.router.route({}, "x.y")["queue"].routing_key == "rest"
    assert {"foo", "celery", "rest", "platform.fifo"} == set(app.amqp.queues)


def test_the_exchange_may_be_another() -> None:
    config = Config(queues=["foo"], task_default_exchange="mine")
    assert {exchange for exchange, _, _ in bindings(config).values()} == {"mine"}


def test_without_a_word_on_results_there_is_no_backend() -> None:
    assert app_with(Config(queues=[])).conf.result_backend is None
    # So that of the application itself stands.
    app = app_with(Config(queues=[]), backend="cache+memory://")
    assert app.conf.result_backend == "cache+memory://"


@pytest.mark.parametrize("password", ["p@ss/w:rd", "50%", "{x}", "gr\u00fc\u00df", "#?&"])
def test_a_password_is_quoted(password: str) -> None:
    backend = Config(queues=[], RESULT_DB_PASS=password).result_backend
    url = make_url(backend.removeprefix("db+"))
    assert (url.password, url.host, url.database) == (password, "localhost", "celery")


def test_the_template_may_be_another() -> None:
    template = "redis://:{RESULT_DB_PASS}@{RESULT_DB_HOST}/3"
    config = Config(queues=[], RESULT_BACKEND_TEMPLATE=template, RESULT_DB_PASS="a b")
    assert config.result_backend == "redis://:a%20b@localhost/3"


@pytest.mark.parametrize("template", ["{RESULT_DB_PORTS}", "{", "{0}", "{RESULT_DB_USER.x}"])
def test_a_template_that_cannot_be_filled_in(template: str) -> None:
    with pytest.raises(Invalid, match="RESULT_BACKEND_TEMPLATE"):
        Config(queues=[], RESULT_BACKEND_TEMPLATE=template)


def test_a_backend_that_is_said_stands() -> None:
    config = Config(queues=[], result_backend="rpc://", RESULT_DB_NAME="x")
    assert config.result_backend == "rpc://"
    assert Config(queues=[], result_backend=None, RESULT_DB_NAME="x").result_backend is None


@pytest.mark.parametrize(
    ("queues", "told"),
    [
        ("foo", "list of names"),
        (None, "list of names"),
        ({"foo": {}}, "list of names"),
        ([""], "not empty"),
        ([1], "not empty"),
        (["a.*"], "cannot be named"),
        (["#"], "cannot be named"),
        (["x" * 256], "255 bytes"),
    ],
)
def test_what_cannot_be_queues(queues: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        Config(queues=queues)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("taks_acks_late", "task_acks_late"),
        ("acks_late", "task_acks_late"),
        ("task_track_start", "task_track_started"),
        ("CELERY_ACKS_LATE", "task_acks_late"),
        ("BROKER_URL", "broker_url"),
        ("result_db_user", "RESULT_DB_USER"),
        ("RESULT_DB_PASSWORD", "RESULT_DB_PASS"),
        ("PLATFORM_QUEUE", "PLATFORM_QUEUE_NAME"),
        ("Task_Acks_Late", "task_acks_late"),
    ],
)
def test_a_setting_that_is_none(name: str, meant: str) -> None:
    with pytest.raises(Invalid) as refused:
        Config(queues=[], **{name: "x"})
    assert refused.value.hint == f"did you mean {meant}?"


def test_settings_of_others() -> None:
    with pytest.warns(UserWarning, match="no setting redbeat_redis_url"):
        config = Config(queues=[], redbeat_redis_url="redis://h", MY_SHOP="open")
    assert (config.redbeat_redis_url, config.MY_SHOP) == ("redis://h", "open")
    assert app_with(config).conf.redbeat_redis_url == "redis://h"
    with pytest.raises(Invalid, match="lower case"):
        Config(queues=[], My_Shop="open")
    with pytest.raises(Invalid, match="QUEUES"):
        Config(queues=[], QUEUES=["a"])


def test_own_settings_are_none_of_celerys() -> None:
    assert not _OLD.keys() & {*OWN, "QUEUES", "ENV_PREFIX"}
    assert _OLD["CELERY_TASK_RESULT_EXPIRES"] == "result_expires"


def test_secrets_are_masked_in_repr() -> None:
    secret = "s3cr3t"
    config = Config(
        queues=[],
        broker_url=f"amqp://u:{secret}@h//",
        RESULT_DB_PASS=secret,
        redis_password=secret,
        s3_secret_access_key=secret,
        broker_transport_options={"sentinel_kwargs": {"password": secret}},
        cache_backend=f"azureblockblob://AccountName=n;AccountKey={secret}",
        SENTRY_DSN="",
    )
    assert secret not in repr(config)
    assert "amqp://u:********@h//" in repr(config)


def test_it_survives_the_way_to_another_process() -> None:
    config = Config(queues=["foo"], task_acks_late=True, MY_OWN=1)
    app = pickle.loads(pickle.dumps(app_with(config)))
    came = config_of(app)
    assert came is not None
    assert repr(came) == repr(config)
    assert (came.QUEUES, came.MY_OWN) == (["foo"], 1)
    assert app.amqp.queues["foo"].platform == app.amqp.queues["platform.fifo"]


def test_updates_of_the_app_come_first() -> None:
    app = app_with(Config(queues=[], task_acks_late=True))
    app.conf.update(task_acks_late=False)
    assert app.conf.task_acks_late is False


def test_celerys_report_tells_the_settings_alone() -> None:
    app = app_with(Config(queues=["foo"], RESULT_DB_PASS="s3cr3t", SENTRY_DSN=""))
    told = app.conf.humanize()
    assert "task_track_started: True" in told
    assert "s3cr3t" not in told


def test_a_setting_that_is_not_set() -> None:
    with pytest.raises(AttributeError, match="no attribute 'task_acks_late'"):
        Config(queues=[]).task_acks_late  # noqa: B018


def test_sentry_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(Invalid, match="pip install sentry-sdk"):
        Config(queues=[], SENTRY_DSN="https://key@sentry.local/1")
    assert Config(queues=[]).SENTRY_DSN == ""


def test_importing_it_is_light() -> None:
    heavy = "flask sqlalchemy supervisor redis pydantic alembic httpx gunicorn"
    code = (
        "import sys, cyme_supd.tracking\n"
        f"print([each for each in {heavy.split()} if each in sys.modules])\n"
        "print([each for each in sys.modules if each.startswith('cyme_supd.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    heavies, ours = done.stdout.splitlines()
    assert heavies == "[]"
    rooms = {name.split(".")[1] for name in eval(ours)}
    assert rooms == {"tracking", "domain", "errors", "workers"}
    workers = {name for name in eval(ours) if name.startswith("cyme_supd.workers.")}
    # What workers have where nothing else of Cyme is.
    assert {name.split(".")[2] for name in workers} == {"boot"}


def test_no_warning_without_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config(queues=["foo"], task_acks_late=True, MY_OWN=1)
