"""Facts about a service's health check: whether there is one, its timing, and what the plan asks."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.dockerfile import built_image
from infra_audit.facts.image_tools import brings_no_health_check
from infra_audit.facts.probe import probe_of
from infra_audit.facts.products import parse_image
from infra_audit.facts.registry import Evidence, Fact, Known, fact, value_of
from infra_audit.facts.services import image_of
from infra_audit.plan import PlanBinding
from infra_audit.tree import Node, is_known
from infra_audit.units import parse_duration

__all__ = ["may_be_healthy"]

SECOND = 10**9
_DEFAULT_INTERVAL = 30 * SECOND
_DEFAULT_TIMEOUT = 30 * SECOND
_DEFAULT_RETRIES = 3
"""docs.docker.com/reference/dockerfile/#healthcheck"""


@fact("health.status", on="service")
def status(service: Subject) -> Fact[str]:
    """How the service comes to a health check.

    probe: the files give the test; disabled: they switch it off; image: the service's own Dockerfile
    has a HEALTHCHECK; inherited: the files only time the image's test; none: they say nothing.
    """
    node = service.node.get("healthcheck")
    if node is None or node.value is None:
        instruction = _own_instruction(service)
        if instruction is not None:
            return Known("image", Evidence(service.node), instruction)
        return Known("none", service.node)
    disable = node.get("disable")
    if disable is not None and disable.known() is True:
        return Known("disabled", disable)
    probe = probe_of(service)
    if probe is None:
        return Known("inherited", node)
    return Known("disabled" if probe.form == "off" else "probe", probe.node)


def _own_instruction(service: Subject) -> Evidence | None:
    """The HEALTHCHECK of the service's own Dockerfile, where that can be read and has one."""
    try:
        built = built_image(service)
    except InfraAuditError:
        return None
    checks = built.all("HEALTHCHECK") if built else []
    if not checks or checks[-1].text.upper().startswith("NONE"):
        return None
    return Evidence(checks[-1].span, "the image's own health check")


def may_be_healthy(service: Subject) -> bool:
    """Whether containers of the service have any health check; raises Undecidable where only the image knows."""
    state = value_of(service, "health.status")
    if state in ("probe", "image"):
        return True
    if state == "disabled":
        return False
    image = image_of(service)
    built = built_image(service)
    if built is not None:
        image = parse_image(built.base)
    if image is not None and is_known(image.repository) and brings_no_health_check(image):
        return False
    name = "its image" if image is None else f"the image {image.path}"
    raise Undecidable(f"{name} may bring a health check of its own")


# -- timing --------------------------------------------------------------------------------------


def _written(service: Subject, key: str) -> Node | None:
    node = service.node.get("healthcheck", key)
    return None if node is None or node.value is None else node


def _duration(service: Subject, key: str, default: int) -> Fact[int | None]:
    """A duration of the health check in nanoseconds; None for a service whose files give no health check."""
    health = service.node.get("healthcheck")
    if health is None or health.value is None:
        return Known(None, service.node)
    node = _written(service, key)
    if node is None:
        return Known(default, health)
    value = parse_duration(str(node.known()))
    if value is None:
        raise Undecidable(f"{node.known()!r} is no duration")
    return Known(value, node)


@fact("health.interval", on="service", unit="duration")
def interval(service: Subject) -> Fact[int | None]:
    """Time between two probes, 30s by default; None without a health check in the files."""
    return _duration(service, "interval", _DEFAULT_INTERVAL)


@fact("health.timeout", on="service", unit="duration")
def timeout(service: Subject) -> Fact[int | None]:
    """How long one probe may take, 30s by default; None without a health check in the files."""
    return _duration(service, "timeout", _DEFAULT_TIMEOUT)


@fact("health.timeout_is_set", on="service")
def timeout_is_set(service: Subject) -> Fact[bool]:
    """True where the files set the probe's timeout."""
    node = _written(service, "timeout")
    return Known(node is not None, node or service.node)


@fact("health.start_period", on="service", unit="duration")
def start_period(service: Subject) -> Fact[int | None]:
    """How long failed probes do not count after the start, 0s by default; None without a health check in the files."""
    return _duration(service, "start_period", 0)


@fact("health.retries", on="service")
def retries(service: Subject) -> Fact[int | None]:
    """Failures in a row that make a container unhealthy, 3 by default; None without a health check in the files."""
    health = service.node.get("healthcheck")
    if health is None or health.value is None:
        return Known(None, service.node)
    node = _written(service, "retries")
    if node is None:
        return Known(_DEFAULT_RETRIES, health)
    try:
        return Known(int(node.known()), node)
    except (TypeError, ValueError):
        raise Undecidable(f"{node.known()!r} is no whole number") from None


# -- the plan ------------------------------------------------------------------------------------


@fact("health.documented", on="service")
def documented(service: Subject) -> Fact[bool]:
    """True where the adopted plan asks for a health check of the service's role."""
    plan: PlanBinding | None = service.deployment.plan
    role = plan.role(service) if plan is not None and plan.adopted else None
    return Known(role is not None and bool(role.health), service.node)
