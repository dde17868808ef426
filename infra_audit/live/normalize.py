"""A snapshot's project as a deployment: the tree that Compose would have printed for what runs.

Sections as in a Compose file, and two more: ``containers``, with every container by name, and ``swarm``, with the
services of a stack by name. A container's node is the engine's answer about it (trimmed and masked, every value at its
place in that text) with three more keys: ``Service`` (the container as a service), ``ServiceName`` and ``Probes``
(effective values that were asked inside).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra_audit.deployment import Deployment, Files
from infra_audit.errors import Undecidable
from infra_audit.finding import Problem, SubjectRef
from infra_audit.live.located import locate
from infra_audit.live.projects import COMPOSE, is_one_off, number_of, origin_of, project_of, service_of
from infra_audit.live.service import as_service
from infra_audit.live.store import Snapshot
from infra_audit.live.swarm import swarm
from infra_audit.source import Hop, Source, Span, display_path
from infra_audit.tree import HOLE, Node

__all__ = ["SOURCE", "borrow", "labels_of", "normalize", "projects"]

SOURCE = "live"
"""The deployment's source."""

_RUNNING = ("running", "paused", "restarting")


class Elsewhere(Files):
    """The files of an engine's host that is another machine, or of a snapshot that was saved: nothing is known."""

    def read(self, path: str) -> Source:
        raise Undecidable(f"{path} lies on the engine's host, which is not this machine")

    def exists(self, path: str) -> bool:
        raise Undecidable(f"{path} lies on the engine's host, which is not this machine")

    is_folder = exists

    def listing(self, path: str) -> list[str]:
        raise Undecidable(f"{path} lies on the engine's host, which is not this machine")


def labels_of(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return (container.get("Config") or {}).get("Labels") or {}


def projects(snapshot: Snapshot) -> list[str]:
    """The names of all projects that the engine has."""
    return list(snapshot.data.get("projects") or ())


def normalize(snapshot: Snapshot, project: str) -> Deployment:
    """One project of a snapshot."""
    data = snapshot.data
    containers = sorted(
        (entry for entry in data["containers"] if project_of(labels_of(entry)) == project),
        key=lambda entry: (service_of(labels_of(entry)) or "", number_of(labels_of(entry)), str(entry.get("Name"))),
    )
    origin = origin_of(map(labels_of, containers))
    engine = locate(
        "docker:engine", {**data["engine"], "Host": snapshot.host, "Networks": _other_networks(data, project)}
    )
    networks, network_names = _networks(data["networks"], containers, project, snapshot)
    volumes, volume_names = _volumes(data["volumes"], project)
    top = Source(f"docker:{project}", "").top
    services: dict[str, list[Node]] = {}
    found: dict[str, Node] = {}
    for entry in containers:
        node = _container(entry, data, network_names, volume_names)
        found[str(entry["Name"]).lstrip("/")] = node
        name = service_of(labels_of(entry))
        if name is not None and not is_one_off(labels_of(entry)):
            services.setdefault(name, []).append(node)
    tree = {
        "name": Node(project, top),
        "services": Node({name: _service(replicas) for name, replicas in services.items()}, _place(found, top)),
        "networks": Node(networks, top),
        "volumes": Node(volumes, top),
        "containers": Node(found, _place(found, top)),
        "swarm": Node(swarm(data, project), engine.span),
        "engine": engine,
    }
    return Deployment(
        name=project,
        source=SOURCE,
        files=tuple(map(display_path, origin.files)),
        folder=origin.folder,
        tree=Node(tree, _place(found, engine.span)),
        problems=list(_missed(data.get("missed") or (), project, engine)),
        reader=Files() if snapshot.is_local else Elsewhere(),
    )


def _place(found: Mapping[str, Node], otherwise: Span) -> Span:
    """Where a finding about the whole stands: at the first container."""
    first = next(iter(found.values()), None)
    return otherwise if first is None else _name_of(first)


def _name_of(container: Node) -> Span:
    name = container.get("Name")
    return container.span if name is None else name.span


def _container(
    entry: Mapping[str, Any], data: Mapping[str, Any], networks: Mapping[str, str], volumes: Mapping[str, str]
) -> Node:
    """The engine's answer as located nodes, and what it comes to."""
    name = str(entry["Name"]).lstrip("/")
    node = locate(f"docker:{name}", {**entry, "Probes": data["probes"].get(name, {})})
    place = _name_of(node)
    image = (data["images"].get(entry.get("Image")) or {}).get("Config") or {}
    service = as_service(Node(node.value, place, place), image, networks, volumes)
    fields = {**node.value, "Service": service, "ServiceName": Node(service_of(labels_of(entry)), place)}
    return Node(fields, place, place)


def _service(replicas: Sequence[Node]) -> Node:
    """The service as its first replica has it, with the number of replicas that run."""
    first: Node = replicas[0].value["Service"]
    running = [node for node in replicas if (state := node.get("State", "Status")) and state.value in _RUNNING]
    count = Node(len(running), first.span)
    deploy = first.get("deploy")
    fields = dict(deploy.value) if deploy is not None else {}
    for key, parts in _UNSEEN.items():
        fields[key] = first.with_value({part: Node(HOLE, first.span, None, (_NOT_TOLD,)) for part in parts})
    return first.with_value({**first.value, "deploy": (deploy or first).with_value({**fields, "replicas": count})})


_UNSEEN = {
    "update_config": ("order", "failure_action", "parallelism", "delay", "monitor"),
    "rollback_config": ("order", "failure_action", "parallelism", "delay", "monitor"),
}
"""How a service is updated is in no answer of the engine: only its files can say it."""
_NOT_TOLD = Hop("unseen", "the engine does not tell it")


_ONLY_IN_FILES = (
    ("deploy", "update_config"),
    ("deploy", "rollback_config"),
    ("deploy", "resources", "reservations", "cpus"),
    ("profiles",),
    ("build",),
    ("develop",),
)
"""What Compose keeps to itself, so that no container shows it."""


def borrow(running: Node, declared: Node) -> None:
    """Gives the services that run what only their files can say, at its place in them."""
    services = running.value["services"].value
    for name, service in services.items():
        theirs = declared.get("services", name)
        for path in _ONLY_IN_FILES:
            node = theirs.get(*path) if theirs is not None else None
            if node is not None:
                service = _with(service, path, node)
            elif theirs is not None and path[-1] in _UNSEEN:
                service = _with(service, path, Node(None, service.span))
        services[name] = service


def _with(node: Node, path: Sequence[str], child: Node) -> Node:
    """The node with another child at a path."""
    if not path:
        return child
    fields = node.value if node.is_mapping else {}
    below = fields.get(path[0]) or Node({}, node.span, node.key)
    return node.with_value({**fields, path[0]: _with(below, path[1:], child)})


# -- networks and volumes ------------------------------------------------------------------------


def _networks(
    entries: Sequence[Mapping[str, Any]], containers: Sequence[Mapping[str, Any]], project: str, snapshot: Snapshot
) -> tuple[dict[str, Node], dict[str, str]]:
    """The project's networks, and those that its containers are on besides; with their names in the Compose file."""
    used = {name for entry in containers for name in ((entry.get("NetworkSettings") or {}).get("Networks") or {})}
    found: dict[str, Node] = {}
    names: dict[str, str] = {}
    for entry in entries:
        labels = entry.get("Labels") or {}
        own = project_of(labels) == project
        name = str(entry.get("Name"))
        if not own and (name not in used or name in ("host", "none")):
            continue
        key = str(labels.get(f"{COMPOSE}network") or name.removeprefix(f"{project}_")) if own else name
        names[name] = key
        found[key] = _network(entry, own=own)
    return found, names


def _network(entry: Mapping[str, Any], *, own: bool) -> Node:
    node = locate(
        f"docker:network:{entry.get('Name')}", {key: value for key, value in entry.items() if key != "Containers"}
    )
    name = node.get("Name") or node
    fields: dict[str, Node] = {"name": name}
    if not own:
        fields["external"] = name.with_value(True)
    for key, part in (("driver", "Driver"), ("driver_opts", "Options"), ("labels", "Labels")):
        child = node.get(part)
        if child is not None and child.value:
            fields[key] = child
    for key, part in (("internal", "Internal"), ("attachable", "Attachable"), ("enable_ipv6", "EnableIPv6")):
        child = node.get(part)
        if child is not None and child.value is True:
            fields[key] = child
    config = node.get("IPAM", "Config")
    pools = [
        pool.with_value({key: child for key, part in _POOL if (child := pool.get(part)) is not None and child.value})
        for pool in (config.entries() if config else ())
    ]
    if config is not None and pools:
        fields["ipam"] = config.with_value({"config": config.with_value(pools)})
    return Node(fields, name.span, name.span)


_POOL = (("subnet", "Subnet"), ("ip_range", "IPRange"), ("gateway", "Gateway"))


def _other_networks(data: Mapping[str, Any], project: str) -> list[dict[str, Any]]:
    """Name and subnets of the engine's networks outside the project."""
    return [
        {"Name": entry.get("Name"), "Subnets": subnets}
        for entry in data["networks"]
        if project_of(entry.get("Labels") or {}) != project
        and (
            subnets := [pool["Subnet"] for pool in (entry.get("IPAM") or {}).get("Config") or () if pool.get("Subnet")]
        )
    ]


def _volumes(entries: Sequence[Mapping[str, Any]], project: str) -> tuple[dict[str, Node], dict[str, str]]:
    found: dict[str, Node] = {}
    names: dict[str, str] = {}
    for entry in entries:
        labels = entry.get("Labels") or {}
        if project_of(labels) != project:
            continue
        name = str(entry.get("Name"))
        key = str(labels.get(f"{COMPOSE}volume") or name.removeprefix(f"{project}_"))
        names[name] = key
        node = locate(f"docker:volume:{name}", dict(entry))
        place = node.get("Name") or node
        parts = (("driver", "Driver"), ("driver_opts", "Options"))
        fields = {part: child for part, source in parts if (child := node.get(source)) is not None and child.value}
        found[key] = Node({"name": place, **fields}, place.span, place.span)
    return found, names


def _missed(entries: Sequence[Mapping[str, Any]], project: str, engine: Node) -> list[Problem]:
    """What the engine did not tell, as gaps."""
    return [
        Problem(
            "gap", f"it was not read: {entry['why']}", engine.span, SubjectRef("container", str(entry["container"]))
        )
        for entry in entries
        if not entry.get("gone") and entry.get("project") in (project, "")
    ]
