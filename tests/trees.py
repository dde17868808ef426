"""Hand-made deployments and facts, for tests of what comes after loading."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.policies import Policy
from infra_audit.facts import registry
from infra_audit.facts.registry import Definition, Fact, Known
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source
from infra_audit.tree import Node

__all__ = ["deployment", "fact_set", "policy", "seen"]


def deployment(text: str, *, name: str = "app", path: str = "compose.yaml") -> Deployment:
    """A deployment whose effective tree is just this text."""
    source = Source(path, textwrap.dedent(text), "/app/" + path)
    return Deployment(name, "files", (path,), "/app", read_yaml(source)[0])


def policy(text: str, *, pack: str = "baseline") -> Policy:
    """A policy from YAML; what a test does not care about is filled in."""
    data = {
        "id": "sample",
        "title": "Sample",
        "severity": "error",
        "subject": "service",
        "message": "{subject}: {value}",
    }
    data.update(read_yaml(Source("policy.yaml", textwrap.dedent(text)))[0].data())
    return Policy.of(data, pack=pack, family="tests", file="policy.yaml")


def seen(subject: Subject, *path: str) -> Fact[Any]:
    """A fact that just reads a value of the tree; None, resting on the subject, where there is none."""
    node: Node | None = subject.node.get(*path)
    return Known(None, subject.node) if node is None else Known(node.known(), node)


@contextmanager
def fact_set(facts: Mapping[str, Any], *, on: str = "service") -> Iterator[None]:
    """Only these facts within the block: name → function, or name → (function, unit)."""
    before, modules = dict(registry._definitions), registry.MODULES
    registry._definitions.clear()
    registry.MODULES = ()
    try:
        for name, made in facts.items():
            compute, unit = made if isinstance(made, tuple) else (made, "")
            registry._definitions[name] = Definition(name, on, unit, "", compute)
        yield
    finally:
        registry._definitions.clear()
        registry._definitions.update(before)
        registry.MODULES = modules
