"""Facts about what nothing uses, and about what a later file makes external."""

from __future__ import annotations

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.topology import is_external

__all__: list[str] = []


def _names_used(deployment: Deployment, section: str, kind: str = "") -> set[str]:
    """Names that services use in a section of mounts or grants."""
    names: set[str] = set()
    for service in deployment.subjects("service"):
        for entries in (service.node.get(section), service.node.get("build", section)):
            for entry in entries.entries() if entries else ():
                source = entry.get("source") if entry.is_mapping else entry
                found = entry.get("type")
                if source is not None and (not kind or (found is not None and found.value == kind)):
                    names.add(str(source.value))
    return names


@fact("volume.is_used", on="volume")
def volume_is_used(volume: Subject) -> Fact[bool]:
    """True where a service mounts the volume."""
    return Known(volume.name in _names_used(volume.deployment, "volumes", "volume"), volume.node)


@fact("deployment.unused_secrets", on="deployment")
def unused_secrets(deployment: Subject) -> Fact[list[Item]]:
    """Secrets that no service and no build is given."""
    used = _names_used(deployment.deployment, "secrets")
    secrets = deployment.deployment.subjects("secret")
    return Known(
        [Item(one.name, (Evidence(one.node),), ("secret", one.name)) for one in secrets if one.name not in used]
    )


@fact("network.made_external", on="network")
def network_made_external(network: Subject) -> Fact[bool]:
    """True where a later file marks as external a network that an earlier file defines."""
    return _made_external(network)


@fact("volume.made_external", on="volume")
def volume_made_external(volume: Subject) -> Fact[bool]:
    """True where a later file marks as external a volume that an earlier file defines."""
    return _made_external(volume)


def _made_external(subject: Subject) -> Fact[bool]:
    external = subject.node.get("external")
    if external is None or not is_external(subject.node):
        return Known(False, subject.node)
    mine = external.span.source
    if any(hop.kind == "override" and hop.span is not None and hop.span.text != "false" for hop in external.hops):
        return Known(False, external)  # it was external from the start
    first = subject.node.key  # where the earliest file names it
    if first is not None and first.source is not mine:
        return Known(True, external, Evidence(first, "defined here"))
    return Known(False, external)
