"""The roll as a file: what a process that starts knows of the others."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cyme_supd.config import Config
from cyme_supd.domain.presence import REMEMBERED_S, Heard, Peer, Roll
from cyme_supd.mailbox.roll import REWRITTEN_AFTER_S, RollFile
from cyme_supd.testing.clock import FakeClock
from tests.unit.values import a_heartbeat

BEAT = a_heartbeat("b2", interval_s=2.0, instances=3, address="somewhere", memory={"total": 7})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        root=str(tmp_path),
        id="b1",
        fleet="f1",
        broker="memory://",
        has_embedded_broker=False,
        supervisor_password="",
    )


def heard(clock: FakeClock, *heartbeats: str) -> dict[str, Peer]:
    roll = Roll()
    for id in heartbeats:
        roll.hear(replace(BEAT, id=id), clock.monotonic(), clock.now())
    return roll.peers(clock.monotonic())


def test_it_comes_back_as_it_was_heard_and_has_lapsed(config: Config, clock: FakeClock) -> None:
    RollFile(config, clock).keep(heard(clock, "b1", "b2"))

    (peer,) = RollFile(config, clock).read()
    assert (peer.heartbeat, peer.last_seen_at) == (replace(BEAT, address=""), clock.now())
    assert not peer.is_live
    assert stat.S_IMODE(config.paths.roll.stat().st_mode) == 0o600


def test_it_is_written_when_somebody_comes_or_goes_and_now_and_then(
    config: Config, clock: FakeClock
) -> None:
    file = RollFile(config, clock)
    file.keep(heard(clock, "b2"))
    config.paths.roll.unlink()
    file.keep(heard(clock, "b2"))
    assert not config.paths.roll.exists()

    file.keep(heard(clock, "b2", "b3"))
    assert {peer.heartbeat.id for peer in file.read()} == {"b2", "b3"}
    config.paths.roll.unlink()
    clock.advance(REWRITTEN_AFTER_S)
    file.keep(heard(clock, "b2", "b3"))
    assert config.paths.roll.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"fleet": "f1"}',
        '{"fleet": "f1", "peers": [{}]}',
        '{"fleet": "f1", "peers": [{"heartbeat": {}, "last_seen_at": "2026-01-02T00:00:00Z"}]}',
        '{"fleet": "f1", "peers": [{"heartbeat": 1, "last_seen_at": "2026-01-02T00:00:00"}]}',
    ],
)
def test_one_that_cannot_be_read_is_none(config: Config, clock: FakeClock, content: str) -> None:
    config.paths.roll.write_text(content)
    assert RollFile(config, clock).read() == []


def test_a_disk_that_takes_nothing_is_a_line_in_the_log(
    config: Config, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    gone = replace(config, root=f"{config.root}/gone")
    RollFile(gone, clock).keep(heard(clock, "b2"))
    assert "roll.json is not written: No such file or directory" in caplog.text


def test_another_fleet_s_is_not_used(config: Config, clock: FakeClock) -> None:
    RollFile(replace(config, fleet="f2"), clock).keep(heard(clock, "b2"))
    assert json.loads(config.paths.roll.read_text())["fleet"] == "f2"
    assert RollFile(config, clock).read() == []


class TestRemembering:
    @pytest.fixture
    def roll(self) -> Roll:
        return Roll()

    def test_who_is_remembered_has_lapsed_until_heard(self, roll: Roll, clock: FakeClock) -> None:
        now, at = clock.monotonic(), clock.now()
        # Heard a moment ago, or at a time that has not come yet: it may be gone all the same.
        for last_seen_at in (at, at + timedelta(hours=1)):
            roll.remember(Peer(BEAT, last_seen_at, is_live=False), now, at)
            assert not roll.peers(now)["b2"].is_live
        assert roll.hear(BEAT, now, at) is Heard.CAME
        assert roll.peers(now)["b2"].is_live

    def test_who_was_heard_already_is_not_put_back(self, roll: Roll, clock: FakeClock) -> None:
        now, at = clock.monotonic(), clock.now()
        roll.hear(BEAT, now, at)
        roll.remember(Peer(BEAT, at - timedelta(days=1), is_live=False), now, at)
        assert roll.peers(now)["b2"].is_live

    def test_it_is_forgotten_a_week_after_it_was_seen(self, roll: Roll, clock: FakeClock) -> None:
        now, at = clock.monotonic(), clock.now()
        roll.remember(Peer(BEAT, at - timedelta(days=6), is_live=False), now, at)
        assert "b2" in roll.peers(now)
        assert "b2" not in roll.peers(now + REMEMBERED_S - 6 * 86400 + 1)
