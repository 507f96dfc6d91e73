"""A checkout as the rules see it: modules, imports, texts. Read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

TEXTS = {".cfg", ".conf", ".html", ".ini", ".j2", ".mako", ".py", ".rst", ".service", ".toml", ""}
NOT_OURS = {"build", "dist", "instances", "__pycache__"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    is_late: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: str
    tree: ast.Module


@dataclass(frozen=True)
class House:
    """A checkout: its modules, their imports, its texts."""

    root: Path
    modules: dict[str, Module] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path) -> House:
        found = {}
        for path in sorted((root / "cyme_supd").rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            tree = ast.parse(path.read_bytes(), str(path))
            found[name] = Module(name, str(path.relative_to(root)), tree)
        return cls(root, found)

    @cached_property
    def texts(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text(errors="replace")
            for path in sorted(self.root.rglob("*"))
            if path.suffix in TEXTS and path.is_file() and self._is_ours(path)
        }

    def _is_ours(self, path: Path) -> bool:
        folders = path.relative_to(self.root).parts[:-1]
        return not any(
            folder in NOT_OURS or (folder.startswith(".") and folder != ".ci") for folder in folders
        )

    def imports(self, module: Module) -> Iterator[Import]:
        late = {
            id(inner)
            for outer in ast.walk(module.tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for inner in ast.walk(outer)
        }
        for node in ast.walk(module.tree):
            for name in self._names(module, node):
                yield Import(name, getattr(node, "lineno", 0), id(node) in late)

    def _names(self, module: Module, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self._base(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in self.modules or base == "urllib" else base

    def _base(self, module: Module, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = module.path.endswith("__init__.py")
        parents = module.name.split(".")
        kept = parents[: len(parents) - node.level + is_package]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def running_with(self, names: tuple[str, ...]) -> list[Module]:
        """The modules of these names, and all that comes with them."""
        waiting, seen = [name for name in names if name in self.modules], set[str]()
        while waiting:
            name = waiting.pop()
            if name in self.modules and name not in seen:
                seen.add(name)
                waiting.append(name.rpartition(".")[0])
                waiting.extend(each.module for each in self.imports(self.modules[name]))
        return [self.modules[name] for name in sorted(seen)]
