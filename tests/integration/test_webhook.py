"""Posting to a webhook, over sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cyme_supd.branch.webhook import Webhook
from cyme_supd.errors import Unavailable
from tests.hooks import Hook
from tests.services import free_port

BODY = json.dumps({"kind": "CrashLooping", "subject": "w\u00fc"}).encode()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


def test_json_arrives(hook: Hook) -> None:
    Webhook(hook.url).post(BODY)
    assert hook.posted == [json.loads(BODY)]
    assert hook.headers[0]["Content-Type"] == "application/json"
    assert hook.headers[0]["Host"].startswith("127.0.0.1:")


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_what_is_not_taken_is_told_without_the_url(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(Unavailable, match=f"answers {status}") as failed:
        Webhook(hook.url).post(BODY)
    assert "s3cret" not in str(failed.value)


def test_nobody_listens() -> None:
    with pytest.raises(Unavailable, match="not reached: ConnectError"):
        Webhook(f"http://127.0.0.1:{free_port()}/s3cret").post(BODY)


def test_no_such_host() -> None:
    with pytest.raises(Unavailable, match="not reached"):
        Webhook("http://none.invalid/s3cret").post(BODY)


def test_one_that_hangs_is_given_up(hook: Hook) -> None:
    hook.is_mute = True
    with pytest.raises(Unavailable, match="in time"):
        Webhook(hook.url, timeout_s=0.2).post(BODY)
