"""Users and tokens from the command line and from Python; and who is let in without either."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cyme_supd.cli.asking import Wanted
from cyme_supd.cli.cyme import cyme
from cyme_supd.cli.rooted import local_token
from cyme_supd.client import Client, Conflict, Forbidden, NotFound, Unauthorized
from cyme_supd.clock import isoformat
from cyme_supd.config import Config
from cyme_supd.domain import access
from cyme_supd.errors import Invalid
from cyme_supd.supervisord import ctlplugin
from cyme_supd.web.app import create_app
from cyme_supd.web.settings import Settings
from tests.unit.service_support import HERE, World

PASSWORD = "correct horse"
KEY = b"k" * 32


@pytest.fixture
def house(house: World) -> World:
    house.service = house.over(house.store, replace(HERE, task_key=KEY))
    return house


@pytest.fixture
def local(house: World) -> Iterator[Client]:
    """Somebody on the host."""
    with asking(house, access.local_token(KEY)) as client:
        yield client


def asking(house: World, token: str | None, secrets: bool = False) -> Client:
    app = create_app(Settings("b1"), house.service)
    return Client("http://localhost:8000", token, secrets=secrets, wsgi=app)


def run(client: Client, *words: str, typed: str = "") -> Result:
    wanted = Wanted(given=client, format="json")
    return CliRunner().invoke(cyme, words, obj=wanted, standalone_mode=False, input=typed)


def output(result: Result) -> str:
    if result.exception:
        raise result.exception
    return result.output


# From Python


def test_users_and_tokens_from_python(house: World, local: Client) -> None:
    assert local.users.add("alice", PASSWORD, "operator")["role"] == "operator"
    assert local.users.add("alice", role="viewer") == local.users.get("alice")
    made = local.tokens.add("for her", "admin", user="alice", app="foo", expires=3600)
    assert (repr(local.users), repr(local.tokens)) == ("['alice']", repr([made["id"]]))
    assert "token" not in local.tokens.get(made["id"])
    with asking(house, made["token"], secrets=True) as hers:
        with pytest.raises(Forbidden, match="the role admin"):
            hers.get("foo")
        with pytest.raises(Forbidden, match="of app 'foo' alone"):
            hers.all_names()
    local.tokens.delete(made["id"])
    with asking(house, made["token"]) as hers, pytest.raises(Unauthorized):
        hers.get("foo")
    local.users.delete("alice")
    with pytest.raises(NotFound):
        local.users.get("alice")


def test_secrets_of_who_may_see_them(house: World) -> None:
    with asking(house, access.local_token(KEY), secrets=True) as client:
        client.users.add("alice", PASSWORD)
        assert client.users.get("alice")["name"] == "alice"
        assert "s3cret" in client.get("foo").info["broker"]


# From a terminal


def test_a_user_by_a_pipe(house: World, local: Client) -> None:
    made = output(run(local, "createuser", "alice", typed=f"{PASSWORD}\nmore\n"))
    assert '"role": "viewer"' in made
    assert PASSWORD not in made
    output(run(local, "createsuperuser", "alice", typed="another one"))
    assert local.users.get("alice")["role"] == "admin"
    assert output(run(local, "users")) == '[\n  "alice"\n]\n'
    output(run(local, "users.delete", "alice"))
    assert list(local.users) == []


@pytest.mark.parametrize("typed", ["", "\n", "short\n", "x" * 5000])
def test_what_is_no_password(typed: str, local: Client) -> None:
    result = run(local, "createuser", "alice", typed=typed)
    assert isinstance(result.exception, Invalid)
    assert list(local.users) == []


def test_a_user_at_a_terminal(local: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __getattr__(self, name: str) -> object:
            return (lambda: True) if name == "isatty" else getattr(sys.stdin, name)

    monkeypatch.setattr("cyme_supd.cli.access.sys", type("S", (), {"stdin": Terminal()}))
    typed = f"{PASSWORD}\nsomething else\n{PASSWORD}\n{PASSWORD}\n"
    shown = output(run(local, "createuser", "alice", "--role", "operator", typed=typed))
    assert PASSWORD not in shown
    assert local.users.get("alice")["role"] == "operator"


def test_tokens(house: World, local: Client) -> None:
    made = output(run(local, "token.add", "deployment", "--role", "operator", "--expires", "60"))
    [id] = list(local.tokens)
    assert f"cyme_{id}_" in made
    found = local.tokens.get(id)
    assert (found["label"], found["role"], found["app"]) == ("deployment", "operator", None)
    assert id in output(run(local, "tokens", "-F", "table"))
    at = isoformat(house.clock.now() + timedelta(days=1))
    output(run(local, "token.add", "foo's", "--app", "foo", "--expires", at))
    assert {local.tokens.get(each)["app"] for each in local.tokens} == {None, "foo"}
    for each in list(local.tokens):
        output(run(local, "token.revoke", each))
    assert list(local.tokens) == []


def test_the_last_admin_stays(house: World) -> None:
    here = replace(HERE, task_key=KEY, is_exposed=True)
    house.service = house.over(house.store, here)
    with asking(house, access.local_token(KEY)) as client:
        client.users.add("alice", PASSWORD, "admin")
        with pytest.raises(Conflict, match="last admin"):
            client.users.delete("alice")


# Whoever may read the root


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(str(tmp_path), "b1", "redis://h/0", False, "", task_key=KEY.hex())
    config.save()
    return config


@pytest.mark.parametrize(
    ("host", "url", "is_given"),
    [
        ("127.0.0.1", None, True),
        ("127.0.0.1", "http://localhost:8000/", True),
        ("0.0.0.0", "http://127.0.0.1:8000", True),
        ("10.0.0.1", "http://10.0.0.1:8000", True),
        ("::1", "http://[::1]:8000", True),
        ("127.0.0.1", "http://127.0.0.1:8001", False),
        ("127.0.0.1", "https://127.0.0.1:8000", False),
        ("127.0.0.1", "http://alice:secret@127.0.0.1:8000", False),
        ("127.0.0.1", "http://10.0.0.1:8000", False),
        ("10.0.0.1", "http://localhost:8000", False),
        ("127.0.0.1", "http://127.0.0.1.example:8000", False),
        ("127.0.0.1", "nonsense:x", False),
    ],
)
def test_the_local_token_goes_to_its_branch_alone(
    host: str,
    url: str | None,
    is_given: bool,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CYME_URL", raising=False)
    monkeypatch.delenv("CYME_TOKEN", raising=False)
    replace(config, host=host).save()
    token = local_token(url, ["/nowhere", config.root])
    assert token == (access.local_token(KEY) if is_given else None)


def test_who_says_who_asks_is_that_one(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYME_TOKEN", "mine")
    assert local_token("http://127.0.0.1:8000", [config.root]) is None


def test_a_root_that_cannot_be_read(config: Config) -> None:
    for text in ("", "[]", '{"id": 1}'):
        config.paths.config.write_text(text)
        assert local_token("http://127.0.0.1:8000", [config.root]) is None


def test_supervisorctl_sends_the_local_token(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(ctlplugin, "Client", lambda *given: made.append(given))
    ctlplugin.Branch(config.root)
    assert made == [("http://127.0.0.1:8000", access.local_token(KEY))]
