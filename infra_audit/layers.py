"""The layer of a service, by what runs in it: how totals and pictures group services."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.products import DATASTORES
from infra_audit.facts.registry import Known, evaluate
from infra_audit.plan import PlanBinding

__all__ = ["LAYERS", "layer_of"]

LAYERS = ("edge", "application", "processing", "data", "monitoring")
"""In the order in which a request meets them."""

_EDGE = frozenset(("nginx", "nginx-proxy", "openresty", "apache", "traefik", "haproxy", "caddy", "envoy"))
_MONITORING = frozenset(
    (
        *("prometheus", "victoriametrics", "vmagent", "vmalert", "alertmanager", "pushgateway", "grafana"),
        *("loki", "promtail", "tempo", "jaeger", "cadvisor", "otel-collector", "kibana", "logstash"),
    )
)


def layer_of(service: Subject) -> str:
    """The stages of a plan's pipeline are "processing"; what has no product of another layer is "application"."""
    plan: PlanBinding | None = service.deployment.plan
    role = plan.role(service) if plan else None
    if role is not None and role.stage:
        return "processing"
    fact = evaluate(service, "service.product")
    product = str(fact.value) if isinstance(fact, Known) else ""
    if product in DATASTORES or product == "pgbouncer":
        return "data"
    if product in _MONITORING or product.endswith("-exporter"):
        return "monitoring"
    return "edge" if product in _EDGE else "application"
