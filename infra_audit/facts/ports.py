"""Facts about ports: on which a service listens as far as its files tell, and which it publishes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.products import DEFAULT_PORTS
from infra_audit.facts.proxies import upstreams_of
from infra_audit.facts.redis_start import started
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, evaluate, fact, value_of
from infra_audit.facts.services import command_words, environment, environment_items
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["browser_ports", "main_ports", "own_ports"]


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

_OPTION = re.compile(
    r"--?(?:web\.listen-address|port|p|http-port|listen|listen-address|http\.port|bind_ip|l)(?:=(?P<value>.*))?\Z"
)
_SETTING = re.compile(r"port\s*=\s*(?P<port>[0-9]+)\Z")
_PORT_AT_END = re.compile(r"(?:\A|:)(?P<port>[0-9]{1,5})\Z")
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


def _redis(service: Subject) -> tuple[set[int], list[Node | Span]]:
    start = started(service)
    if start.server is None:
        raise Undecidable(start.why)
    if not start.server:
        raise Undecidable("it starts no server of its own")
    ports: set[int] = set()
    places: list[Node | Span] = []
    for name, default in (("port", "6379"), ("tls-port", "0")):
        found = start.last(name)
        if found is not None and found.why:
            raise Undecidable(found.why)
        text = found.words[0] if found is not None and found.words else default
        if text.isdigit() and text != "0":
            ports.add(int(text))
            places += [found.place] if found is not None else []
    return ports, places


def _proxy(service: Subject) -> tuple[set[int], list[Node | Span]] | None:
    """The listeners of a mounted nginx or HAProxy configuration; None where nothing is mounted."""
    read = upstreams_of(service)
    if not read.complete:
        if read.gaps:
            raise Undecidable(read.gaps[0])
        return None
    return {listen.port for listen in read.listens}, [listen.place for listen in read.listens]


def _configured(service: Subject, product: str) -> tuple[set[int], list[Node | Span]]:
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
    product = value_of(service, "service.product")
    nothing: Fact[list[int] | None] = Known(None, service.node)
    if product in ("redis", "valkey"):
        start = started(service)
        if start.server is False:
            return nothing
        ports, places = _redis(service)
    elif product in ("nginx", "openresty", "haproxy"):
        proxy = _proxy(service)
        if proxy is None and (product != "nginx" or _is_reconfigured(service)):
            return nothing
        ports, places = proxy or ({80}, [service.node.get("image") or service.node])
    elif product in _ENVIRONMENT and product in DEFAULT_PORTS and service.node.get("entrypoint") is None:
        ports, places = _configured(service, product)
    else:
        return nothing
    return Known(sorted(ports), *places)


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


def own_ports(service: Subject) -> set[int]:
    """Every port that a service may listen on: known, published, exposed, or named by its settings as its own."""
    ports = set(_declared(service))
    known = evaluate(service, "service.configured_ports")
    if isinstance(known, Known) and known.value:
        ports.update(known.value)
    product = evaluate(service, "service.product")
    if isinstance(product, Known):
        ports.update(DEFAULT_PORTS.get(product.value or "", ()))
    for name, node in environment_items(service):
        text = str(node.value)
        if re.search(r"(?:\A|_)(?:PORT|LISTEN\w*|BIND\w*|ADDR|ADDRESS|LISTENERS)\Z", name):
            ports.update(int(number) for number in re.findall(r"(?:\A|:)([0-9]{2,5})(?=\Z|,)", text))
    test = service.node.get("healthcheck", "test")
    for entry in test.entries() if test else ():
        ports.update(int(number) for number in re.findall(r":([0-9]{2,5})\b", str(entry.value)))
    for other in service.deployment.subjects("service"):
        mode = other.node.get("network_mode")
        if mode is not None and mode.value == f"service:{service.name}":
            ports |= own_ports(other)
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
