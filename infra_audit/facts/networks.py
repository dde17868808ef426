"""Facts about networks: their subnets, MTU and names, who is on them, and what the plan says of that."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact, value_of
from infra_audit.facts.topology import Attachment, is_external, is_implied, topology_of
from infra_audit.named import NamedTuple
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Subnet", "attached", "read_address", "subnets_of"]

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MTU_OPTION = "com.docker.network.driver.mtu"
BRIDGE_NAME_OPTION = "com.docker.network.bridge.name"
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")


class Subnet(NamedTuple):
    """One entry of ``ipam.config``; ``range`` and ``gateway`` are None where they are not given."""

    network: _Network
    node: Node
    range: _Network | None
    gateway: Node | None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> _Network:
    return ipaddress.ip_network(text, strict=False)


def _network(node: Node) -> _Network:
    text = str(node.known())
    try:
        return _parsed(text)
    except ValueError:
        raise Undecidable(f"{text!r} is no subnet") from None


def read_address(node: Node) -> _Address:
    text = str(node.known())
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Undecidable(f"{text!r} is no address") from None


def subnets_of(network: Subject) -> list[Subnet]:
    """The subnets that a network's ``ipam.config`` gives; raises Undecidable for one that is none."""
    config = network.node.get("ipam", "config")
    found = []
    for entry in config.entries() if config else ():
        subnet = entry.get("subnet")
        if subnet is None or not subnet.value:
            continue
        part = entry.get("ip_range")
        found.append(
            Subnet(_network(subnet), subnet, _network(part) if part and part.value else None, entry.get("gateway"))
        )
    return found


def attached(network: Subject) -> Iterator[tuple[Subject, Node]]:
    """Services on a network by themselves, with their attachment; not those that share another's namespace."""
    topology = topology_of(network.deployment)
    for service in network.deployment.subjects("service"):
        attachment = topology.attachment(service)
        if attachment.via is None and network.name in attachment.networks:
            yield service, attachment.networks[network.name]


# -- networks -----------------------------------------------------------------------------------


@fact("network.is_external", on="network")
def is_external_network(network: Subject) -> Fact[bool]:
    """True where something else creates the network."""
    return Known(is_external(network.node), network.node.get("external") or network.node)


@fact("network.is_declared", on="network")
def is_declared(network: Subject) -> Fact[bool]:
    """True where the files declare the network; False for the one that Compose adds."""
    return Known(not is_implied(network.node), network.node)


@fact("network.is_used", on="network")
def is_used(network: Subject) -> Fact[bool]:
    """True where a service is on the network."""
    return Known(next(attached(network), None) is not None, network.node)


@fact("network.driver", on="network")
def driver(network: Subject) -> Fact[str]:
    """The driver; the engine's own default is bridge."""
    node = network.node.get("driver")
    if node is None or not node.value:
        return Known("bridge", network.node)
    return Known(str(node.known()), node)


@fact("network.subnets", on="network")
def subnets(network: Subject) -> Fact[list[str]]:
    """The subnets that the files give; empty where the engine chooses one."""
    found = subnets_of(network)
    return Known([str(subnet.network) for subnet in found], *(subnet.node for subnet in found))


@fact("network.subnet", on="network")
def subnet(network: Subject) -> Fact[str | None]:
    """The first subnet that the files give; None where the engine chooses one. Unknown for an external network."""
    if is_external(network.node):
        raise Undecidable(f"the network {network.name} is external: its subnet is not in the files")
    found = subnets_of(network)
    if not found:
        return Known(None, network.node)
    return Known(str(found[0].network), found[0].node)


@fact("network.mtu", on="network")
def mtu(network: Subject) -> Fact[int | None]:
    """The MTU that driver_opts give; None without. Unknown for an external network."""
    if is_external(network.node):
        raise Undecidable(f"the network {network.name} is external: its MTU is not in the files")
    node = network.node.get("driver_opts", MTU_OPTION)
    if node is None or node.value in (None, ""):
        return Known(None, network.node)
    text = str(node.known())
    if not text.isdigit():
        raise Undecidable(f"{text!r} is no MTU")
    return Known(int(text), node)


@fact("network.bridge_name", on="network")
def bridge_name(network: Subject) -> Fact[str | None]:
    """The name of the bridge's interface that driver_opts give; None without."""
    node = network.node.get("driver_opts", BRIDGE_NAME_OPTION)
    if node is None or not node.value:
        return Known(None, network.node)
    return Known(str(node.known()), node)


@fact("network.bridge_name_length", on="network")
def bridge_name_length(network: Subject) -> Fact[int | None]:
    """Bytes of the bridge's name; the kernel takes 15."""
    name = value_of(network, "network.bridge_name")
    node = network.node.get("driver_opts", BRIDGE_NAME_OPTION)
    return Known(None if name is None else len(name.encode()), node or network.node)


@fact("network.overlaps", on="network")
def overlaps(network: Subject) -> Fact[list[Item]]:
    """Subnets of the network that overlap one of an earlier network, or an earlier one of its own."""
    items: list[Item] = []
    earlier: list[tuple[str, Subnet]] = []
    for other in network.deployment.subjects("network"):
        mine = other is network
        for entry in subnets_of(other):
            for name, seen in earlier if mine else ():
                if seen.network.version == entry.network.version and seen.network.overlaps(entry.network):
                    places = (Evidence(entry.node), Evidence(seen.node, f"{name} has {seen.network}"))
                    items.append(Item(f"{entry.network} overlaps {seen.network} of {name}", places))
            earlier.append((other.name, entry))
        if mine:
            break
    return Known(items)


@fact("network.public_subnets", on="network")
def public_subnets(network: Subject) -> Fact[list[Item]]:
    """Subnets outside the private ranges (RFC 1918, RFC 6598, RFC 4193), and what is no subnet at all."""
    config = network.node.get("ipam", "config")
    items = []
    for entry in config.entries() if config else ():
        node = entry.get("subnet")
        if node is None or not node.value:
            continue
        text = str(node.known())
        try:
            read = _parsed(text)
        except ValueError:
            items.append(Item(f"{text} is no subnet", (Evidence(node),)))
            continue
        if not read.is_private and not (read.version == 4 and _SHARED.supernet_of(read)):
            items.append(Item(f"{text} is a public range", (Evidence(node),)))
    return Known(items)


@fact("network.gateways_outside", on="network")
def gateways_outside(network: Subject) -> Fact[list[Item]]:
    """Gateways that are not in their subnet."""
    items = []
    for entry in subnets_of(network):
        if entry.gateway is None or not entry.gateway.value:
            continue
        address = read_address(entry.gateway)
        if address not in entry.network:
            places = (Evidence(entry.gateway), Evidence(entry.node, f"the subnet is {entry.network}"))
            items.append(Item(f"gateway {address} is not in {entry.network}", places))
    return Known(items)


# -- services -----------------------------------------------------------------------------------


@fact("service.networks", on="service")
def service_networks(service: Subject) -> Fact[list[str]]:
    """Names of the networks that the service is on; none with network_mode host or none."""
    attachment = topology_of(service.deployment).attachment(service)
    if attachment.kind == "unknown":
        raise Undecidable("it shares the network of a container that is not in the files")
    return Known(list(attachment.networks), _attachment_place(service, attachment))


def _attachment_place(service: Subject, attachment: Attachment) -> Node:
    return attachment.via or service.node.get("networks") or service.node


@fact("service.on_implied_network", on="service")
def on_implied_network(service: Subject) -> Fact[bool]:
    """True where nobody chose the network: the service is on the one that Compose adds by itself."""
    attachment = topology_of(service.deployment).attachment(service)
    node = attachment.networks.get("default")
    top = service.deployment.tree.get("networks", "default")
    implied = attachment.via is None and node is not None and is_implied(node) and (top is None or is_implied(top))
    return Known(implied, service.node)


@fact("service.networks_off_plan", on="service")
def networks_off_plan(service: Subject) -> Fact[list[Item]]:
    """Networks that the plan does not give the service's role, and datastores on the edge network."""
    plan = service.deployment.plan
    if plan is None:
        return Known([])
    role = plan.role(service)
    attachment = topology_of(service.deployment).attachment(service)
    if attachment.kind == "unknown":
        raise Undecidable("it shares the network of a container that is not in the files")
    allowed = role.networks if role is not None else None
    items: list[Item] = []
    if allowed is not None and attachment.kind == "host":
        text = f"is on the host's network, and the plan gives {role.name} {', '.join(allowed) or 'none'}"
        items.append(Item(text, (Evidence(attachment.via or service.node),), expected=list(allowed)))
    for name, node in attachment.networks.items():
        place = Evidence(attachment.via or (service.node if is_implied(node) else node))
        network = plan.plan.networks.get(name)
        if allowed is not None and name not in allowed:
            text = f"is on {name}, and the plan gives {role.name} {', '.join(allowed) or 'none'}"
            items.append(Item(text, (place,), expected=list(allowed)))
        elif network is not None and network.values.get("edge") and value_of(service, "service.is_datastore"):
            items.append(Item(f"is a datastore on {name}, which the plan opens to the outside", (place,)))
    return Known(items)


# -- the deployment -----------------------------------------------------------------------------


@fact("deployment.networks_missing", on="deployment")
def networks_missing(deployment: Subject) -> Fact[list[Item]]:
    """Networks of an adopted plan that the deployment does not have."""
    plan = deployment.deployment.plan
    if plan is None or not plan.adopted:
        return Known([])
    place = _section(deployment.deployment, "networks")
    have = {network.name for network in deployment.deployment.subjects("network")}
    return Known([Item(name, (Evidence(place),)) for name in plan.plan.networks if name not in have])


def _section(deployment: Deployment, name: str) -> Node | Span:
    """The key of a section that the files write, else that of the services."""
    node = deployment.tree.get(name)
    if node is None or is_implied(node) or all(is_implied(child) for _, child in node.items()):
        return deployment.tree.get("services") or deployment.tree.span.source.top
    return node
