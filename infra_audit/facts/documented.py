"""Facts about what a plan documents beside sizes: roles, panels, environment variables and published ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.host_ports import is_on_host_network, published_ports
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.services import environment
from infra_audit.plan import Bound, Role
from infra_audit.tree import Node

__all__: list[str] = []


def _planned(service: Subject, key: str) -> Any:
    """What the plan says of a service's role under a key; None where it says nothing."""
    plan = service.deployment.plan
    return (plan.lookup(service, key) or None) if plan else None


@fact("service.is_to_be_watched", on="service")
def is_to_be_watched(service: Subject) -> Fact[bool]:
    """False where the plan says of the service's role that nobody has to watch it (`monitored: false`)."""
    plan = service.deployment.plan
    return Known(plan is None or plan.lookup(service, "monitored") is not False, service.node)


# -- roles ---------------------------------------------------------------------------------------


@fact("deployment.missing_roles", on="deployment")
def missing_roles(deployment: Subject) -> Fact[list[Item]]:
    """Roles of the adopted plan that no service fills."""
    whole = deployment.deployment
    node = whole.tree.get("services") or whole.tree
    missing = whole.plan.missing_roles() if whole.plan else []
    return Known([Item(f"{role.name} ({_match_text(role)})", (Evidence(node),)) for role in missing], node)


def _match_text(role: Role) -> str:
    """How a service would fill the role: "product redis", "service api-* or image team/api"."""
    match = role.match
    parts = [f"label {key}" if value is None else f"label {key}={value}" for key, value in match.labels]
    for kind, names in (("service", match.services), ("image", match.images), ("product", match.products)):
        parts += [f"{kind} {name}" for name in names]
    return " or ".join(parts)


# -- panels --------------------------------------------------------------------------------------


@fact("deployment.missing_panels", on="deployment")
def missing_panels(deployment: Subject) -> Fact[list[Item]]:
    """Key panels of the plan that no provisioned dashboard has, by title and, where the plan says so, metric."""
    plan = deployment.deployment.plan
    wanted = plan.plan.panels if plan is not None and plan.adopted else {}
    if not wanted:
        return Known([])
    from infra_audit.facts.grafana_service import find_missing_panels  # brings all that reads dashboards

    return find_missing_panels(deployment, wanted)


# -- environment ---------------------------------------------------------------------------------


@fact("service.environment_off_plan", on="service")
def environment_off_plan(service: Subject) -> Fact[list[Item]]:
    """Each environment variable that has another value than the plan documents for the service's role."""
    wanted = _planned(service, "environment") or {}
    items = (_variable(service, name, Bound.of(value).value) for name, value in wanted.items())
    return Known([item for item in items if item is not None])


def _variable(service: Subject, name: str, wanted: Any) -> Item | None:
    text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    node = environment(service, name)
    if node is None:
        return Item(f"{name} is not set", (Evidence(service.node.get("environment") or service.node),), expected=text)
    if node.value is None:
        return Item(f"{name} comes from whoever starts the deployment", (Evidence(node),), unknown=True)
    try:
        have = str(node.known())
    except Undecidable as error:
        return Item(f"{name}: {error.message}", (Evidence(node),), unknown=True)
    return None if _same(have, text) else Item(f"{name} is {have}", (Evidence(node),), expected=text)


def _same(have: str, wanted: str) -> bool:
    """True for equal texts, and for two ways to write one number (0.8 and 0.80)."""
    try:
        return have == wanted or float(have) == float(wanted)
    except ValueError:
        return False


# -- ports ---------------------------------------------------------------------------------------


@fact("service.ports_off_plan", on="service")
def ports_off_plan(service: Subject) -> Fact[list[Item]]:
    """Each documented port of the host that the service does not publish."""
    wanted = _planned(service, "published") or []
    if wanted and is_on_host_network(service):
        raise Undecidable("it is on the host's network, where nothing needs to be published")
    return Known(list(_unpublished(service, wanted)))


def _unpublished(service: Subject, wanted: list[int]) -> Iterator[Item]:
    """The ports that are missing, each beside one that is published and that the plan does not know."""
    ports = service.node.get("ports")
    have: list[tuple[range, Node]] = []
    for entry in ports.entries() if ports else ():
        published = published_ports(entry)
        if published is not None:
            have.append((range(published[0], published[1] + 1), entry.get("published") or entry))
    others = [(taken, node) for taken, node in have if not any(port in taken for port in wanted)]
    for port in wanted:
        if any(port in taken for taken, _ in have):
            continue
        if others:
            taken, node = others.pop(0)
            yield Item(f"is published on {_text(taken)}", (Evidence(node),), expected=port)
        else:
            yield Item("is not published", (Evidence(ports or service.node),), expected=port)


def _text(ports: range) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
