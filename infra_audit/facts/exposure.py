"""Facts about what the host's ports open to others: datastores, and the pages of administrators."""

from __future__ import annotations

import ipaddress

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.host_ports import is_on_host_network
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact, value_of
from infra_audit.facts.services import command_words, environment
from infra_audit.tree import HOLE

__all__: list[str] = []


@fact("port.reach", on="port")
def reach(port: Subject) -> Fact[str]:
    """Who reaches a published port: "loopback" (the host itself), "one address", or "every interface"."""
    node = port.node.get("host_ip")
    if node is None or node.value in (None, ""):
        return Known("every interface", port.node.get("published") or port.node)
    text = str(node.known()).strip("[]")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Undecidable(f"{text!r} is no address") from None
    if address.is_loopback:
        return Known("loopback", node)
    return Known("every interface" if address.is_unspecified else "one address", node)


@fact("port.is_open", on="port")
def is_open(port: Subject) -> Fact[bool]:
    """True for a port that the host publishes to others than itself; false where it publishes none."""
    if port.parent is not None and is_on_host_network(port.parent):
        return Known(False, port.node)  # Compose drops the ports of such a service
    return Known(value_of(port, "port.reach") != "loopback", port.node.get("published") or port.node)


_STORES_FOR_CLIENTS = frozenset(("minio", "nats"))
"""Products with an authenticated protocol that clients from outside are meant to use."""


@fact("port.opens_datastore", on="port")
def opens_datastore(port: Subject) -> Fact[str | None]:
    """The datastore or broker whose own protocol the port opens; None for other products and for their pages."""
    product = value_of(port, "service.product")
    if product is None or product in _STORES_FOR_CLIENTS or not value_of(port, "service.is_datastore"):
        return Known(None, port.node)
    target = _target(port)
    return Known(None if target in _PAGES.get(product, ()) else product, port.node.get("published") or port.node)


_PAGES: dict[str, tuple[int, ...]] = {
    "pgadmin": (80, 443),
    "adminer": (8080,),
    "phpmyadmin": (80, 443),
    "mongo-express": (8081,),
    "redis-commander": (8081,),
    "redisinsight": (5540, 8001),
    "redis": (8001,),
    "portainer": (8000, 9000, 9443),
    "rabbitmq": (15671, 15672),
    "minio": (9001,),
    "neo4j": (7474, 7473),
    "couchdb": (),
    "influxdb": (),
    "prometheus": (9090,),
    "victoriametrics": (8428,),
    "alertmanager": (9093,),
    "cadvisor": (8080,),
    "consul": (8500,),
    "jaeger": (16686,),
    "mailhog": (8025,),
    "mailpit": (8025,),
    "kibana": (5601,),
    "traefik": (8080,),
}
"""Container ports of pages that show or change everything: consoles, and monitoring without a login."""


@fact("port.opens_page", on="port")
def opens_page(port: Subject) -> Fact[str | None]:
    """The product whose administrators' page the port opens; None for other ports."""
    product = value_of(port, "service.product")
    where = port.node.get("published") or port.node
    if product is None or _target(port) not in _PAGES.get(product, ()) or port.parent is None:
        return Known(None, where)
    if product == "traefik" and not _serves_dashboard(port.parent):
        return Known(None, where)
    return Known(product, where)


def _serves_dashboard(service: Subject) -> bool:
    """True where Traefik serves its dashboard without a login on a port of its own."""
    node = environment(service, "TRAEFIK_API_INSECURE")
    if node is not None and str(node.value).lower() == "true":
        return True
    return any(word.text.lower() in ("--api.insecure", "--api.insecure=true") for word in command_words(service))


def _target(port: Subject) -> int:
    node = port.node.get("target")
    text = "" if node is None or node.value is None else str(node.value)
    if HOLE in text and node is not None:
        raise Undecidable(node.why_unknown())
    return int(text) if text.isdigit() else 0


@fact("port.is_for_public", on="port")
def is_for_public(port: Subject) -> Fact[bool]:
    """True for a port that another finding about openness would cover, or that a proxy exists to open."""
    product = evaluate(port, "service.product")
    edge = isinstance(product, Known) and product.value in _EDGE
    return Known(edge and _target(port) in (80, 443, 8080, 8443), Evidence(port.node))


_EDGE = frozenset(("nginx", "nginx-proxy", "openresty", "apache", "traefik", "haproxy", "caddy", "envoy"))
