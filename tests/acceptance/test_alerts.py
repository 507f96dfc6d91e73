"""A real branch tells a webhook what is wrong, and that it is over."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import BranchHost
from tests.hooks import Hook
from tests.support import eventually

pytestmark = pytest.mark.timeout(240)
QUEUE = "shop/tasks"
#: Depths are asked every fifteen seconds, and looked at every five.
TOLD_WITHIN_S = 60.0


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


def test_a_queue_that_fills_and_empties(hook: Hook) -> None:
    environment = {"CYME_ALERT_WEBHOOK": hook.url}
    with BranchHost("--alert-depth", "2", environment=environment) as host:
        host.start()
        host.post("/shop/", 201)
        host.post("/shop/queues/tasks/", 201)
        host.make("shop", "w1", queues="tasks")
        host.post("/shop/instances/w1/pause/")
        hook.status = 503
        for _ in range(3):
            answer = host.client.post("/shop/queue/tasks/http://127.0.0.1:9/")
            assert answer.status_code == 202
        eventually(lambda: "the alert webhook answers 503" in host.log(), TOLD_WITHIN_S)
        hook.status = 204
        eventually(lambda: hook.said("firing", "QueueDeep") == [QUEUE], TOLD_WITHIN_S)

        # Another process of the branch knows what was told.
        pid = host.pid("cyme:branch")
        eventually(lambda: (host.root / "alerts.json").exists())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: host.pid("cyme:branch") not in (0, pid), 30.0)
        eventually(host.is_up, 30.0)
        host.post("/shop/instances/w1/resume/")
        eventually(lambda: hook.said("resolved", "QueueDeep") == [QUEUE], TOLD_WITHIN_S)
        assert hook.said("firing", "QueueDeep") == [QUEUE]
        assert [each["branch"] for each in hook.posted] == [host.id] * 2
        assert "s3cret" not in host.log()
        environ = f"/proc/{host.mains('w1')[0]}/environ"
        with open(environ, "rb") as file:
            assert b"s3cret" not in file.read()
