"""What tests of the launcher share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress

import psutil

Launch = Callable[..., "subprocess.Popen[bytes]"]


def said(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """How it ended, and what it had to say on the pipe it was given."""
    output, _ = process.communicate(timeout=30)
    return process.returncode, output.decode()


def became(process: subprocess.Popen[bytes], name: str = "sleep") -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process.pid).name() == name)
    return False
