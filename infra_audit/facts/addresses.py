"""Facts about fixed addresses on networks, and how many a network has."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from infra_audit.deployment import Subject
from infra_audit.facts.networks import attached, read_address, subnets_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact, value_of
from infra_audit.facts.topology import is_external, topology_of
from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__: list[str] = []

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class StaticAddress(NamedTuple):
    """An address that a service asks for on a network."""

    service: Subject
    address: _Address
    node: Node


def _static_addresses(network: Subject) -> Iterator[StaticAddress]:
    """Every fixed address on a network."""
    for service, node in attached(network):
        for key in ("ipv4_address", "ipv6_address"):
            address = node.get(key)
            if address is not None and address.value:
                yield StaticAddress(service, read_address(address), address)


@fact("network.static_outside", on="network")
def static_outside(network: Subject) -> Fact[list[Item]]:
    """Fixed addresses that are in none of the network's subnets, or on a network to which the files give none."""
    items = []
    found = subnets_of(network)
    for static in _static_addresses(network):
        matching = [entry for entry in found if entry.network.version == static.address.version]
        if any(static.address in entry.network for entry in matching):
            continue
        who = ("service", static.service.name)
        if is_external(network.node):
            items.append(Item(f"{network.name} is external, its subnet is not in the files", (), who, unknown=True))
        elif matching:
            ranges = ", ".join(str(entry.network) for entry in matching)
            places = (
                Evidence(static.node),
                *(Evidence(entry.node, f"the subnet of {network.name}") for entry in matching),
            )
            items.append(Item(f"{static.address} is not in {ranges}, the subnet of {network.name}", places, who))
        else:
            text = f"{static.address} is fixed, and the network {network.name} has no subnet in the files"
            items.append(Item(text, (Evidence(static.node), Evidence(network.node, "no subnet here")), who))
    return Known(items)


@lru_cache(maxsize=1024)
def _first(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> _Address:
    """The address that the engine gives to the gateway."""
    return next(network.hosts(), network.network_address)


@fact("network.static_duplicates", on="network")
def static_duplicates(network: Subject) -> Fact[list[Item]]:
    """Fixed addresses that two services ask for, or that are the gateway's."""
    items: list[Item] = []
    taken: dict[_Address, Evidence] = {}
    owner: dict[_Address, str] = {}
    for entry in subnets_of(network):
        if entry.gateway is not None and entry.gateway.value:
            gateway, place = read_address(entry.gateway), Evidence(entry.gateway, "the gateway")
        else:
            gateway = _first(entry.network)
            place = Evidence(entry.node, "the first address is the gateway's")
        taken[gateway], owner[gateway] = place, "the gateway"
    for static in _static_addresses(network):
        if static.address in taken:
            other = taken[static.address]
            text = f"{static.address} on {network.name} is taken by {owner[static.address]}"
            items.append(Item(text, (Evidence(static.node), other), ("service", static.service.name)))
        taken.setdefault(static.address, Evidence(static.node, f"{static.service.name} has it"))
        owner.setdefault(static.address, static.service.name)
    return Known(items)


@fact("network.capacity", on="network")
def capacity(network: Subject) -> Fact[int | None]:
    """Addresses for containers: of the first IPv4 subnet, or its ip_range, without network, broadcast and gateway."""
    for entry in subnets_of(network):
        if entry.network.version == 4:
            space = entry.range or entry.network
            outer = space == entry.network
            return Known(max(space.num_addresses - (3 if outer else 0), 0), entry.node)
    return Known(None, network.node)


@fact("network.containers", on="network")
def containers(network: Subject) -> Fact[int]:
    """Containers on the network: the replicas of all its services."""
    total = 0
    for service, _ in attached(network):
        total += value_of(service, "service.replicas")
    return Known(total, network.node)


@fact("service.static_with_replicas", on="service")
def static_with_replicas(service: Subject) -> Fact[list[Item]]:
    """Fixed addresses of a service that has more than one container."""
    attachment = topology_of(service.deployment).attachment(service)
    fixed = [
        (name, address)
        for name, node in attachment.networks.items()
        for key in ("ipv4_address", "ipv6_address")
        if (address := node.get(key)) is not None and address.value
    ]
    items: list[Item] = []
    if attachment.via is not None or not fixed:
        return Known(items)
    count = value_of(service, "service.replicas")
    places = [service.node.get("deploy", "replicas") or service.node.get("scale")]
    for name, address in fixed if count > 1 else ():
        related = [Evidence(place, f"{count} replicas") for place in places if place is not None]
        text = f"{count} replicas ask for the one address {address.known()} on {name}"
        items.append(Item(text, (Evidence(address), *related)))
    return Known(items)
