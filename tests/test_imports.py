"""The direction of imports: data flows one way, and so do the modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

# In the order of the data; a room may import itself and the rooms before it.
ROOMS = (
    "store",
    "lake",
    "langfuse",
    "ledger",
    "signals",
    "evals",
    "forecast",
    "versions",
    "alerts",
    "report",
    "demo",
    "cli",
)
# The modules that make a Dagster code location of the domain.
DAGSTER_MODULES = {
    "alive",
    "definitions",
    "event_log",
    "health",
    "jobs",
    "launch",
    "metrics",
    "partitions",
    "resources",
    "schedules",
    "sensors",
    "spread",
}


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def _modules(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path, ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_only_the_composition_root_imports_the_assets() -> None:
    for path, name in _modules("llmops_jobs"):
        for line, imported in _imports(path):
            if imported.split(".")[0] == "assets":
                assert name == "llmops_jobs.definitions", f"{path}:{line} imports {imported}"


def test_the_domain_does_not_import_dagster() -> None:
    for path, name in _modules("llmops_jobs"):
        if name.split(".")[1] in DAGSTER_MODULES:
            continue
        for line, imported in _imports(path):
            assert imported.split(".")[0] != "dagster", f"{path}:{line} imports {imported}"


def test_rooms_import_only_rooms_that_come_before_them() -> None:
    found = 0
    for path, name in _modules("llmops_jobs"):
        room = name.split(".")[1]
        if room not in ROOMS:
            continue
        for line, imported in _imports(path):
            parts = imported.split(".")
            if parts[0] != "llmops_jobs" or len(parts) < 2 or parts[1] not in ROOMS:
                continue
            found += 1
            assert ROOMS.index(parts[1]) <= ROOMS.index(room), (
                f"{path}:{line}: {room} imports {imported}, which comes later"
            )
    assert found > 10
