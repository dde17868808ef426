"""Facts about what services wait for: the entries of depends_on."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.health import may_be_healthy
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact, value_of
from infra_audit.facts.services import target_of
from infra_audit.tree import Node

__all__: list[str] = []


def _condition(dependency: Subject) -> Node:
    return dependency.node.get("condition") or dependency.node


@fact("dependency.condition", on="dependency")
def condition(dependency: Subject) -> Fact[str]:
    """What is waited for: service_started (also by the short form), service_healthy, service_completed_successfully."""
    node = dependency.node.get("condition")
    value = "service_started" if node is None or node.value is None else str(node.known())
    return Known(value, node if node is not None and not _is_implied(node) else dependency.node)


@fact("dependency.is_implied", on="dependency")
def is_implied(dependency: Subject) -> Fact[bool]:
    """True where no depends_on names it: it follows from links, volumes_from or a shared namespace."""
    return Known(_is_implied(dependency.node), dependency.node)


@fact("dependency.is_explicit", on="dependency")
def is_explicit(dependency: Subject) -> Fact[bool]:
    """True where the files write the condition; False for the short form, which decides nothing."""
    node = dependency.node.get("condition")
    return Known(node is not None and not _is_implied(node), _condition(dependency))


def _is_implied(node: Node) -> bool:
    return any(hop.kind == "implied" for hop in node.hops)


@fact("dependency.target", on="dependency")
def target(dependency: Subject) -> Fact[str | None]:
    """The name of the service that is waited for; None where the deployment has no such service."""
    name = dependency.name.rpartition("/")[2]
    return Known(name if dependency.deployment.service(name) else None, dependency.node)


@fact("dependency.target_has_health_check", on="dependency")
def target_has_health_check(dependency: Subject) -> Fact[bool]:
    """True where the files, or the Dockerfile of the service that is waited for, give it a test."""
    service = target_of(dependency)
    known = evaluate(service, "health.status")
    has = value_of(service, "health.status") in ("probe", "image")
    place = known.because[0].place if isinstance(known, Known) else service.node
    return Known(has, Evidence(place, f"the health check of {service.name}"))


@fact("dependency.target_can_be_healthy", on="dependency")
def target_can_be_healthy(dependency: Subject) -> Fact[bool]:
    """Whether the service that is waited for has any health check; unknown where only its image knows."""
    service = target_of(dependency)
    health = service.node.get("healthcheck")
    note = f"{service.name} has no health check" if health is None else "it is switched off here"
    return Known(may_be_healthy(service), Evidence(_condition(dependency)), Evidence(health or service.node, note))


@fact("dependency.target_can_complete", on="dependency")
def target_can_complete(dependency: Subject) -> Fact[bool]:
    """False where the service that is waited for restarts even after success, so that it never stays completed."""
    service = target_of(dependency)
    always = value_of(service, "service.restarts_always")
    written = service.node.get("restart") or service.node.get("deploy", "restart_policy") or service.node
    return Known(not always, Evidence(_condition(dependency)), Evidence(written, f"{service.name} restarts always"))
