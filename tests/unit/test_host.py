"""What the kernel says of processes."""

from __future__ import annotations

import os
import signal
import subprocess

from cyme_supd.branch.host import is_stopped
from tests.support import eventually


def test_one_that_a_signal_has_stopped() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        try:
            assert not is_stopped(child.pid)
            os.kill(child.pid, signal.SIGSTOP)
            eventually(lambda: is_stopped(child.pid))
            os.kill(child.pid, signal.SIGCONT)
            eventually(lambda: not is_stopped(child.pid))
        finally:
            child.kill()
    assert not is_stopped(child.pid)
