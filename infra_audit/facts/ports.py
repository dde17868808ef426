"""Facts about ports: on which a service listens as far as its files tell, and which it publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.products import DEFAULT_PORTS
from infra_audit.facts.proxies import upstreams_of
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, evaluate, fact
from infra_audit.facts.services import command_words, environment, environment_items, image_of
from infra_audit.facts.topology import topology_of
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["browser_ports", "local_ports", "main_ports"]


_ENVIRONMENT = {
    "postgres": ("PGPORT", "POSTGRESQL_PORT_NUMBER"),
    "mysql": ("MYSQL_TCP_PORT", "MYSQL_PORT_NUMBER"),
    "mariadb": ("MYSQL_TCP_PORT", "MARIADB_PORT_NUMBER"),
    "grafana": ("GF_SERVER_HTTP_PORT",),
    "pgadmin": ("PGADMIN_LISTEN_PORT",),
    "mongo-express": ("PORT",),
    "cadvisor": (),
    "adminer": (),
    "phpmyadmin": ("APACHE_PORT",),
    "memcached": (),
    "mailhog": (),
    "alertmanager": (),
    "prometheus": (),
    "pushgateway": (),
    "node-exporter": (),
    "postgres-exporter": (),
    "redis-exporter": ("REDIS_EXPORTER_WEB_LISTEN_ADDRESS",),
    "mongodb": (),
    "zookeeper": ("ZOOKEEPER_CLIENT_PORT", "ZOO_PORT_NUMBER"),
}
"""Products whose ports only an option or one of these variables changes, and no file that people mount."""

_OPTION = Pattern(
    r"--?(?:web\.listen-address|port|p|http-port|listen|listen-address|http\.port|bind_ip|l)(?:=(?P<value>.*))?\Z",
    hints=("-",),
)
_SETTING = Pattern(r"port\s*=\s*(?P<port>[0-9]+)\Z", hints=("=",))
_PORT_AT_END = Pattern(r"(?:\A|:)(?P<port>[0-9]{1,5})\Z")
_MAIN = {
    "postgres": (5432,),
    "redis": (6379,),
    "valkey": (6379,),
    "rabbitmq": (5672, 15672),
    "zookeeper": (2181,),
    "keycloak": (8080,),
    "couchdb": (5984,),
    "clickhouse": (8123, 9000),
    "traefik": (),
    "caddy": (),
}
"""The port by which others know a product, where the table of all its ports says more."""


_PUBLISHERS = frozenset(
    (
        *("library", "docker/library", "bitnami", "bitnamilegacy", "nginx", "nginxinc", "openresty", "haproxytech"),
        *("prom", "prometheus", "prometheuscommunity", "grafana", "oliver006", "cadvisor", "google-containers"),
        *("google", "timescale", "pgvector", "postgis", "percona", "dpage", "mailhog", "mongodb"),
    )
)
"""Who publishes the images whose ports are known; anybody else's postgres may listen anywhere."""

_Ports: TypeAlias = tuple[set[int], list[Node | Span]]


def _redis(service: Subject) -> _Ports | None:
    """The ports of a Redis or Valkey server; None where the service starts none, or its image may say another."""
    from infra_audit.facts.redis_start import started  # few deployments need the half of Redis that it brings

    start = started(service)
    if start.server is None:
        raise Undecidable(start.why)
    if not start.server:
        return None
    ports: set[int] = set()
    places: list[Node | Span] = []
    for name, default in (("port", "6379"), ("tls-port", "0")):
        found = start.last(name)
        if found is not None and start.flavour is not None and found.why and found.why == start.flavour.why_unknown:
            return None
        if found is not None and found.why:
            raise Undecidable(found.why)
        text = found.words[0] if found is not None and found.words else default
        if text.isdigit() and text != "0":
            ports.add(int(text))
            places += [found.place] if found is not None else []
    return ports, places


def _proxy(service: Subject) -> _Ports | None:
    """The listeners of a mounted nginx or HAProxy configuration; None where nothing is mounted."""
    read = upstreams_of(service)
    if not read.complete:
        if read.gaps:
            raise Undecidable(read.gaps[0])
        return None
    return {listen.port for listen in read.listens}, [listen.place for listen in read.listens]


def _configured(service: Subject, product: str) -> _Ports:
    """Default ports, or the one that an option or variable names."""
    words = command_words(service)
    for index, word in enumerate(words):
        option = _OPTION.match(word.text)
        setting = _SETTING.search(word.text)
        value = word.text
        if option is not None:
            value = (
                option["value"]
                if option["value"] is not None
                else words[index + 1].text
                if index + 1 < len(words)
                else ""
            )
        elif setting is not None:
            value = setting["port"]
        else:
            continue
        if HOLE in value or "$" in value:
            raise Undecidable("its port rests on a variable that is not set")
        port = _PORT_AT_END.search(value)
        if port is not None:
            return {int(port["port"])}, [word.place]
    for name in _ENVIRONMENT.get(product, ()):
        node = environment(service, name)
        if node is not None and node.value is not None:
            port = _PORT_AT_END.search(str(node.known()))
            if port is not None:
                return {int(port["port"])}, [node]
    return set(DEFAULT_PORTS[product]), [service.node.get("image") or service.node]


@fact("service.configured_ports", on="service")
def configured_ports(service: Subject) -> Fact[list[int] | None]:
    """The TCP ports that a service listens on, where its files or its well-known image tell all of them; else None."""
    known = evaluate(service, "service.product")
    product = known.value if isinstance(known, Known) else None
    found: _Ports | None = None
    if product in ("redis", "valkey"):
        found = _redis(service)
    elif product in ("nginx", "openresty", "haproxy") and _is_well_known(service):
        found = _proxy(service)
        if found is None and product == "nginx" and not _is_reconfigured(service):
            found = {80}, [service.node.get("image") or service.node]
    elif product in _ENVIRONMENT and product in DEFAULT_PORTS and _is_well_known(service):
        found = _configured(service, product)
    if found is None:
        return Known(None, service.node)
    ports, places = found
    return Known(sorted(ports), *places)


def _is_well_known(service: Subject) -> bool:
    """True for an image of a publisher whose images are known, started as it comes and not built over."""
    image = image_of(service)
    owner = image.repository.lower().rpartition("/")[0] if image else ""
    as_it_comes = service.node.get("entrypoint") is None and service.node.get("build") is None
    return image is not None and (not owner or owner in _PUBLISHERS) and as_it_comes


def _is_reconfigured(service: Subject) -> bool:
    """True where an nginx may have another configuration than its image's: mounts, a command, a build."""
    if any(
        service.node.get(key) is not None and service.node.get(key, 0) is not None for key in ("command", "entrypoint")
    ):
        return True
    image = service.node.get("image")
    if (
        service.node.get("build") is not None
        or image is None
        or not re.match(r"(?:docker\.io/)?(?:library/)?nginx(?:[:@]|\Z)", str(image.value))
    ):
        return True
    targets = [mount.target for mount in ContainerFiles(service).mounts]
    return any(target.startswith("/etc") or "nginx.conf" in target for target in targets) or bool(
        service.node.get("configs")
    )


@fact("port.target", on="port")
def target(port: Subject) -> Fact[int]:
    """The port inside the container."""
    node = port.node.get("target") or port.node
    return Known(int(node.known()), node)


@fact("port.published", on="port")
def published(port: Subject) -> Fact[str | None]:
    """The port (or range) on the host; None where the engine chooses one."""
    node = port.node.get("published")
    if node is None or node.value in (None, ""):
        return Known(None, port.node)
    return Known(str(node.known()), node)


@fact("port.listening", on="port")
def listening(port: Subject) -> Fact[bool | None]:
    """Whether the service listens on the container port; None where its files do not say, and for UDP."""
    protocol = port.node.get("protocol")
    if port.parent is None or (protocol is not None and protocol.value == "udp"):
        return Known(None, port.node)
    node = port.node.get("target") or port.node
    ports = evaluate(port.parent, "service.configured_ports")
    if isinstance(ports, Unknown):
        return ports
    if ports.value is None:
        return Known(None, node)
    listens = ", ".join(map(str, ports.value)) or "no port"
    places = [Evidence(part.place, f"it listens on {listens}") for part in ports.because[:1]]
    return Known(int(node.known()) in ports.value, node, *places)


# -- for the facts about who reaches whom ---------------------------------------------------------

_OWN_PORT = Pattern(r"(?:\A|_)(?:PORT|LISTEN\w*|BIND\w*|ADDR|ADDRESS|LISTENERS)\Z")
_HOST_ENDINGS = ("HOST", "HOSTNAME", "SERVER", "ADDRESS", "ADDR")
"""``DB_PORT`` beside ``DB_HOST`` is the port of that host, not the service's own."""


def local_ports(service: Subject) -> set[int]:
    """Every port that may answer at a service's localhost: its own, and those of services in its network namespace."""
    topology = topology_of(service.deployment)
    neighbours = (one for one in service.deployment.subjects("service") if topology.same_namespace(service, one))
    return _own_ports(service).union(*map(_own_ports, neighbours))


def _own_ports(service: Subject) -> set[int]:
    """Every port that a service may listen on: known, published, exposed, or named by its settings as its own."""
    ports = set(_declared(service))
    known = evaluate(service, "service.configured_ports")
    if isinstance(known, Known) and known.value:
        ports.update(known.value)
    product = evaluate(service, "service.product")
    if isinstance(product, Known):
        ports.update(DEFAULT_PORTS.get(product.value or "", ()))
    variables = dict(environment_items(service))
    for name, node in variables.items():
        if _OWN_PORT.search(name) and not any(name.removesuffix("PORT") + host in variables for host in _HOST_ENDINGS):
            ports.update(int(number) for number in re.findall(r"(?:\A|:)([0-9]{2,5})(?=\Z|,)", str(node.value)))
    test = service.node.get("healthcheck", "test")
    for entry in test.entries() if test else ():
        ports.update(int(number) for number in re.findall(r":([0-9]{2,5})\b", str(entry.value)))
    return ports


def main_ports(service: Subject) -> set[int]:
    """The ports by which others know a service: what its files tell, else its product's own."""
    known = evaluate(service, "service.configured_ports")
    if isinstance(known, Known) and known.value is not None and len(known.value) == 1:
        return set(known.value)
    product = evaluate(service, "service.product")
    name = product.value if isinstance(product, Known) else None
    ports = _MAIN.get(name or "", DEFAULT_PORTS.get(name or "", ())[:1])
    return set(ports) | set(_declared(service))


def _declared(service: Subject) -> Iterator[int]:
    """Container ports of ``ports`` and ``expose``."""
    for key in ("ports", "expose"):
        node = service.node.get(key)
        for entry in node.entries() if node else ():
            value = entry.get("target") if entry.is_mapping else entry
            text = str(value.value).partition("/")[0] if value is not None else ""
            if text.isdigit():
                yield int(text)


def browser_ports(deployment: Deployment) -> set[int]:
    """The ports that the deployment publishes on its host."""
    ports: set[int] = set()
    for port in deployment.subjects("port"):
        node = port.node.get("published")
        text = str(node.value) if node is not None else ""
        if text.isdigit():
            ports.add(int(text))
    return ports
