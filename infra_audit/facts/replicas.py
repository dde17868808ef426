"""Facts about a container beside the other replicas of its service."""

from __future__ import annotations

from typing import Any

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact

__all__: list[str] = []

_FIELDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("image", ("Config", "Image")),
    ("command", ("Config", "Cmd")),
    ("memory limit", ("HostConfig", "Memory")),
    ("CPU limit", ("HostConfig", "NanoCpus")),
    ("CPU quota", ("HostConfig", "CpuQuota")),
    ("process limit", ("HostConfig", "PidsLimit")),
    ("restart policy", ("HostConfig", "RestartPolicy", "Name")),
)
"""What must be the same in all replicas."""

_LONG = 60


@fact("container.replica_differences", on="container")
def replica_differences(container: Subject) -> Fact[list[Item]]:
    """What the container has otherwise than most replicas of its service; empty for the one that others follow."""
    name = container.node.get("ServiceName")
    replicas = [
        other
        for other in container.deployment.subjects("container")
        if name is not None and name.value and (own := other.node.get("ServiceName")) and own.value == name.value
    ]
    items = []
    for label, path in _FIELDS if len(replicas) > 1 else ():
        mine = container.node.get(*path)
        values = [_value(other, path) for other in replicas]
        usual = max(values, key=lambda value: (values.count(value), -values.index(value)))
        if _value(container, path) != usual:
            model = next(other for other in replicas if _value(other, path) == usual)
            theirs = model.node.get(*path) or model.node
            places = (Evidence(mine or container.node), Evidence(theirs, f"{model.name} has this"))
            items.append(Item(f"{label} is {_text(_value(container, path))}", places, expected=_text(usual)))
    return Known(items, container.node)


def _value(container: Subject, path: tuple[str, ...]) -> Any:
    node = container.node.get(*path)
    return node.data() if node is not None else None


def _text(value: Any) -> str:
    text = "none" if value in (None, 0, "", []) else " ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
