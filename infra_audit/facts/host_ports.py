"""Facts about ports of the host: which services want the same one, and how many a port has to choose from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact
from infra_audit.facts.services import is_profiled_apart
from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__ = ["is_on_host_network", "published_ports"]


class _Claim(NamedTuple):
    """A published port: the addresses and the range of host ports that it may take."""

    service: Subject
    node: Node
    place: Node
    address: str
    first: int
    last: int
    protocol: str

    @property
    def is_fixed(self) -> bool:
        return self.first == self.last

    @property
    def text(self) -> str:
        host = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{host}{self.first}/{self.protocol}"


def published_ports(port: Node) -> tuple[int, int] | None:
    """First and last host port, or None where the engine chooses one."""
    node = port.get("published")
    if node is None or node.value in (None, "", 0, "0"):
        return None
    first, _, last = str(node.known()).partition("-")
    try:
        return int(first), int(last or first)
    except ValueError:
        raise Undecidable(f"{node.known()!r} is no port") from None


def is_on_host_network(service: Subject) -> bool:
    node = service.node.get("network_mode")
    return node is not None and node.value == "host"


@fact("port.host_ports", on="port")
def host_ports(port: Subject) -> Fact[int | None]:
    """From how many host ports a published port takes one; None where the engine chooses any free one."""
    published = published_ports(port.node)
    if published is None or (port.parent is not None and is_on_host_network(port.parent)):
        return Known(None, port.node)
    first, last = published
    return Known(last - first + 1, port.node.get("published") or port.node)


@fact("deployment.port_conflicts", on="deployment")
def port_conflicts(deployment: Subject) -> Fact[list[Item]]:
    """Host ports that two services (or one twice) want, as far as they can run at once."""
    items: list[Item] = []
    fixed: list[_Claim] = []
    ranges: list[_Claim] = []
    for claim in _claims(deployment.deployment, items):
        (fixed if claim.is_fixed else ranges).append(claim)
    earlier: dict[int, list[_Claim]] = {}
    for claim in fixed:
        others = earlier.setdefault(claim.first, [])
        other = next((one for one in others if _clash(one, claim)), None)
        if other is not None:
            items.append(_item(claim, other))
        others.append(claim)
    for claim in ranges:
        takers = [one for one in fixed if _clash(one, claim)]
        if len({one.first for one in takers}) == claim.last - claim.first + 1:
            items.append(_item(claim, takers[0]))
    return Known(items, deployment.node)


def _item(claim: _Claim, other: _Claim) -> Item:
    whose = "by itself" if other.service is claim.service else f"by {other.service.name}"
    return Item(
        f"host port {claim.text} is published {whose} as {other.text} too",
        (Evidence(claim.place), Evidence(other.place, f"{other.service.name} takes it here")),
        ("service", claim.service.name),
    )


def _claims(deployment: Deployment, undecided: list[Item]) -> Iterator[_Claim]:
    """What the services publish; a port that rests on an unset variable becomes an undecided item."""
    for port in deployment.subjects("port"):
        service = port.parent
        if service is None or is_on_host_network(service):
            continue
        try:
            published = published_ports(port.node)
            if published is None or _never_runs(service):
                continue
            address, protocol = (port.node.get(key) for key in ("host_ip", "protocol"))
            place = port.node.get("published") or port.node
            yield _Claim(
                service,
                port.node,
                place,
                str(address.known() or "") if address else "",
                *published,
                str(protocol.known()) if protocol else "tcp",
            )
        except Undecidable as error:
            undecided.append(Item(error.message, (Evidence(port.node),), ("service", service.name), unknown=True))


def _never_runs(service: Subject) -> bool:
    """True where the service has no replica; where their number is unknown it may run."""
    replicas = evaluate(service, "service.replicas")
    return isinstance(replicas, Known) and replicas.value == 0


def _clash(one: _Claim, other: _Claim) -> bool:
    if one.protocol != other.protocol or one.last < other.first or other.last < one.first:
        return False
    if not _addresses_meet(one.address, other.address):
        return False
    if one.service is other.service:
        return bool(one.node.data() != other.node.data())  # the same line twice is one port
    return not is_profiled_apart(one.service, other.service)


def _addresses_meet(one: str, other: str) -> bool:
    """True where two listening addresses overlap; "" is every address of both families."""
    if not one or not other:
        return True
    try:
        first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    except ValueError:
        return one == other
    if first.version != second.version:
        return False
    return first == second or first.is_unspecified or second.is_unspecified
