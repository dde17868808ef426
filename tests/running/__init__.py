"""What runs, for examples: a recorded project in which all is well, and what an example says is otherwise.

An example of a policy about what runs holds texts that are named as reports name such places: ``docker:shop-cache-1``
(a container), ``docker:network:shop_backend``, ``docker:volume:shop_data``, ``docker:service:shop_web`` (of a Swarm)
and ``docker:engine``. Each gives, as YAML, the fields of the engine's answer that are other than in snapshot.json: a
container's with ``Probes``, a Swarm service's with ``Tasks``. A list replaces the list there; what has a new name is
added. ``snapshot.json`` is what ``live --save`` wrote about the project of compose.yaml (``make running``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_audit.live.store import Snapshot, dump
from infra_audit.readers.json import read_json
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source, Span
from infra_audit.tree import Node

__all__ = ["COMPOSE", "PREFIX", "PROJECT", "SNAPSHOT", "line_of", "snapshot"]

PREFIX = "docker:"
PROJECT = "shop"
COMPOSE = Path(__file__).parent / "compose.yaml"
SNAPSHOT = Path(__file__).parent / "snapshot.json"


def snapshot(texts: Mapping[str, str]) -> str:
    """The recorded snapshot with what the texts say, in the form of ``live --save``."""
    data = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    for name, text in texts.items():
        kind, _, rest = name.removeprefix(PREFIX).rpartition(":")
        _PARTS[kind](data, rest, _fields(name, text).data())
    return dump(Snapshot(data))


def line_of(place: Span, texts: Mapping[str, str]) -> tuple[str, int]:
    """The text and the line that give the field at a place in an engine's answer, or what it is a part of."""
    name = place.source.path
    if name not in texts:
        return name, place.line
    node = _fields(name, texts[name])
    for part in _path(read_json(Source(name, place.source.text)), place):
        below = node.get(part)
        if below is None:
            break
        node = below
    return name, (node.key or node.span).line


def _fields(name: str, text: str) -> Node:
    (root,) = read_yaml(Source(name, text))
    return root


def _path(node: Node, place: Span) -> list[str | int]:
    """The keys that lead to the node at a place."""
    children: list[tuple[str | int, Node]] = list(node.items() if node.is_mapping else enumerate(node.entries()))
    for name, child in children:
        first = child.key or child.span
        if (first.line, first.column) <= (place.line, place.column) < (child.span.end_line, child.span.end_column):
            return [name, *_path(child, place)]
    return []


# -- parts of a snapshot -------------------------------------------------------------------------


def _container(data: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    probes = data["probes"]
    probes[name] = _over(probes.get(name, {}), fields.pop("Probes", {}))
    _named(data["containers"], "Name", f"/{name}", fields)


def _network(data: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    _named(data["networks"], "Name", name, fields)


def _volume(data: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    _named(data["volumes"], "Name", name, fields)


def _service(data: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    tasks = fields.pop("Tasks", [])
    data["tasks"] += [{"ID": f"{name}.{number}", "ServiceID": name, **task} for number, task in enumerate(tasks, 1)]
    labels = {"com.docker.stack.namespace": PROJECT}
    data["services"].append(_over({"ID": name, "Spec": {"Name": name, "Labels": labels}}, fields))


def _rest(data: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    if name == "engine":
        data["engine"] = _over(data["engine"], fields)
    else:
        _container(data, name, fields)


_PARTS = {"": _rest, "network": _network, "volume": _volume, "service": _service}


def _named(entries: list[dict[str, Any]], key: str, name: str, fields: dict[str, Any]) -> None:
    for number, entry in enumerate(entries):
        if entry[key] == name:
            entries[number] = _over(entry, fields)
            return
    entries.append({key: name, **fields})


def _over(data: Any, fields: Any) -> Any:
    """The data with the fields laid over it."""
    if not isinstance(data, dict) or not isinstance(fields, dict):
        return fields
    return data | {key: _over(data.get(key), value) for key, value in fields.items()}
