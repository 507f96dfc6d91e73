"""``make audit``: which faults are known of what is installed, and of the oldest that is let in.

pip-audit asks for them. What it cannot ask for it passes over, and ends as if
all were well; here that is not known, and not well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SETUP = Path(__file__).parents[1] / "setup.cfg"
#: What users have, beside what is always there.
EXTRAS = ("postgresql", "mysql")
#: It is nobody's dependency.
OWN = "cyme-supd"
FINE, FAULTY, NOT_KNOWN = 0, 1, 2
#: Seconds for all of them.
PATIENCE_S = 600
LONGEST_REASON = 200
#: As many of what is not known are named: mostly it is all or nothing.
NAMED = 5


@dataclass(frozen=True)
class Found:
    """``faults`` have a line each; of what is ``unknown`` nobody was told anything."""

    count: int
    faults: Sequence[str] = ()
    unknown: Sequence[str] = ()

    @property
    def code(self) -> int:
        return FAULTY if self.faults else NOT_KNOWN if self.unknown or not self.count else FINE


def oldest(setup: str) -> list[str]:
    """``name==version`` for each lower bound in the text of a ``setup.cfg``."""
    config = ConfigParser()
    config.read_string(setup)
    extras = config["options.extras_require"]
    texts = [config["options"]["install_requires"], *(extras[name] for name in EXTRAS)]
    wanted = [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]
    return [
        f"{each.name}=={bound.version}"
        for each in wanted
        for bound in each.specifier
        if bound.operator == ">="
    ]


def judged(dependencies: Iterable[Mapping[str, Any]]) -> Found:
    """What pip-audit says of each, as its ``--format json`` has it."""
    known = [each for each in dependencies if canonicalize_name(each["name"]) != OWN]
    faults = [
        f"{each['name']} {each['version']}: {one['id']}, {_mended(one['fix_versions'])}"
        for each in known
        for one in each.get("vulns", ())
    ]
    unknown = [f"{each['name']}: {each['skip_reason']}" for each in known if "skip_reason" in each]
    return Found(len(known), faults, unknown)


def _mended(versions: Sequence[str]) -> str:
    return f"mended in {', '.join(versions)}" if versions else "not mended yet"


def asked(command: Sequence[str]) -> Found:
    """What *command*, which is pip-audit with what it is to look at, says."""
    form = ("--format", "json", "--progress-spinner", "off")
    try:
        done = subprocess.run(
            [*command, *form], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return judged(json.loads(done.stdout)["dependencies"])
    except subprocess.TimeoutExpired:
        return Found(0, unknown=["no answer in time"])
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        return Found(0, unknown=[said[-1][:LONGEST_REASON]])


def shown(what: str, found: Found) -> str:
    if found.code == FINE:
        return f"{what}: no fault is known of any of {found.count}"
    lines = [f"{what}: {len(found.faults)} faults are known, of {found.count}"]
    lines += [f"  {line}" for line in found.faults]
    if found.unknown:
        lines.append(f"  NOT KNOWN, for nobody could be asked, of {len(found.unknown)}:")
        lines += [f"    {line}" for line in found.unknown[:NAMED]]
        lines += ["    ..."] if len(found.unknown) > NAMED else []
    return "\n".join(lines)


def main(pip_audit: str) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(oldest(SETUP.read_text())))
        file.flush()
        looks = {
            "what is installed": ("--skip-editable", "--path", sysconfig.get_path("purelib")),
            "the oldest let in": ("--no-deps", "--disable-pip", "--requirement", file.name),
        }
        found = {what: asked([pip_audit, *look]) for what, look in looks.items()}
    for what, each in found.items():
        print(shown(what, each))
    codes = {each.code for each in found.values()}
    return FAULTY if FAULTY in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
