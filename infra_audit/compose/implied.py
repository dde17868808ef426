"""What Compose adds to a merged tree by itself: defaults, names, the default network, dependencies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra_audit.compose.pieces import clean
from infra_audit.source import Hop
from infra_audit.tree import HOLE, Node

__all__ = ["imply"]


def imply(tree: Node, name: Node) -> Node:
    """The tree with everything that Compose implies. ``name`` is the project's name."""
    top = {key: child for key, child in tree.value.items() if key not in ("version", "include")}
    top["name"] = name
    services = top.get("services")
    uses_default = None
    if services is not None and services.is_mapping:
        done: dict[str, Node] = {}
        for key, service in services.value.items():
            done[key] = _service(service) if service.is_mapping else service
            networks = done[key].get("networks")
            if uses_default is None and networks is not None and networks.is_mapping and "default" in networks.value:
                uses_default = networks
        top["services"] = services.with_value(done)
    if uses_default is not None:
        networks = top.get("networks")
        declared: dict[str, Node] = networks.value if networks is not None and networks.is_mapping else {}
        if "default" not in declared:
            place = uses_default.place
            implied = Node(None, place, None, (Hop("implied", "the default network", place),))
            top["networks"] = (networks or Node({}, place)).with_value({**declared, "default": implied})
    for section in ("networks", "volumes", "configs", "secrets"):
        resources = top.get(section)
        if resources is not None and resources.is_mapping:
            top[section] = resources.with_value(
                {key: _named(key, resource, str(name.value)) for key, resource in resources.value.items()}
            )
    return tree.with_value(top)


def _named(key: str, resource: Node, project: str) -> Node:
    fields: Mapping[str, Node] = resource.value if resource.is_mapping else {}
    if "name" in fields:
        return resource
    external = fields.get("external")
    text = key if external is not None and external.value is True else f"{project}_{key}"
    place = resource.place
    return resource.with_value({**fields, "name": Node(text, place, None, (Hop("implied", "its name", place),))})


def _service(service: Node) -> Node:
    fields: dict[str, Node] = dict(service.value)
    place = service.place

    def implied(value: object, note: str = "") -> Node:
        return Node(value, place, None, (Hop("implied", note, place),))

    networks = fields.get("networks")
    empty = networks is None or (networks.is_mapping and not networks.value)
    if empty and "network_mode" not in fields and "provider" not in fields:
        fields["networks"] = implied({"default": implied(None, "the default network")}, "the default network")
    if (build := fields.get("build")) is not None and build.is_mapping:
        fields["build"] = _build(build)
    if (servers := fields.get("dns")) is not None and servers.is_list:
        fields["dns"] = servers.with_value([item for item in servers.value if item.value != ""])
    if (pull := fields.get("pull_policy")) is not None and pull.value == "if_not_present":
        fields["pull_policy"] = pull.with_value("missing")
    dependencies = _dependencies(fields)
    if dependencies:
        own = fields.get("depends_on")
        fields["depends_on"] = (own or Node({}, place)).with_value(dependencies)
    for key, finish in _FINISHERS.items():
        child = fields.get(key)
        if child is not None and child.is_list:
            fields[key] = child.with_value([finish(item) for item in child.value])
    if (hosts := fields.get("extra_hosts")) is not None:
        fields["extra_hosts"] = _hosts(hosts)
    deploy, scale = fields.get("deploy"), fields.get("scale")
    if deploy is not None and deploy.is_mapping:
        inner = dict(deploy.value)
        if scale is not None and "replicas" not in inner:
            inner["replicas"] = scale
        if (resources := inner.get("resources")) is not None:
            inner["resources"] = _at(resources, ("reservations", "devices"), _device_counts)
        fields["deploy"] = deploy.with_value(inner)
    return service.with_value(fields)


def _build(build: Node) -> Node:
    fields = dict(build.value)
    place = build.place
    if "dockerfile" not in fields and "dockerfile_inline" not in fields:
        fields["dockerfile"] = Node("Dockerfile", place, None, (Hop("implied", "the usual name", place),))
    if (hosts := fields.get("extra_hosts")) is not None:
        fields["extra_hosts"] = _hosts(hosts)
    return build.with_value(fields)


def _dependencies(fields: Mapping[str, Node]) -> dict[str, Node]:
    """depends_on with `required` filled in, and what links and shared namespaces imply."""
    found: dict[str, Node] = {}
    own = fields.get("depends_on")
    if own is not None and own.is_mapping:
        for key, node in own.value.items():
            if node.is_mapping and "required" not in node.value:
                node = node.with_value({**node.value, "required": Node(True, node.place)})
            found[key] = node

    def add(name: str, by: Node, restart: bool) -> None:
        if HOLE not in name and name not in found:
            hop = (Hop("implied", "a dependency", by.span),)
            value = {"condition": "service_started", "restart": restart, "required": True}
            found[name] = Node({key: Node(item, by.span, None, hop) for key, item in value.items()}, by.span, None, hop)

    for link in _entries(fields, "links"):
        add(str(link.value).split(":")[0], link, True)
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        node = fields.get(key)
        if node is not None and isinstance(node.value, str) and node.value.startswith("service:"):
            add(node.value.removeprefix("service:"), node, True)
    for entry in _entries(fields, "volumes_from"):
        if not str(entry.value).startswith("container:"):
            add(str(entry.value).split(":")[0], entry, False)
    return found


def _entries(fields: Mapping[str, Node], key: str) -> list[Node]:
    node = fields.get(key)
    return node.entries() if node is not None else []


def _volume(mount: Node) -> Node:
    target = mount.get("target")
    if target is None or type(target.value) is not str or HOLE in target.value:
        return mount
    cleaned = clean(target.value)
    return mount if cleaned == target.value else mount.with_value({**mount.value, "target": target.with_value(cleaned)})


def _port(port: Node) -> Node:
    published = port.get("published")
    if published is None or type(published.value) is not int:
        return port
    return port.with_value({**port.value, "published": published.with_value(str(published.value))})


def _secret(secret: Node) -> Node:
    source = secret.get("source")
    if source is None or "target" in secret.value or not isinstance(source.value, str):
        return secret
    return secret.with_value({**secret.value, "target": Node(f"/run/secrets/{source.value}", secret.span)})


def _env_file(entry: Node) -> Node:
    if not entry.is_mapping or "required" in entry.value:
        return entry
    return entry.with_value({**entry.value, "required": Node(True, entry.place)})


def _device_count(device: Node) -> Node:
    if not device.is_mapping or "count" in device.value or "device_ids" in device.value:
        return device
    return device.with_value({**device.value, "count": Node(-1, device.place)})


def _device_counts(devices: Node) -> Node:
    return devices.with_value([_device_count(item) for item in devices.value]) if devices.is_list else devices


def _at(node: Node, path: tuple[str, ...], change: Callable[[Node], Node]) -> Node:
    """The tree with the node at a path changed, where there is one."""
    if not path:
        return change(node)
    child = node.get(path[0])
    if child is None:
        return node
    return node.with_value({**node.value, path[0]: _at(child, path[1:], change)})


def _hosts(hosts: Node) -> Node:
    if not hosts.is_list:
        return hosts
    return hosts.with_value(
        sorted((text for item in hosts.value for text in _host(item)), key=lambda item: str(item.value))
    )


_BRACKETS = 2


def _host(item: Node) -> list[Node]:
    """`host=address` for each of the addresses of a host."""
    text = str(item.value)
    name, separator, addresses = text.partition("=")
    if not separator:
        name, separator, addresses = text.partition(":")
    if not separator:
        return [item]
    found = []
    for address in addresses.split(","):
        bare = len(address) > _BRACKETS and address.startswith("[") and address.endswith("]")
        found.append(item.with_value(f"{name}={address[1:-1] if bare else address}"))
    return found


_FINISHERS = {
    "volumes": _volume,
    "ports": _port,
    "secrets": _secret,
    "env_file": _env_file,
    "gpus": _device_count,
}
