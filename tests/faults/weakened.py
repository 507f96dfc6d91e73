"""Cyme without one of its defences, to show that a test would see it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
#: What is started by its name, and whose ``main`` that is.
PROGRAMS = {"cyme-branch": "cyme_supd.cli.branch", "celery": "celery.__main__"}


def without(folder: Path, name: str, old: str, new: str = "") -> Path:
    """A copy of the package in *folder*, *old* in its module *name* being *new*; the folder."""
    shutil.copytree(CHECKOUT / "cyme_supd", folder / "cyme_supd")
    path = folder / "cyme_supd" / name
    text = path.read_text()
    assert text.count(old) == 1, f"{name} has no such line any more: {old}"
    path.write_text(text.replace(old, new))
    return folder


def installed(folder: Path, code: Path) -> Path:
    """The programs of an environment in *folder* that has the Cyme in *code*, and all else.

    A branch starts its own programs isolated: what the environment says of
    where to import from does not reach them.
    """
    for each in ("conf", "templates"):
        shutil.copytree(CHECKOUT / each, code / "cyme_supd" / each)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    (packages,) = (folder / "lib").glob("python*/site-packages")
    # In this order: the checkout itself may be among what is installed.
    (packages / "cyme.pth").write_text(f"{code}\n{sysconfig.get_path('purelib')}\n")
    for name, module in PROGRAMS.items():
        program = folder / "bin" / name
        program.write_text(f"#!{python}\nfrom {module} import main\nmain()\n")
        program.chmod(0o755)
    return folder / "bin"
