"""Real files in a folder, loaded as a deployment, for tests of facts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_audit.compose import load
from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.finders import attach
from infra_audit.facts.registry import Fact, Item, Known, evaluate

__all__ = ["deployed", "items", "places", "service", "texts", "value"]


def deployed(folder: Path, compose: str, files: Mapping[str, str] | None = None) -> Deployment:
    """A deployment of one Compose file, with other files beside it."""
    for name, text in {"compose.yaml": compose, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return attach(load([str(folder / "compose.yaml")], folder=str(folder), name="app"))


def service(folder: Path, body: str, files: Mapping[str, str] | None = None, *, name: str = "cache") -> Subject:
    """The only service of a deployment; ``body`` is its YAML, from the first column on."""
    indented = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    found = deployed(folder, f"services:\n  {name}:\n{indented}", files).service(name)
    assert found is not None
    return found


def value(subject: Subject, fact: str) -> Any:
    """The value of a fact that must be known."""
    result: Fact[Any] = evaluate(subject, fact)
    assert isinstance(result, Known), result
    return result.value


def items(subject: Subject, fact: str) -> list[Item]:
    """The entries of a fact that lists what is wrong; undecided ones are left out."""
    return [item for item in value(subject, fact) if not item.unknown]


def texts(subject: Subject, fact: str) -> list[str]:
    return [item.text for item in items(subject, fact)]


def places(subject: Subject, fact: str) -> list[tuple[str, int]]:
    """File name and line of each entry of such a fact."""
    return [(Path(item.because[0].span.source.path).name, item.because[0].span.line) for item in items(subject, fact)]
