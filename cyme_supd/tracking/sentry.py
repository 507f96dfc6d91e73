"""Errors to Sentry, for those who have it."""

from __future__ import annotations

from importlib.util import find_spec

from kombu.utils.imports import symbol_by_name

from cyme_supd.errors import Invalid


def check() -> None:
    """:exc:`Invalid` where its library is not installed."""
    if find_spec("sentry_sdk") is None:
        raise Invalid("SENTRY_DSN needs Sentry's library", "pip install sentry-sdk")


def start(dsn: str) -> None:
    # By its name: it is no dependency of ours.
    symbol_by_name("sentry_sdk:init")(dsn=dsn)
