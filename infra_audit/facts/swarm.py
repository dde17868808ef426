"""Facts about the tasks of a Swarm stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact
from infra_audit.tree import Node

__all__: list[str] = []

_WANTED = ("running", "ready")
"""Desired states of a task that serves, or will when the delay before its restart is over."""
_ENDED = ("failed", "rejected", "orphaned", "pending")
_SERVICE_LABEL = "com.docker.swarm.service.name"


@fact("deployment.swarm_tasks", on="deployment")
def swarm_tasks(deployment: Subject) -> Fact[list[Item]]:
    """Services of a Swarm stack of which fewer tasks run than the manager wants. Jobs are left out.

    Of a service whose containers all are on other nodes nothing else is known: that is a gap.
    """
    services = deployment.node.get("swarm")
    if services is None:
        return Known([], deployment.node)
    if services.value is None or (not services.value and _on_worker(deployment)):
        return Unknown("only a manager of the Swarm tells the tasks of a stack, and this engine did not")
    seen = {_at(container.node, "ServiceName") for container in deployment.deployment.subjects("container")}
    items = [item for name, node in services.items() for item in _item(name, node, here=name in seen)]
    return Known(items, deployment.node)


def _on_worker(deployment: Subject) -> bool:
    """True for containers of a stack on a node that is no manager."""
    manages = deployment.node.get("engine", "Swarm", "ControlAvailable")
    if manages is not None and manages.value is True:
        return False
    containers = deployment.deployment.subjects("container")
    return any(one.node.get("Config", "Labels", _SERVICE_LABEL) is not None for one in containers)


def _item(name: str, service: Node, *, here: bool) -> Iterator[Item]:
    mode = service.get("Spec", "Mode")
    listed = service.get("Tasks")
    tasks = listed.entries() if listed is not None else []
    wanted = [task for task in tasks if _at(task, "DesiredState") in _WANTED]
    running = sum(_at(task, "Status", "State") == "running" for task in wanted)
    if running and not here:
        why = "its containers are on other nodes: only their number is known here"
        yield Item(why, (), ("service", name), unknown=True)
    replicas = mode.get("Replicated", "Replicas") if mode is not None else None
    if mode is None or (replicas is None and mode.get("Global") is None):
        return
    count = len(wanted) if replicas is None else int(replicas.value) - _over(tasks, wanted)
    if running >= count:  # more of them are there for a moment while an update starts the new one first
        return
    last = next((task for task in reversed(tasks) if _at(task, "Status", "State") in _ENDED), None)
    places = [Evidence(replicas or mode)]
    reason = ""
    if last is not None:
        state = last.get("Status", "State") or last
        error = _at(last, "Status", "Err")
        reason = f": the last one is {state.value}{f' ({error})' if error else ''}"
        places.append(Evidence(state, "the last one that does not run"))
    yield Item(f"{running} of {count} tasks run{reason}", tuple(places), ("service", name))


def _over(tasks: list[Node], wanted: list[Node]) -> int:
    """How many of the replicas have done their work and are not started again."""
    done = {_at(task, "Slot") for task in tasks if _at(task, "Status", "State") == "complete"}
    return len(done - {_at(task, "Slot") for task in wanted})


def _at(node: Node, *path: str) -> Any:
    found = node.get(*path)
    return None if found is None else found.value
