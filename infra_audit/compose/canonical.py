"""The effective tree as the JSON that `docker compose config --format json` prints."""

from __future__ import annotations

from typing import Any

from infra_audit.compose.numbers import shortest_float32
from infra_audit.compose.schema import PROJECT
from infra_audit.compose.shape import Array, Leaf, Object, Shape, Table
from infra_audit.deployment import Deployment
from infra_audit.readers.scalars import Timestamp, as_rfc3339
from infra_audit.tree import Node

__all__ = ["canonical"]


def canonical(deployment: Deployment) -> dict[str, Any]:
    """The deployment in Compose's canonical form, without networks, volumes and files that nothing uses."""
    top = deployment.tree
    printed: dict[str, Any] = _print(top, PROJECT) or {}
    printed.setdefault("services", {})
    for name, service in printed["services"].items():
        node = top.get("services", name, "ports")
        if node is not None and not node.value:
            service.pop("ports", None)
    for section, used in _used(top).items():
        if section in printed:
            printed[section] = {name: value for name, value in printed[section].items() if name in used}
            if not printed[section]:
                del printed[section]
    for key, child in top.items():
        if key.startswith("x-"):
            printed[key] = _escape(child.data())
    return printed


def _used(top: Node) -> dict[str, set[str]]:
    used: dict[str, set[str]] = {
        "networks": set(),
        "volumes": set(),
        "secrets": set(),
        "configs": set(),
    }

    def sources(nodes: Node | None) -> set[str]:
        return {str(item.value) for entry in (nodes.entries() if nodes else []) if (item := entry.get("source"))}

    services = top.get("services")
    for _, service in services.items() if services else ():
        networks = service.get("networks")
        used["networks"].update(name for name, _ in networks.items()) if networks else None
        used["volumes"] |= sources(service.get("volumes"))
        used["secrets"] |= sources(service.get("secrets")) | sources(service.get("build", "secrets"))
        used["configs"] |= sources(service.get("configs"))
    return used


def _print(node: Node, shape: Shape) -> Any:
    """The JSON value."""
    value = node.value
    if isinstance(shape, Object):
        return _object(node, shape)
    if isinstance(shape, Table):
        if value is None:
            return None
        return {_escape(key): _entry(child, shape.value) for key, child in node.items()}
    if isinstance(shape, Array):
        if value is None:
            return None
        return [_print(child, shape.item) for child in node.entries()]
    if isinstance(shape, Leaf):
        if shape.cast == "fraction" and isinstance(value, float):
            return shortest_float32(value)
        return _escape(value)
    return _escape(node.data())


def _entry(child: Node, shape: Shape) -> Any:
    """An entry of a table: always printed, null where it has nothing."""
    if child.value is None:
        if isinstance(shape, Object) and shape.always:
            return dict(shape.always)
        return "" if isinstance(shape, Leaf) and shape.cast == "loose" else None
    return _print(child, shape)


def _object(node: Node, shape: Object) -> Any:
    if not node.is_mapping:
        return None if node.value is None else _escape(node.value) or {}
    printed: dict[str, Any] = {
        key: (dict(value) if isinstance(value, dict) else value) for key, value in shape.always.items()
    }
    for key, child in node.value.items():
        field = shape.fields.get(key)
        if field is None or key in shape.hidden:
            continue
        value = _print(child, field)
        if _is_zero(value, field) and shape.names.get(key) not in shape.always:
            continue
        printed[shape.names.get(key, key)] = value
    return printed


def _is_zero(value: Any, shape: Shape) -> bool:
    if isinstance(shape, Leaf):
        if shape.cast == "size":
            return value in ("", "0")
        if shape.cast == "duration" and value == "0s":
            return not shape.keep
        return not shape.keep and (value is None or value is False or value == 0 or value == "")
    if value is None:
        return not (isinstance(shape, Array) and shape.keep)
    return not value and not getattr(shape, "keep", False)


def _escape(value: Any) -> Any:
    """Every $ doubled, as Compose prints it so that its output can be read again."""
    if isinstance(value, Timestamp):
        return as_rfc3339(value)
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {_escape(key): _escape(item) for key, item in value.items()}
    return [_escape(item) for item in value] if isinstance(value, list) else value
