"""Who is on which network, and under which names: the base of all facts about reaching each other.

A container answers, on each network that it is attached to, to its service's name, its container's
name, its hostname and its aliases. Source: docs.docker.com/compose/how-tos/networking.
"""

from __future__ import annotations

from infra_audit.deployment import Deployment, Subject
from infra_audit.named import NamedTuple
from infra_audit.tree import HOLE, Node

__all__ = ["Attachment", "Topology", "extra_hosts", "is_external", "is_implied", "link_names", "topology_of"]


class Attachment(NamedTuple):
    """How a service is attached. ``kind``: networks, host, none, or unknown (another project's container).

    ``networks``: key in the service (and in the deployment) → node of the attachment. ``via``: the
    node of ``network_mode``, where one is written.
    """

    kind: str
    networks: dict[str, Node]
    via: Node | None = None
    owner: str = ""
    """The service whose network namespace it is: its own name, or that of the service that it shares it with."""


class Topology(NamedTuple):
    """Attachments of all services, and which services a name may mean."""

    deployment: Deployment
    attachments: dict[str, Attachment]
    identities: dict[str, str]
    """Network key → what tells it from others: its real name, or its key where that is unknown."""
    reach: dict[str, set[str]]
    """Service → identities of the networks that it is on."""
    names: dict[str, list[tuple[str, str | None]]]
    """Name in lower case → (service, network key that the name holds on, or None for all)."""

    def attachment(self, service: Subject | str) -> Attachment:
        return self.attachments[service if isinstance(service, str) else service.name]

    def networks(self, service: Subject | str) -> set[str]:
        """Identities of the networks that a service is on."""
        return self.reach[service if isinstance(service, str) else service.name]

    def named(self, host: str) -> list[str]:
        """Services that answer to a name somewhere, in file order."""
        return list(dict.fromkeys(service for service, _ in self.names.get(host.lower(), ())))

    def resolves(self, client: Subject, host: str) -> bool:
        """True where a client reaches some service of this deployment under a name."""
        if self.attachment(client).kind != "networks":
            return False
        mine = self.networks(client)
        for service, network in self.names.get(host.lower(), ()):
            theirs = {self.identities.get(network, network)} if network else self.networks(service)
            if mine & theirs or service == client.name:
                return True
        return False

    def share(self, one: Subject | str, other: Subject | str) -> bool:
        return bool(self.networks(one) & self.networks(other))

    def same_namespace(self, one: Subject, other: Subject) -> bool:
        """True where localhost is the same for two services."""
        owner = self.attachment(one).owner
        return bool(owner) and owner == self.attachment(other).owner

    def external(self, service: Subject | str) -> list[str]:
        """Keys of the external networks that a service is on."""
        found = []
        for key in self.attachment(service).networks:
            node = self.deployment.tree.get("networks", key)
            if node is not None and is_external(node):
                found.append(key)
        return found


def topology_of(deployment: Deployment) -> Topology:
    """The topology of a deployment; computed once."""
    known = deployment.root.cache.get("(topology)")
    if not isinstance(known, Topology):
        known = deployment.root.cache["(topology)"] = _read(deployment)
    return known


def is_external(node: Node) -> bool:
    """True for a network, volume, secret or config that this deployment does not create."""
    external = node.get("external")
    return external is not None and external.value not in (None, False, "false")


def is_implied(node: Node) -> bool:
    """True for what Compose adds by itself."""
    return any(hop.kind == "implied" for hop in node.hops)


def _read(deployment: Deployment) -> Topology:
    topology = Topology(deployment, {}, {}, {}, {})
    for network in deployment.subjects("network"):
        name = network.node.get("name")
        real = str(name.value) if name is not None and name.value else ""
        topology.identities[network.name] = real if real and HOLE not in real else f"({network.name})"
    for service in deployment.subjects("service"):
        attachment = topology.attachments[service.name] = _attachment(deployment, service, ())
        topology.reach[service.name] = {topology.identities.get(key, key) for key in attachment.networks}
    for service in deployment.subjects("service"):
        _name(topology, service)
    return topology


def _attachment(deployment: Deployment, service: Subject, chain: tuple[str, ...]) -> Attachment:
    mode = service.node.get("network_mode")
    if mode is None or not mode.value:
        networks = service.node.get("networks")
        return Attachment("networks", dict(networks.items()) if networks else {}, owner=service.name)
    text = str(mode.value)
    if text in ("host", "none"):
        return Attachment(text, {}, mode, "" if text == "none" else "(host)")
    if text.startswith("service:"):
        other = deployment.service(text.removeprefix("service:"))
        if other is not None and other.name not in chain:
            return _attachment(deployment, other, (*chain, service.name))._replace(via=mode)
    return Attachment("unknown", {}, mode)


def _name(topology: Topology, service: Subject) -> None:
    """Adds the names that a service answers to."""

    def add(name: object, network: str | None = None) -> None:
        if isinstance(name, str) and name and HOLE not in name:
            topology.names.setdefault(name.lower(), []).append((service.name, network))

    mode = service.node.get("network_mode")
    if mode is not None and mode.value:
        return  # shares another's network: it has no name there
    add(service.name)
    for key in ("container_name", "hostname"):
        node = service.node.get(key)
        add(node.value if node else None)
    for network, node in topology.attachment(service).networks.items():
        aliases = node.get("aliases")
        for alias in aliases.entries() if aliases else ():
            add(alias.value, network)
    project = topology.deployment.name
    for number in range(1, 4):
        add(f"{project}-{service.name}-{number}")
        add(f"{project}_{service.name}_{number}")
    add(f"tasks.{service.name}")


def extra_hosts(service: Subject) -> set[str]:
    """Names that ``extra_hosts`` gives a service, in lower case."""
    node = service.node.get("extra_hosts")
    if node is None:
        return set()
    if node.is_mapping:
        return {name.lower() for name, _ in node.items()}
    entries = (str(entry.value) for entry in node.entries())
    return {entry.partition("=" if "=" in entry else ":")[0].strip().lower() for entry in entries}


def link_names(service: Subject) -> dict[str, str]:
    """Names that ``links`` and ``external_links`` give a service → service ("" for another project's container)."""
    names: dict[str, str] = {}
    for key in ("links", "external_links"):
        node = service.node.get(key)
        for entry in node.entries() if node else ():
            target, _, alias = str(entry.value).partition(":")
            names[(alias or target).lower()] = target if key == "links" else ""
    return names
