"""Facts about a container beside the other replicas of its service."""

from __future__ import annotations

from typing import Any

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact, value_of

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


@fact("service.usual_replica", on="service")
def usual_replica(service: Subject) -> Fact[dict[str, Any]]:
    """What most of the service's containers have: image, command, limits, restart policy. Of a running project."""
    replicas = _replicas(service)
    return Known({label: _usual([_value(one, path) for one in replicas]) for label, path in _FIELDS}, service.node)


@fact("container.replica_differences", on="container")
def replica_differences(container: Subject) -> Fact[list[Item]]:
    """What the container has otherwise than most replicas of its service; empty for the one that others follow."""
    name = container.node.get("ServiceName")
    service = container.deployment.service(str(name.value)) if name is not None and name.value else None
    if service is None:
        return Known([], container.node)
    items = []
    for label, path in _FIELDS:
        usual = value_of(service, "service.usual_replica")[label]
        if _value(container, path) != usual:
            model = next(other for other in _replicas(service) if _value(other, path) == usual)
            mine, theirs = container.node.get(*path), model.node.get(*path) or model.node
            places = (Evidence(mine or container.node), Evidence(theirs, f"{model.name} has this"))
            items.append(Item(f"{label} is {_text(_value(container, path))}", places, expected=_text(usual)))
    return Known(items, container.node)


def _replicas(service: Subject) -> list[Subject]:
    containers = service.deployment.subjects("container")
    return [one for one in containers if (name := one.node.get("ServiceName")) and name.value == service.name]


def _usual(values: list[Any]) -> Any:
    """The value that is there most often, the first of several."""
    return max(values, key=lambda value: (values.count(value), -values.index(value)), default=None)


def _value(container: Subject, path: tuple[str, ...]) -> Any:
    node = container.node.get(*path)
    return node.data() if node is not None else None


def _text(value: Any) -> str:
    text = "none" if value in (None, 0, "", []) else " ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
