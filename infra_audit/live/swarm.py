"""The services of a Swarm stack and their tasks, as the manager gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_audit.live.located import locate
from infra_audit.live.projects import project_of
from infra_audit.tree import Node

__all__ = ["swarm"]


def swarm(data: Mapping[str, Any], project: str) -> dict[str, Node] | None:
    """Name in the stack → the service's answer and its ``Tasks``, oldest first; None where the manager did not tell.

    Empty for a project that is no stack.
    """
    services, tasks = data.get("services", []), data.get("tasks", [])
    if services is None or tasks is None:
        return None
    found: dict[str, Node] = {}
    for entry in services:
        spec = entry.get("Spec") or {}
        name = str(spec.get("Name"))
        if project_of(spec.get("Labels") or {}) != project:
            continue
        own = sorted((task for task in tasks if task.get("ServiceID") == entry.get("ID")), key=_order)
        node = locate(f"docker:service:{name}", {**entry, "Tasks": own})
        found[name.removeprefix(f"{project}_")] = node
    return found


def _order(task: Mapping[str, Any]) -> tuple[str, str]:
    return str((task.get("Status") or {}).get("Timestamp")), str(task.get("ID"))
