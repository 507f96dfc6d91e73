"""Sealed messages: closed to those who have no key, in either direction."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cyme_supd.domain.orders import Cancel, Grant, Order
from cyme_supd.errors import CymeError, Forbidden, Invalid, NotFound, Unavailable
from cyme_supd.runner import task
from cyme_supd.runner.letters import order_in, order_message, said_in, said_message
from cyme_supd.seal import Seal, Unsealed, make_key, read_key
from tests.unit.test_orders import GRANT, NONCE, RUN

SEAL = Seal(b"k" * 32)
ORDER = Order(RUN, "j1", "cyme.results.b1")


def test_who_has_the_key_reads_it() -> None:
    assert Seal(b"k" * 32).open(SEAL.close(GRANT), (Grant,)) == GRANT


def test_who_has_it_not_learns_and_forges_nothing() -> None:
    token = SEAL.close(GRANT)
    shown = base64.urlsafe_b64decode(token)
    for secret in (b"echo", b"nobody", b"b=c"):
        assert secret not in shown
    other = Seal(b"o" * 32)
    for seal, given in ((other, token), (SEAL, other.close(GRANT))):
        with pytest.raises(Unsealed):
            seal.open(given, (Grant,))


def test_any_byte_that_is_changed_is_seen() -> None:
    raw = base64.urlsafe_b64decode(SEAL.close(ORDER))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        # The time it was closed at is covered, too.
        with pytest.raises(CymeError):
            SEAL.open(base64.urlsafe_b64encode(bytes(changed)).decode(), (Order,))


@pytest.mark.parametrize("token", ["", "x", "\u20ac", None, 7, "=" * 100, "A" * 100_000], ids=repr)
def test_what_is_no_token(token: object) -> None:
    with pytest.raises(Unsealed):
        SEAL.open(token, (Order,))


def test_one_message_is_not_taken_for_another() -> None:
    # Somebody sends what was said elsewhere once more.
    with pytest.raises(Unsealed):
        SEAL.open(SEAL.close(Cancel(RUN, NONCE)), (Order,))


class Came:
    def __init__(self, body: bytes, **headers: object) -> None:
        self.body = body
        self.headers = headers


def test_an_order_shows_its_job_and_nothing_else() -> None:
    message = order_message(SEAL, ORDER, "b1")
    assert message.headers["kwargsrepr"] == "{'job': 'j1'}"
    came = Came(message.body, **message.headers)
    assert SEAL.open(order_in(came), (Order,)) == ORDER


@pytest.mark.parametrize(
    "came",
    [
        Came(b"[[], {}, {}]", task="cyme.job"),
        Came(b"[[], {}]", task="cyme.request"),
        Came(b'[[], {"order": "x"}]'),
        Came(b"{", task="cyme.job"),
        Came(b"[]", task="cyme.job"),
        Came(b"7", task="cyme.job"),
        Came(b'{"1": {"order": "x"}}', task="cyme.job"),
        Came(b"[" * 100_000, task="cyme.job"),
    ],
    ids=lambda came: f"{came.body[:20]}{came.headers}",
)
def test_messages_that_are_no_orders(came: Came) -> None:
    with pytest.raises(Invalid):
        order_in(came)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sealed": 1}', b'{"sealed": "x"}', b"\xff"])
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(CymeError):
        said_in(SEAL, body, (Grant,))


def test_an_answer() -> None:
    assert said_in(SEAL, said_message(SEAL, GRANT).body, (Grant,)) == GRANT


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "runner.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: make_key(path), range(8)))
    assert keys == {read_key(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["runner.key"]


def test_keys_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "runner.key"
    with pytest.raises(NotFound):
        read_key(path)
    for text in (b"", b"x" * 64, b"00" * 31, b"\xff" * 64):
        path.write_bytes(text)
        path.chmod(0o600)
        with pytest.raises(Invalid):
            read_key(path)
    path.write_text("00" * 32)
    path.chmod(0o640)
    with pytest.raises(Forbidden):
        read_key(path)
    with pytest.raises(Invalid):
        Seal(b"short")


def test_a_worker_without_the_key_gives_orders_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "PAUSE_S", 0.0)
    with pytest.raises(Unavailable, match="no branch's"):
        task.Lazy({}).handle("x")
    with pytest.raises(Unavailable, match=r"runner\.key"):
        task.Lazy({"CYME_LAUNCH_DIRECTORY": str(tmp_path / "instances" / "w1")}).handle("x")
