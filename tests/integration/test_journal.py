"""What a runner that is killed has claimed and not begun is given back by who outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyme_supd.domain.orders import Withdrawal
from cyme_supd.errors import Unavailable
from cyme_supd.runner import journal as journals
from cyme_supd.runner.journal import SLOT, Journal
from tests.support import eventually

BROKER = "redis://127.0.0.1/0"
RUN = "0d8e1b57-7d0a-5b4f-9c35-5b1a9a7e3f1{}"
#: Notes three claims, begins the second, gives its fourth line to what it forks, and waits.
OTHER = """
import os, subprocess, sys
from cyme_supd.runner.journal import Journal
journal = Journal(sys.argv[1], sys.argv[2], lambda reply, said: None)
for number in "123":
    journal.note({run!r}.format(number), number * 32, "cyme.results.x")
journal.forget("2" * 32)
child = subprocess.Popen(["sleep", "30"], close_fds=False)
print(child.pid, flush=True)
sys.stdin.read()
"""


class Said:
    def __init__(self) -> None:
        self.all: list[tuple[str, Withdrawal]] = []
        self.is_away = False

    def __call__(self, reply: str, said: Withdrawal) -> None:
        if self.is_away:
            raise Unavailable("the broker is away")
        self.all.append((reply, said))


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def journal(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(journals, "SWEEP_EVERY_S", 0.05)
    made = Journal(tmp_path, BROKER, said)
    yield made
    made.close()


def files(root: Path) -> list[Path]:
    return list((root / "runs" / "journals").iterdir())


@pytest.mark.parametrize("broker", [BROKER, "redis://elsewhere/0"])
def test_of_one_that_is_killed(tmp_path: Path, journal: Journal, said: Said, broker: str) -> None:
    code = OTHER.format(run=RUN)
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), broker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        journal.note(RUN.format(9), "9" * 32, "cyme.results.x")
        journal.sweep()
        assert said.all == []
        other.kill()
        other.wait()
    try:
        if broker == BROKER:
            eventually(lambda: len(said.all) >= 2)
            eventually(lambda: len(files(tmp_path)) == 1)
        journal.sweep()
        # Those of another broker are for who is there.
        wanted = [Withdrawal(RUN.format(n), n * 32) for n in "13"] if broker == BROKER else []
        assert said.all == [("cyme.results.x", each) for each in wanted]
    finally:
        os.kill(child, 9)


def test_what_is_old_goes(tmp_path: Path, journal: Journal, said: Said) -> None:
    folder = tmp_path / "runs" / "journals"
    folder.mkdir(parents=True)
    for name in ("0000-1", "0000-2"):
        (folder / name).write_text('{"run": "x", "nonce": "y", "reply": "z"}\n')
    os.utime(folder / "0000-1", (1, 1))
    eventually(lambda: [path.name for path in files(tmp_path)] == ["0000-2"])
    assert said.all == []


def test_what_was_given_up_while_the_broker_was_away(journal: Journal, said: Said) -> None:
    said.is_away = True
    journal.note(RUN.format(1), "1" * 32, "cyme.results.x")
    journal.give_up(RUN.format(1), "1" * 32, "cyme.results.x")
    with pytest.raises(Unavailable):
        journal.sweep()
    said.is_away = False
    eventually(lambda: said.all == [("cyme.results.x", Withdrawal(RUN.format(1), "1" * 32))])


def test_slots_are_used_again_and_nothing_is_left(tmp_path: Path, said: Said) -> None:
    journal = Journal(tmp_path, BROKER, said)
    for number in range(50):
        journal.note(RUN.format(1), f"{number:032}", "r")
        journal.note(RUN.format(2), f"{number + 100:032}", "r" * 255)
        journal.forget(f"{number:032}")
        journal.forget(f"{number + 100:032}")
    (path,) = files(tmp_path)
    assert path.stat().st_size == 2 * SLOT
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().split() == []
    journal.close()
    assert files(tmp_path) == []


def test_a_claim_that_cannot_be_written_down_is_not_made(tmp_path: Path, said: Said) -> None:
    (tmp_path / "runs").write_text("in the way")
    journal = Journal(tmp_path, BROKER, said)
    with pytest.raises(Unavailable):
        journal.note(RUN.format(1), "1" * 32, "r")
    journal.close()
