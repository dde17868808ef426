"""Facts about whom a service names and cannot reach, or names and nobody is."""

from __future__ import annotations

import ipaddress
import re

from infra_audit.deployment import Subject
from infra_audit.facts.ports import browser_ports, local_ports, main_ports
from infra_audit.facts.proxies import Upstream, upstreams_of
from infra_audit.facts.references import Reference, references_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact, value_of
from infra_audit.facts.topology import Topology, extra_hosts, link_names, topology_of
from infra_audit.patterns import Pattern
from infra_audit.tree import HOLE, Node

__all__ = ["is_nobody", "no_shared_network"]

_LOCALHOST = frozenset(("localhost", "127.0.0.1", "[::1]", "::1"))
_HOST_NAMES = frozenset(("host.docker.internal", "gateway.docker.internal", "kubernetes.docker.internal"))
_WEB = frozenset(("http", "https", "ws", "wss", ""))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _known_elsewhere(client: Subject, host: str) -> bool:
    """True for a name that the client resolves without this deployment's networks."""
    name = host.lower()
    return (
        name in extra_hosts(client) or name in _HOST_NAMES or name in _LOCALHOST or link_names(client).get(name) == ""
    )


def _attached(topology: Topology, service: str) -> str:
    """The networks of a service in words."""
    attachment = topology.attachment(service)
    if attachment.kind != "networks":
        return f"network_mode {attachment.via.value if attachment.via else attachment.kind}"
    return ", ".join(attachment.networks) or "no network"


def _networks_place(topology: Topology, service: Subject) -> Node:
    return topology.attachment(service).via or service.node.get("networks") or service.node


# -- unreachable --------------------------------------------------------------------------------


@fact("service.unreachable", on="service")
def unreachable(service: Subject) -> Fact[list[Item]]:
    """Services of the deployment that the service names, by host or depends_on, and shares no network with."""
    topology = topology_of(service.deployment)
    items: list[Item] = []
    told: set[str] = set()
    if topology.attachment(service).kind in ("networks", "host", "none") and value_of(service, "service.is_whole"):
        for reference in references_of(service):
            item = _unreachable(topology, service, reference, told)
            if item is not None:
                items.append(item)
        items += _unreachable_dependencies(topology, service, told)
    return Known(items)


def _unreachable(topology: Topology, service: Subject, reference: Reference, told: set[str]) -> Item | None:
    host = reference.host
    everyone = topology.named(host)
    named = [name for name in everyone if name != service.name]
    if not named or len(named) < len(everyone) or topology.resolves(service, host):
        return None
    if host.lower() in told or _known_elsewhere(service, host):
        return None
    linked = link_names(service).get(host.lower())
    if linked and topology.share(service, linked):
        return None
    if any(topology.attachment(name).kind != "networks" for name in named):
        return None
    if _used_by_another(topology, service, reference):
        return None
    told.add(host.lower())
    told.update(named)
    external = topology.external(service)
    if external:
        why = f"{reference.key} names {host}, which may be another on the external network {', '.join(external)}"
        return Item(why, (), unknown=True)
    target = service.deployment.service(named[0])
    return no_shared_network(
        topology, service, target or service, Evidence(reference.place), f"{reference.key} names {host}"
    )


def _used_by_another(topology: Topology, service: Subject, reference: Reference) -> bool:
    """True where the same line (of a shared env file or anchor) serves another service that does reach the host."""
    if reference.key == "command":
        return False
    span = reference.node.span
    name = reference.key.removeprefix("environment ")
    for other in service.deployment.subjects("service"):
        if other is not service and topology.resolves(other, reference.host):
            node = other.node.get("environment", name)
            if node is not None and node.span == span:
                return True
    return False


def _unreachable_dependencies(topology: Topology, service: Subject, told: set[str]) -> list[Item]:
    """Dependencies on another network. A one-shot that is waited for, and a host network, need none."""
    items = []
    depends = service.node.get("depends_on")
    for name, node in depends.items() if depends else ():
        target = service.deployment.service(name)
        condition = node.get("condition")
        if target is None or name in told or (condition and condition.value == "service_completed_successfully"):
            continue
        kinds = {topology.attachment(one).kind for one in (service, target)}
        if kinds != {"networks"} or topology.share(service, target):
            continue
        if not topology.networks(service) or not topology.networks(target):
            continue
        items.append(no_shared_network(topology, service, target, Evidence(node), f"depends on {name}"))
    return items


def no_shared_network(topology: Topology, client: Subject, target: Subject, place: Evidence, says: str) -> Item:
    mine, theirs = _attached(topology, client.name), _attached(topology, target.name)
    places = (
        place,
        Evidence(_networks_place(topology, client), f"{client.name} is on {mine}"),
        Evidence(_networks_place(topology, target), f"{target.name} is on {theirs}"),
    )
    return Item(f"{says}, but {client.name} is on {mine} and {target.name} on {theirs}", places, expected=target.name)


# -- unknown hosts ------------------------------------------------------------------------------


@fact("service.unknown_hosts", on="service")
def unknown_hosts(service: Subject) -> Fact[list[Item]]:
    """Hosts of URLs and addresses in the environment that nobody is, on a port that only a service here has."""
    topology = topology_of(service.deployment)
    items: list[Item] = []
    if topology.attachment(service).kind != "networks":
        return Known(items)
    told: set[str] = set()
    for reference in references_of(service):
        host = reference.host
        if reference.key == "command" or reference.form == "host" or reference.port is None or host.lower() in told:
            continue
        if not is_nobody(topology, service, host):
            continue
        owners = [one for one in _owners(service, reference.port) if topology.share(service, one)]
        if not owners:
            continue
        told.add(host.lower())
        external = topology.external(service)
        if external:
            why = f"{reference.key} names {host}, which may be on the external network {', '.join(external)}"
            items.append(Item(why, (), unknown=True))
            continue
        names = " or ".join(one.name for one in owners)
        port = reference.port
        text = f"{reference.key} names {host}:{port}, but no service is called {host}; {names} listens on {port}"
        places = (Evidence(reference.place), *(Evidence(one.node, f"listens on {reference.port}") for one in owners))
        items.append(Item(text, places, expected=names))
    return Known(items)


def is_nobody(topology: Topology, service: Subject, host: str) -> bool:
    """True for a single-label name that no service, alias, link or extra host has."""
    name = host.lower()
    if name in topology.names or "." in name or HOLE in name or name.isdigit() or _is_address(name):
        return False
    if name in link_names(service) or _known_elsewhere(service, name):
        return False
    return not any(  # another project's name for one of our containers
        name.endswith((f"-{one.name.lower()}-1", f"_{one.name.lower()}_1"))
        for one in service.deployment.subjects("service")
    )


def _owners(service: Subject, port: int) -> list[Subject]:
    """The other services that surely listen on a port."""
    others = (one for one in service.deployment.subjects("service") if one is not service)
    return [one for one in others if port in main_ports(one)]


# -- localhost ----------------------------------------------------------------------------------


@fact("service.localhost_targets", on="service")
def localhost_targets(service: Subject) -> Fact[list[Item]]:
    """Settings that point at localhost on a port that only another service has."""
    topology = topology_of(service.deployment)
    if topology.attachment(service).kind != "networks":
        return Known([])
    items: list[Item] = []
    for reference in references_of(service):
        port = reference.port
        if reference.host.lower() not in _LOCALHOST or port is None or port in local_ports(service):
            continue
        if reference.key == "command" and reference.form != "url":
            continue
        owners = [one for one in _owners(service, port) if not topology.same_namespace(service, one)]
        if not owners or _may_be_for_a_browser(service, reference, port):
            continue
        names = " or ".join(one.name for one in owners)
        where = f"{reference.host}:{port}, which in a container is the container itself"
        text = f"{reference.key} points at {where}; {names} listens on {port}"
        places = (Evidence(reference.place), *(Evidence(one.node, f"listens on {port}") for one in owners))
        items.append(Item(text, places, expected=f"{owners[0].name}:{port}"))
    return Known(items)


_BROWSER_KEY = Pattern(
    r"CORS|ORIGIN|REDIRECT|CALLBACK|PUBLIC|EXTERNAL|BROWSER|FRONTEND|WEBSITE|SITE_URL|ROOT_URL|ALLOWED|VITE_|REACT_APP_",
    re.IGNORECASE,
)
"""Settings whose addresses a browser opens, or sends, and not the service itself."""


def _may_be_for_a_browser(service: Subject, reference: Reference, port: int) -> bool:
    """A web address that the host publishes, or whose name says so, may be meant for whoever sits at the host."""
    return (
        reference.scheme in _WEB
        and (port in browser_ports(service.deployment) or _BROWSER_KEY.search(reference.key) is not None)
        and not any(_is_datastore(one) for one in _owners(service, port))
    )


def _is_datastore(service: Subject) -> bool:
    known = evaluate(service, "service.is_datastore")
    return isinstance(known, Known) and known.value is True


# -- proxies ------------------------------------------------------------------------------------


@fact("proxy.unknown_upstreams", on="service")
def unknown_upstreams(service: Subject) -> Fact[list[Item]]:
    """Hosts in the mounted proxy configuration that no service, alias or extra host is."""
    topology = topology_of(service.deployment)
    read = upstreams_of(service)
    items = [Item(gap, (), unknown=True) for gap in read.gaps]
    if topology.attachment(service).kind != "networks":
        return Known(items)
    for upstream in _once(read.upstreams):
        if upstream.why:
            items.append(Item(f"{upstream.what}: {upstream.why}", (), unknown=True))
        elif is_nobody(topology, service, upstream.host):
            external = topology.external(service)
            if external:
                why = (
                    f"{upstream.what} names {upstream.host}, which may be on the external network {', '.join(external)}"
                )
                items.append(Item(why, (), unknown=True))
            else:
                text = f"{upstream.what} sends to {upstream.host}, and no service of the deployment has that name"
                items.append(Item(text, (Evidence(upstream.place),)))
    return Known(items)


@fact("proxy.unreachable_upstreams", on="service")
def unreachable_upstreams(service: Subject) -> Fact[list[Item]]:
    """Services in the mounted proxy configuration that the proxy shares no network with."""
    topology = topology_of(service.deployment)
    items: list[Item] = []
    if topology.attachment(service).kind != "networks":
        return Known(items)
    for upstream in _once(upstreams_of(service).upstreams):
        named = topology.named(upstream.host)
        if upstream.why or not named or service.name in named or _known_elsewhere(service, upstream.host):
            continue
        if topology.resolves(service, upstream.host):
            continue
        external = topology.external(service)
        target = service.deployment.service(named[0])
        if external:
            items.append(_elsewhere(upstream, external, "another on"))
        elif target is not None:
            says = f"{upstream.what} sends to {upstream.host}"
            items.append(no_shared_network(topology, service, target, Evidence(upstream.place), says))
    return Known(items)


def _elsewhere(upstream: Upstream, external: list[str], how: str) -> Item:
    networks = ", ".join(external)
    return Item(
        f"{upstream.what} names {upstream.host}, which may be {how} the external network {networks}", (), unknown=True
    )


def _once(upstreams: tuple[Upstream, ...]) -> list[Upstream]:
    """The first mention of each host."""
    return list({(upstream.host.lower(), upstream.why): upstream for upstream in reversed(upstreams)}.values())[::-1]
