"""Whether a deployment is monitored. Asked of every deployment, so the readers of Prometheus are imported only where
one may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.products import FAMILIES, is_exporter
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact
from infra_audit.facts.services import may_run

if TYPE_CHECKING:
    from infra_audit.facts.prometheus import Server

__all__ = ["scraping"]


def scraping(deployment: Deployment) -> list[Server]:
    """The servers of a deployment that scrape."""
    if not any(may_run(service, FAMILIES["prometheus"]) for service in deployment.subjects("service")):
        return []
    from infra_audit.facts.prometheus import servers

    return [server for server in servers(deployment) if server.product != "vmalert"]


@fact("monitoring.has_prometheus", on="deployment")
def has_prometheus(deployment: Subject) -> Fact[bool]:
    """True where a Prometheus, or a program like it, is in the deployment."""
    found = scraping(deployment.deployment)
    return Known(bool(found), *(Evidence(server.service.node) for server in found[:1]), deployment.node)


@fact("monitoring.is_exporter", on="service")
def is_exporter_here(service: Subject) -> Fact[bool]:
    """True for a service whose image is an exporter, where a Prometheus is in the deployment."""
    product = evaluate(service, "service.product")
    known = product.value if isinstance(product, Known) else None
    return Known(is_exporter(known) and bool(scraping(service.deployment)), service.node)
