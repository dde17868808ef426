"""The layers: who may import whom. One engine serves files and running projects because of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "infra_audit"
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")

LAYERS = (
    ("errors", "hints", "named", "patterns", "spread"),
    ("source",),
    ("tree",),
    ("units", "finding", "resources", "versioning"),
    ("deployment", "secrets"),
    ("plan", "suppress", "baseline", "changes"),
    ("readers", "reports"),
    ("fixes",),
    ("compose", "live", "monitoring"),
    ("facts",),
    ("engine",),
    ("mounted", "wiring"),
    ("layers", "opening"),
    ("audit", "capacity", "draft", "graph"),
    ("running", "exporter"),
    ("watching",),
    ("cli", "__main__"),
)
"""From the bottom up; a module imports only from its own part or from layers below."""

RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

FORBIDDEN = {
    "facts": {"compose", "live"},
    "monitoring": {"compose", "live"},
    "compose": {"live", "monitoring"},
    "fixes": {"deployment", "plan", "compose", "live", "facts", "engine"},
    "reports": {"deployment", "plan", "readers", "compose", "live", "facts", "engine"},
    "suppress": {"deployment", "plan", "readers", "compose", "live", "facts", "engine"},
}

HEAVY = {
    "yaml": {"readers/yaml.py", "cli/resolve.py"},
    "click": {"cli"},
    "pydantic": {"engine/documents.py", "engine/schemas.py"},
    "http": {"live/connection.py", "live/reach.py"},
    "ssl": {"live/address.py", "live/reach.py"},
    "promql_parser": {"monitoring/promql.py"},
    "ruamel": {"fixes", "cli/plan.py"},
    "rich": {"cli/capacity.py"},
    "graphviz": {"cli/graph.py"},
}
"""Where a library may be imported (a file or a folder)."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    here = part_of(path)
    assert here in RANK, f"{here} has no layer: add it to LAYERS"
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package != "infra_audit" or not rest:
            continue
        there = rest.split(".")[0]
        if there == here:
            continue
        assert RANK[there] <= RANK[here], f"{here} imports {there}, which is above it"
        assert there not in FORBIDDEN.get(here, ()), f"{here} may not see {there}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    here = str(path.relative_to(ROOT))
    for name in imported(path):
        allowed = HEAVY.get(name.split(".")[0])
        if allowed is not None:
            assert any(here == place or here.startswith(place + "/") for place in allowed), f"{here} imports {name}"
