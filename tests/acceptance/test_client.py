"""What the documents have typed into Python, typed beside a real branch."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import BranchHost
from tests.odd_server import OddServer, odd_server

CHECKOUT = Path(__file__).parents[2]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: As the documents have them: the branch, and something to request.
BRANCH = re.compile(r"(?<=http://)(localhost|127\.0\.0\.1):8000\b")
PAGE = "http://127.0.0.1:8080/"


@pytest.fixture(scope="module")
def host() -> Iterator[BranchHost]:
    with BranchHost("-i", "branch1") as host:
        yield host.start()


@pytest.fixture(scope="module")
def page() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


# The first leaves nothing behind, and wants to find nothing.
@pytest.mark.parametrize(("name", "least"), [("docs/client.rst", 45), ("README.rst", 7)])
def test_every_line_is_true(name: str, least: int, host: BranchHost, page: OddServer) -> None:
    text = BRANCH.sub(rf"\1:{host.port}", (CHECKOUT / name).read_text())
    text = text.replace(PAGE, page.url("/"))
    session = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    result = runner.run(session, out=said.append, clear_globs=False)
    session.globs["client"].close()

    assert result.failed == 0, "".join(said)
    assert result.attempted >= least
