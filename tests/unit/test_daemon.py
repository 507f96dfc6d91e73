"""The parser of our supervisord reads what that of the stock one does."""

from __future__ import annotations

from configparser import Error as ConfigError
from pathlib import Path
from typing import Any

import pytest
from supervisor import options
from supervisor.options import ServerOptions

from cyme_supd.supervisord.daemon import Parser

MAIN = """
[supervisord]
logfile={root}/log ; a comment
[unix_http_server]
file=%(here)s/s.sock
[program:own]
command=/bin/own %(here)s
[include]
files=one/*.conf two/*.conf
"""
FILES = {
    "one/a.conf": '[program:a]\ncommand=/bin/a %(here)s\nenvironment=A="%(here)s"\n',
    "one/b.conf": "[program:b]\ncommand=/bin/b\n  -more\n[program:c]\ncommand=%(here)s/c\n",
    # Sections of one name are merged, and the later wins.
    "two/a.conf": "[program:a]\ncommand=%(here)s/other\n[program:own]\nstopwaitsecs=7\n",
    "two/z.conf": "[eventlistener:z]\ncommand=/bin/z\nevents=TICK_5\n",
}
DEFAULTS = {"one/aa.conf": "[DEFAULT]\nstopwaitsecs=33\nstopsignal=INT\n[program:aa]\ncommand=x\n"}


def lay_out(root: Path, files: dict[str, str]) -> Path:
    conf = root / "supervisord.conf"
    conf.write_text(MAIN.format(root=root))
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return conf


def read(conf: Path) -> dict[str, dict[str, Any]]:
    """Every program's settings, by name."""
    parsed = ServerOptions()
    parsed.realize(["-c", str(conf)], doc="", progname="test")
    return {
        process.name: {key: value for key, value in vars(process).items() if key != "options"}
        for group in parsed.process_group_configs
        for process in group.process_configs
    }


@pytest.mark.parametrize("files", [FILES, FILES | DEFAULTS, {}], ids=["files", "defaults", "none"])
def test_it_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    conf = lay_out(tmp_path, files)
    stock = read(conf)
    monkeypatch.setattr(options, "UnhosedConfigParser", Parser)
    assert read(conf) == stock
    assert set(stock) >= {"own"} | ({"a", "b", "c", "z"} if files else set())


@pytest.mark.parametrize("content", ["[program:a\n", "command=x\n", "[program:a]\nnonsense\n"])
def test_it_refuses_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    conf = lay_out(tmp_path, FILES | {"two/bad.conf": content})
    with pytest.raises((SystemExit, ValueError, ConfigError)) as stock:
        read(conf)
    monkeypatch.setattr(options, "UnhosedConfigParser", Parser)
    with pytest.raises(type(stock.value)) as ours:
        read(conf)
    assert str(ours.value) == str(stock.value)


def test_a_file_costs_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        f"one/p{number}.conf": FILES["one/a.conf"].replace(":a", f":p{number}")
        for number in range(60)
    }
    conf = lay_out(tmp_path, files)
    looked: list[str] = []
    items = options.UnhosedConfigParser.items

    def counted(self: Any, section: str, *args: Any, **more: Any) -> Any:
        looked.append(section)
        return items(self, section, *args, **more)

    monkeypatch.setattr(options.UnhosedConfigParser, "items", counted)
    read(conf)
    stock = len(looked)
    looked.clear()
    monkeypatch.setattr(options, "UnhosedConfigParser", Parser)
    read(conf)
    assert len(looked) < 3 * len(files) < stock
