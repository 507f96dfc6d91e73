"""The threads that keep a branch in step with the others: catalogue, names, moves, and roll."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from cyme_supd.errors import CymeError
from cyme_supd.service.following import Following

log = logging.getLogger("cyme_supd.catalogue")

#: Heartbeats come every two seconds; to look at what they said costs one row.
EVERY_S = 1.0
SOON_S = 0.1
#: Where all branches have one store, and each would ask it whether it is to move something.
SHARED_EVERY_S = 5.0


def keep_up(
    following: Following,
    peers: Callable[[], Mapping[str, str]],
    stop: threading.Event,
    beat: Callable[[], None],
    every_s: float = EVERY_S,
) -> None:
    """Until *stop*; *peers* gives the digests of the other live branches, by id."""
    trouble = "the catalogue does not follow the other branches: %s"
    _again_and_again(lambda: following.catch_up(peers()), trouble, stop, beat, every_s)


def compare_names(
    look: Callable[[], None],
    stop: threading.Event,
    beat: Callable[[], None],
    every_s: float = EVERY_S,
) -> None:
    """Until *stop*: *look* whether others have instances of the same names."""
    trouble = "names are not compared with those of other branches: %s"
    _again_and_again(look, trouble, stop, beat, every_s)


def keep_moving(
    look: Callable[[], bool],
    stop: threading.Event,
    beat: Callable[[], None],
    every_s: float = EVERY_S,
) -> None:
    """Until *stop*: *look* whether an instance is to be moved away, and often while one is.

    Its worker is down between two of the steps.
    """

    def go_on() -> None:
        while look() and not stop.wait(SOON_S):
            beat()

    _again_and_again(go_on, "instances are not moved: %s", stop, beat, every_s)


def keep_roll(
    write: Callable[[], None],
    stop: threading.Event,
    beat: Callable[[], None],
    every_s: float = EVERY_S,
) -> None:
    """Until *stop*: *write* down who is there."""
    _again_and_again(write, "the roll is not written down: %s", stop, beat, every_s)


def _again_and_again(
    step: Callable[[], None],
    trouble: str,
    stop: threading.Event,
    beat: Callable[[], None],
    every_s: float,
) -> None:
    """Trouble is told of when it begins."""
    is_failing = False
    while not stop.is_set():
        beat()
        try:
            step()
            is_failing = False
        except CymeError as exc:
            if not is_failing:
                log.warning(trouble, exc)
            is_failing = True
        stop.wait(every_s)
