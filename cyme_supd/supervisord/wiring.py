"""How a branch with such settings reaches its supervisord, and where its sections are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cyme_supd.config import Config
from cyme_supd.supervisord.client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Supervisord
from cyme_supd.supervisord.programs import Calls, SupervisordPrograms
from cyme_supd.supervisord.sections import SectionFiles
from cyme_supd.supervisord.stock import StockSupervisord

#: Gets the method and the seconds of a call.
OnCall = Callable[[str, float], None]


def supervisord_of(
    config: Config,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    on_call: OnCall = lambda _method, _seconds: None,
) -> Supervisord:
    where = config.supervisord
    return Supervisord(
        Path(where.path), where.password, where.userid, connect_timeout_s, read_timeout_s, on_call
    )


def sections_of(config: Config) -> SectionFiles:
    return SectionFiles(
        config.paths.root, shared=Path(config.conf_dir) if config.is_attached else None
    )


def calls_of(config: Config, on_call: OnCall = lambda _method, _seconds: None) -> Calls:
    """By the extension, where it was found."""
    server = supervisord_of(config, on_call=on_call)
    return server if config.has_extension else StockSupervisord(server, sections_of(config))


def programs_of(
    config: Config, on_call: OnCall = lambda _method, _seconds: None
) -> SupervisordPrograms:
    return SupervisordPrograms(calls_of(config, on_call), sections_of(config))
