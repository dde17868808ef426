"""Facts about scrape targets: who they are, whether they listen, and whether they can be reached."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.prometheus import product_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, evaluate, fact
from infra_audit.facts.scrapes import LOCALHOST, Scrape, target_of
from infra_audit.facts.services import environment_items
from infra_audit.facts.topology import extra_hosts, topology_of
from infra_audit.tree import HOLE

__all__ = ["HOST_NAMES", "exports_nothing"]

# -- targets ------------------------------------------------------------------------------------

HOST_NAMES = frozenset(("host.docker.internal", "gateway.docker.internal", "docker.for.mac.localhost"))


@fact("target.host_known", on="scrape_target")
def host_known(subject: Subject) -> Fact[bool | None]:
    """True where the target is a service here, False where nobody has its name; None for other machines."""
    scrape = target_of(subject)
    return Known(_is_known(scrape), scrape.target.place)


def _is_known(scrape: Scrape) -> bool | None:
    """See ``target.host_known``; raises Undecidable where the name may be another project's."""
    host = scrape.target.address.host.lower().removeprefix("tasks.")
    client = scrape.server.service
    if HOLE in host or "$" in host or "{" in host:
        raise Undecidable(f"{host} rests on a variable")
    if scrape.service is not None:
        return True
    if "." in host or host in HOST_NAMES or host in extra_hosts(client) or host.startswith("[") or host.isdigit():
        return None
    topology = topology_of(client.deployment)
    if topology.attachment(client).kind != "networks":
        return None
    external = topology.external(client)
    if external:
        raise Undecidable(f"{host} may be on the external network {', '.join(external)}")
    return False


def exports_nothing(scrape: Scrape) -> bool:
    """True for a target that surely has no metrics: nobody's name, or a datastore's own protocol."""
    try:
        return _is_known(scrape) is False or bool(_other_protocol(scrape))
    except Undecidable:
        return False


@fact("target.host", on="scrape_target")
def target_host(subject: Subject) -> Fact[str]:
    """The host that is asked."""
    scrape = target_of(subject)
    return Known(scrape.target.address.host, scrape.target.place)


@fact("target.port", on="scrape_target")
def target_port(subject: Subject) -> Fact[int]:
    """The port that is asked."""
    scrape = target_of(subject)
    return Known(scrape.target.address.port, scrape.target.place)


@fact("target.listening", on="scrape_target")
def target_listening(subject: Subject) -> Fact[list[int] | None]:
    """The ports that the target's service listens on; None where the files do not tell all of them."""
    scrape = target_of(subject)
    if scrape.service is None:
        return Known(None, scrape.target.place)
    ports = evaluate(scrape.service, "service.configured_ports")
    if isinstance(ports, Unknown):
        return ports
    listens = ", ".join(map(str, ports.value or ()))
    places = [Evidence(one.place, f"{scrape.service.name} listens on {listens}") for one in ports.because[:1]]
    return Known(ports.value, scrape.target.place, *places)


@fact("target.wrong_port", on="scrape_target")
def wrong_port(subject: Subject) -> Fact[bool]:
    """True where the target's service does not listen on the port that is asked."""
    scrape = target_of(subject)
    listening = target_listening(subject)
    if isinstance(listening, Unknown):
        return listening
    port = scrape.target.address.port
    datastore = not_an_exporter(subject)
    if isinstance(datastore, Known) and datastore.value:
        return Known(False, scrape.target.place)
    if listening.value is None or port in listening.value:
        return Known(False, scrape.target.place)
    return Known(True, *listening.because)


@fact("target.unreachable", on="scrape_target")
def unreachable(subject: Subject) -> Fact[list[Item]]:
    """The target's service, where it shares no network with the one that scrapes."""
    scrape = target_of(subject)
    client, service = scrape.server.service, scrape.service
    if service is None or service is client or scrape.target.address.host.lower() in LOCALHOST:
        return Known([], scrape.target.place)
    topology = topology_of(client.deployment)
    kinds = {topology.attachment(one).kind for one in (client, service)}
    if kinds != {"networks"} or topology.resolves(client, scrape.target.address.host):
        return Known([], scrape.target.place)
    external = topology.external(client)
    if external:
        why = f"{scrape.target.address.host} may be another on the external network {', '.join(external)}"
        return Known([Item(why, (), unknown=True)])
    mine, theirs = (", ".join(topology.attachment(one).networks) or "no network" for one in (client, service))
    places = (
        Evidence(scrape.target.place),
        Evidence(client.node.get("networks") or client.node, f"{client.name} is on {mine}"),
        Evidence(service.node.get("networks") or service.node, f"{service.name} is on {theirs}"),
    )
    return Known([Item(f"{client.name} is on {mine} and {service.name} on {theirs}", places)])


_PROTOCOL_PORTS = {
    "postgres": ((5432,), "postgres-exporter:9187"),
    "redis": ((6379,), "redis-exporter:9121"),
    "valkey": ((6379,), "redis-exporter:9121"),
    "keydb": ((6379,), "redis-exporter:9121"),
    "mysql": ((3306, 33060), "mysqld-exporter:9104"),
    "mariadb": ((3306,), "mysqld-exporter:9104"),
    "mongodb": ((27017,), "mongodb-exporter:9216"),
    "rabbitmq": ((5672, 5671, 4369, 25672), "the port 15692 of its plugin rabbitmq_prometheus"),
    "memcached": ((11211,), "memcached-exporter:9150"),
    "kafka": ((9092,), "kafka-exporter:9308"),
    "elasticsearch": ((9200, 9300), "elasticsearch-exporter:9114"),
    "zookeeper": ((2181,), "its metrics provider on 7000"),
    "cassandra": ((9042,), "cassandra-exporter"),
    "influxdb": ((8088,), "its port 8086"),
}
"""Product → ports on which it speaks a protocol of its own, and where its metrics are."""


@fact("target.not_an_exporter", on="scrape_target")
def not_an_exporter(subject: Subject) -> Fact[str]:
    """Where the metrics of a datastore are, if its own protocol's port is asked for them; "" for any other target."""
    scrape = target_of(subject)
    if scrape.service is None:
        return Known("", scrape.target.place)
    image = scrape.service.node.get("image") or scrape.service.node
    runs = Evidence(image, f"{scrape.service.name} is {product_of(scrape.service)}")
    return Known(_other_protocol(scrape), scrape.target.place, runs)


def _other_protocol(scrape: Scrape) -> str:
    if scrape.service is None or scrape.job.path.startswith("/probe"):
        return ""
    product = product_of(scrape.service)
    ports, instead = _PROTOCOL_PORTS.get(product or "", ((), ""))
    if product == "elasticsearch" and scrape.job.path.startswith("/_prometheus"):
        return ""
    return instead if scrape.target.address.port in ports else ""


_SWITCHES = (
    "METRICS_ENABLED",
    "ENABLE_METRICS",
    "PROMETHEUS_ENABLED",
    "ENABLE_PROMETHEUS",
    "METRICS",
    "PROMETHEUS_METRICS",
)
_SWITCHES_OFF = ("METRICS_DISABLED", "DISABLE_METRICS", "DISABLE_PROMETHEUS")
_OFF = frozenset(("false", "0", "no", "off", "disabled"))
_ON = frozenset(("true", "1", "yes", "on"))


@fact("target.metrics_switch", on="scrape_target")
def metrics_switch(subject: Subject) -> Fact[str | None]:
    """The variable that switches the metrics of a scraped service off; None where none does."""
    scrape = target_of(subject)
    for name, node in environment_items(scrape.service) if scrape.service is not None else ():
        value = str(node.value).lower()
        ends = name.upper().endswith
        if (ends(_SWITCHES) and value in _OFF) or (ends(_SWITCHES_OFF) and value in _ON):
            return Known(f"{name}={node.value}", node, Evidence(scrape.target.place, "it is scraped here"))
    return Known(None, scrape.target.place)
