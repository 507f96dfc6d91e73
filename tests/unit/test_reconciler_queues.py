"""The reconciler and the queues that workers consume from, between fakes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyme_supd.domain.spec import Queue
from cyme_supd.domain.status import ProcessState as S
from cyme_supd.testing.remote import declared
from tests.unit.played_host import Host, with_one_ready
from tests.unit.values import AT


@pytest.fixture
def up() -> Host:
    host = with_one_ready()
    with host.store.writing() as tx:
        tx.add_queue(Queue("foo", "tasks", "tasks", "direct", "tasks", {}, AT))
    return host


def test_a_running_worker_is_told_and_believed_when_it_says_so(up: Host) -> None:
    up.edit(queues=("tasks",))
    up.hint()
    assert up.remote.consumers == [("w1@b1", "consume", "tasks")]
    assert (up.status().queues, up.status().consuming) == ((), False)

    up.clock.advance(0.1)
    up.remote.says(up.worker(), up.programs.pid("w1"))
    up.look()
    assert (up.status().queues, up.status().consuming) == (("tasks",), True)

    up.edit(queues=())
    up.hint()
    assert up.remote.consumers[1:] == [("w1@b1", "cancel", "tasks")]


def test_one_that_is_refused_is_quarantined_with_the_reason(up: Host) -> None:
    up.edit(queues=("tasks",))
    up.hint()
    worker = up.worker()
    refused = {"tasks": (declared(worker)["tasks"], "406 inequivalent arg")}
    up.clock.advance(0.1)
    up.remote.says(worker, up.programs.pid("w1"), queues={"dq.w1": ""}, refused=refused)
    up.look()

    assert len(up.remote.consumers) == 1
    (condition,) = (one for one in up.status().conditions if one.type == "Quarantined")
    assert condition.message == "tasks: 406 inequivalent arg"
    assert (up.status().ready, up.status().consuming) == (True, False)


def test_another_declaration_replaces_the_worker(up: Host) -> None:
    up.edit(queues=("tasks",))
    up.clock.advance(0.1)
    up.remote.says(up.worker(), up.programs.pid("w1"))
    with up.store.writing() as tx:
        tx.save_queue(replace(tx.queue("foo", "tasks"), exchange_type="topic"))
    up.hint()

    assert up.state() is S.STOPPING
