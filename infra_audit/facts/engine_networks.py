"""Facts about a project's networks beside the other networks of its engine."""

from __future__ import annotations

import ipaddress

from infra_audit.deployment import Subject
from infra_audit.facts.networks import subnets_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact

__all__: list[str] = []


@fact("network.overlaps_on_host", on="network")
def overlaps_on_host(network: Subject) -> Fact[list[Item]]:
    """Subnets that overlap one of another project's network on the same engine."""
    others = network.deployment.tree.get("engine", "Networks")
    items = []
    for other in others.entries() if others is not None else ():
        name, pools = other.get("Name"), other.get("Subnets")
        if name is None or ((own := network.node.get("name")) is not None and own.value == name.value):
            continue
        for pool in pools.entries() if pools is not None else ():
            try:
                theirs = ipaddress.ip_network(str(pool.value), strict=False)
            except ValueError:
                continue
            for mine in subnets_of(network):
                if mine.network.version == theirs.version and mine.network.overlaps(theirs):
                    places = (Evidence(mine.node), Evidence(pool, f"{name.value} has {theirs}"))
                    items.append(Item(f"{mine.network} overlaps {theirs} of {name.value}", places))
    return Known(items, network.node)
