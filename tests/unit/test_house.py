"""The house's plan, and that the house is built to it.

The tables, and tests/rooms.py, are the plan: change them when the plan changes, not when a module
does not fit. Every rule is also shown a house that breaks it.
"""

from __future__ import annotations

import ast
import configparser
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, Module
from tests.rooms import ROOMS, Room

CHECKOUT = Path(__file__).parents[2]
MAX_LINES = 400


#: Wire the rooms together, and are the only ones that see more than their own:
#: what prepares a root, one for each process that runs on it, and what these share.
WIRES = (
    "cyme_supd.branch.prepare",
    "cyme_supd.branch.attached",
    "cyme_supd.branch.main",
    "cyme_supd.branch.monitoring",
    "cyme_supd.branch.neighbours",
    "cyme_supd.branch.scheduling",
    "cyme_supd.branch.web",
    "cyme_supd.branch.wiring",
    # One branch's store, without the branch.
    "cyme_supd.cli.local",
    # Its scheduler, without all the rest.
    "cyme_supd.cli.injector",
    "cyme_supd.cli.results",
    "cyme_supd.cli.standalone",
    # And all the parts of one, each asked by itself.
    "cyme_supd.cli.probing",
    # A whole branch, of fakes.
    "cyme_supd.testing.branch",
)
ALONE = ("launch", "runner.keeper", "workers.boot")
#: supervisord imports these; with all they import they run inside it.
INSIDE_SUPERVISORD = ("cyme_supd.supervisord.rpcinterface",)
#: The only imports inside functions, by module.
LATE_IMPORTS = {
    # Every start of a worker pays for what the launcher imports; these are for
    # paths that few take, and of the standard library, so they hide no cycle.
    "cyme_supd.launch": "ctypes pwd signal struct",
    # The HTTP library is four fifths of what importing the client would cost.
    "cyme_supd.client.tries": "cyme_supd.client.exchange",
    # Most commands just ask a branch: these take longer to import than such a one runs.
    "cyme_supd.cli.asking": "cyme_supd.cli.local",
    "cyme_supd.cli.doctor": "cyme_supd.cli.rounds",
    "cyme_supd.cli.importing": "cyme_supd.supervisord.handwritten",
    "cyme_supd.cli.jobs": "cyme_supd.cli.jobfile",
    "cyme_supd.cli.output": "cyme_supd.cli.tables",
    "cyme_supd.cli.progress": "cyme_supd.cli.bars",
    "cyme_supd.cli.shell": "cyme_supd.cli.console",
}
#: Which declared dependency brings a library that is imported and not declared.
BROUGHT_BY = {
    "argon2": "argon2-cffi",
    "dateutil": "python-dateutil",
    "markupsafe": "jinja2",
    "redis": "celery",
    "typing_extensions": "pydantic",
    "werkzeug": "flask",
}
#: The one place in tests that waits by the clock.
SLEEPS = "tests/support.py"
UNFINISHED = re.compile("TO" + r"DO\b|FIX" + r"ME\b")
MACHINE_PATHS = re.compile(r"(?<![\w.}>)/])/(?:wo" + r"rk|ro" + r"ot)/")


def room_of(name: str) -> str:
    """The room of a module: its own if the plan has one, else its folder's."""
    parts = name.split(".")[1:]
    nested = ".".join(parts[:2])
    return nested if nested in ROOMS else ".".join(parts[:1])


def is_own(name: str) -> bool:
    return name.partition(".")[0] == "cyme_supd"


def is_stdlib(name: str) -> bool:
    # _typeshed is there for type checkers only, of which it is the own library.
    return name.partition(".")[0] in {"_typeshed", *sys.stdlib_module_names}


def is_within(name: str, allowed: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed.split())


def every_module_has_its_room(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if room_of(module.name) not in ROOMS:
            yield f"{module.path}: the plan has no room {room_of(module.name)!r}"


def rooms_see_only_what_the_plan_says(house: House) -> Iterator[str]:
    for module in house.modules.values():
        name = room_of(module.name)
        seen = {"", name, *ROOMS.get(name, Room()).sees.split()}
        for each in house.imports(module) if module.name not in WIRES else ():
            if is_own(each.module) and (other := room_of(each.module)) not in seen:
                yield f"{module.path}:{each.line}: {name} does not see {other}"


def rooms_use_only_their_libraries(house: House) -> Iterator[str]:
    for module in house.modules.values():
        name = room_of(module.name)
        room = ROOMS.get(name, Room())
        for each in house.imports(module):
            if is_own(each.module):
                continue
            if is_stdlib(each.module):
                fits = room.stdlib is None or is_within(each.module, room.stdlib)
            else:
                fits = is_within(each.module, room.libraries)
            if not fits:
                yield f"{module.path}:{each.line}: {each.module} has no place in {name}"


def the_domain_does_not_ask_what_time_it_is(house: House) -> Iterator[str]:
    for module in house.modules.values():
        for name, line in _calls(module.tree) if room_of(module.name) == "domain" else ():
            if name.rpartition(".")[2] in ("now", "today", "utcnow"):
                yield f"{module.path}:{line}: time is handed in"


def what_stands_alone_imports_nothing_of_ours(house: House) -> Iterator[str]:
    # Run by path, in other interpreters: there is no cyme_supd there.
    for module in house.modules.values():
        for each in house.imports(module) if room_of(module.name) in ALONE else ():
            if is_own(each.module):
                yield f"{module.path}:{each.line}: it is run without {each.module}"


def supervisord_carries_only_itself_and_us(house: House) -> Iterator[str]:
    for module in house.running_with(INSIDE_SUPERVISORD):
        for each in house.imports(module):
            name = each.module
            if not (is_own(name) or is_stdlib(name) or is_within(name, "supervisor")):
                yield f"{module.path}:{each.line}: {name} would run inside supervisord"


def imports_are_at_the_top(house: House) -> Iterator[str]:
    for module in house.modules.values():
        known = LATE_IMPORTS.get(module.name, "").split()
        late = [each for each in house.imports(module) if each.is_late]
        hidden = [each.line for each in late if each.module not in known]
        by_name = [
            line
            for name, line in _calls(module.tree)
            if name.rpartition(".")[2] in ("import_module", "__import__")
        ]
        for line in [*hidden, *by_name]:
            yield f"{module.path}:{line}: an import that hides"


def _calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """What is called, as it is written, and in which line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def every_folder_ships(house: House) -> Iterator[str]:
    packages = _options(house, "packages")
    for path in sorted({Path(module.path).parent for module in house.modules.values()}):
        if ".".join(path.parts) not in packages:
            yield f"{path}: not among the packages of setup.cfg"


def libraries_are_declared(house: House) -> Iterator[str]:
    lines = _options(house, "install_requires")
    declared = {re.split(r"[\s\[<>=;]", line)[0].lower() for line in lines}
    for module in house.modules.values():
        for each in house.imports(module):
            library = each.module.partition(".")[0]
            if is_own(library) or is_stdlib(library) or is_beside(house, module, library):
                continue
            if BROUGHT_BY.get(library, library) not in declared:
                yield f"{module.path}:{each.line}: setup.cfg does not ask for {library}"


def is_beside(house: House, module: Module, name: str) -> bool:
    """Whether *name* lies in the folder of *module*, which is put on the path as it is."""
    is_by_path = room_of(module.name) == "workers.boot"
    return is_by_path and f"cyme_supd.workers.boot.{name}" in house.modules


def _options(house: House, name: str) -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(house.root / "setup.cfg")
    return setup.get("options", name, fallback="").splitlines()


def modules_say_what_they_are(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.path}: no docstring"


def files_are_short(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        lines = len(text.splitlines())
        if path.endswith(".py") and lines > MAX_LINES:
            yield f"{path}: {lines} lines"


def no_test_sleeps(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        if not path.startswith("tests/") or not path.endswith(".py") or path == SLEEPS:
            continue
        for name, line in _calls(ast.parse(text)):
            if name in ("time.sleep", "sleep"):
                yield f"{path}:{line}: wait for what you wait for"


def nothing_is_left_unfinished(house: House) -> Iterator[str]:
    yield from _matches(house, UNFINISHED)


def no_machine_is_named(house: House) -> Iterator[str]:
    yield from _matches(house, MACHINE_PATHS)


def _matches(house: House, pattern: re.Pattern[str]) -> Iterator[str]:
    for path, text in house.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()}"


def the_table_of_errors_is_true(house: House) -> Iterator[str]:
    module = runpy.run_path(str(house.root / "cyme_supd" / "errors.py"))
    written = dict(_rows(module["__doc__"] or ""))
    base: Any = module["CymeError"]
    classes: set[Any] = {thing for thing in module.values() if isinstance(thing, type)} - {base}
    real = {
        each.__name__: (each.__base__.__name__, each.code, each.http, each.exit, each.retryable)
        for each in classes
        if issubclass(each, base)
    }
    for name in sorted(written.keys() | real.keys()):
        if written.get(name) != real.get(name):
            yield f"{name}: the table says {written.get(name)}, the class {real.get(name)}"


def _rows(table: str) -> Iterator[tuple[str, tuple[str, str, int, int, bool]]]:
    above = [(-1, "CymeError")]
    for line in table.splitlines():
        row = re.fullmatch(r"([\s│├└─]*[├└]── )(\w+) +(\w+) +(\d{3}) +(\d+)( +yes)?", line)
        if row:
            indent, name, code, http, exit_code, retryable = row.groups()
            while above[-1][0] >= len(indent):
                above.pop()
            yield name, (above[-1][1], code, int(http), int(exit_code), bool(retryable))
            above.append((len(indent), name))


Rule = Callable[[House], Iterator[str]]

#: Every rule, and files of a house that breaks it.
RULES: dict[Rule, dict[str, str]] = {
    every_module_has_its_room: {"cyme_supd/attic/trunk.py": ""},
    rooms_see_only_what_the_plan_says: {
        "cyme_supd/store/a.py": "from ..workers import b",
        "cyme_supd/workers/b.py": "",
    },
    rooms_use_only_their_libraries: {"cyme_supd/domain/plan.py": "import os.path"},
    the_domain_does_not_ask_what_time_it_is: {
        "cyme_supd/domain/plan.py": "from datetime import datetime\nat = datetime.now()"
    },
    what_stands_alone_imports_nothing_of_ours: {"cyme_supd/launch.py": "import cyme_supd"},
    supervisord_carries_only_itself_and_us: {
        "cyme_supd/supervisord/rpcinterface.py": "import cyme_supd.supervisord.section",
        "cyme_supd/supervisord/section.py": "import jinja2",
    },
    imports_are_at_the_top: {"cyme_supd/service.py": "def f():\n    from cyme_supd import store"},
    libraries_are_declared: {
        "cyme_supd/store/a.py": "import sqlalchemy",
        "setup.cfg": "[options]\ninstall_requires =\n    SQLAlchemy-Utils >= 1",
    },
    every_folder_ships: {
        "cyme_supd/store/a.py": "",
        "setup.cfg": "[options]\npackages =\n    cyme_supd\n    cyme_supd.stores",
    },
    modules_say_what_they_are: {"cyme_supd/service.py": "x = 1"},
    files_are_short: {"tests/unit/test_all.py": "x = 1\n" * (MAX_LINES + 1)},
    no_test_sleeps: {"tests/unit/test_a.py": "from time import sleep\nsleep(1)"},
    nothing_is_left_unfinished: {"conf/a.conf": "# TO" + "DO later"},
    no_machine_is_named: {"docs/a.rst": "see /wo" + "rk/main"},
    the_table_of_errors_is_true: {
        "cyme_supd/errors.py": "class CymeError(Exception):\n    pass\n\n"
        "class Odd(CymeError):\n    code, http, exit, retryable = 'odd', 400, 2, False\n"
    },
}


@pytest.fixture(scope="module")
def this_house() -> House:
    return House.at(CHECKOUT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_house(rule: Rule, this_house: House) -> None:
    assert list(rule(this_house)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_house_that_breaks_it(rule: Rule, tmp_path: Path) -> None:
    for path, text in RULES[rule].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert list(rule(House.at(tmp_path))) != []


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("import cyme_supd.store.a", "cyme_supd.store.a"),
        ("from cyme_supd import errors", "cyme_supd.errors"),
        ("from cyme_supd import __version__", "cyme_supd"),
        ("from cyme_supd.store.a import b", "cyme_supd.store.a"),
        ("from . import a", "cyme_supd.store.a"),
        ("from .. import errors", "cyme_supd.errors"),
        ("from ..errors import Invalid", "cyme_supd.errors"),
        ("if TYPE_CHECKING:\n    import kombu.pools", "kombu.pools"),
        ("def f():\n    import os", "os"),
    ],
)
def test_every_form_of_import_is_seen(line: str, imported: str, tmp_path: Path) -> None:
    files = {"__init__.py": "", "errors.py": "", "store/__init__.py": "", "store/a.py": ""}
    for path, text in {**files, "store/b.py": line}.items():
        (tmp_path / "cyme_supd" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cyme_supd" / path).write_text(text)
    house = House.at(tmp_path)
    found = [each.module for each in house.imports(house.modules["cyme_supd.store.b"])]
    assert found == [imported]
