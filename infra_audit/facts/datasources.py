"""Facts about the datasources that Grafana is provisioned with."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.grafana import Grafana, datasource_of, grafana_for, grafana_of, is_grafana
from infra_audit.facts.grafana_references import host_of
from infra_audit.facts.ports import main_ports
from infra_audit.facts.prometheus import server_of
from infra_audit.facts.reachability import is_nobody, no_shared_network
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact, value_of
from infra_audit.facts.services import environment
from infra_audit.facts.topology import extra_hosts, link_names, topology_of
from infra_audit.monitoring.durations import seconds, written
from infra_audit.monitoring.grafana.dashboards import text_of
from infra_audit.monitoring.grafana.panel_types import CORE_DATASOURCES
from infra_audit.monitoring.grafana.provisioning import expand
from infra_audit.monitoring.prometheus_config import PrometheusConfig
from infra_audit.tree import HOLE, Node, holes_as_text

__all__: list[str] = []

_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


def _service(subject: Subject) -> Subject:
    """The Grafana service of a datasource."""
    assert subject.parent is not None
    return subject.parent


# -- where it leads -----------------------------------------------------------------------------


@fact("datasource.type", on="datasource")
def datasource_type(subject: Subject) -> Fact[str | None]:
    """The plugin: prometheus, postgres, …"""
    datasource = datasource_of(subject)
    if datasource.type is None:
        return Known(None, datasource.place)
    return Known(str(datasource.type.known()), datasource.type)


@fact("datasource.unknown_host", on="datasource")
def unknown_host(subject: Subject) -> Fact[str | None]:
    """Why nobody answers to the host of the datasource's URL; None where somebody does, or may.

    A browser asks a datasource with ``access: direct``, so its host is none of the deployment's names.
    """
    datasource, service = datasource_of(subject), _service(subject)
    if datasource.url is None or datasource.access in ("direct", "browser"):
        return Known(None, datasource.place)
    datasource.url.known()
    topology = topology_of(service.deployment)
    host, port = host_of(datasource)
    attachment = topology.attachment(service)
    if not host or attachment.kind != "networks":
        return Known(None, datasource.url)
    if host.lower() in _LOCAL:
        return _localhost(service, datasource.url, port)
    if not is_nobody(topology, service, host):
        return Known(None, datasource.url)
    external = topology.external(service)
    if external:
        return Unknown(f"{host} may be on the external network {', '.join(external)}")
    return Known(f"no service is called {host}", datasource.url)


def _localhost(service: Subject, url: Node, port: int | None) -> Fact[str | None]:
    """localhost is Grafana's own container, unless others share its network namespace."""
    topology = topology_of(service.deployment)
    if port is None or port in main_ports(service):
        return Known(None, url)
    others = [one for one in service.deployment.subjects("service") if one is not service and port in main_ports(one)]
    if any(topology.same_namespace(service, one) for one in others):
        return Known(None, url)
    hint = f"; {others[0].name} listens on {port}" if others else ""
    return Known(f"localhost is Grafana's own container{hint}", url, *(Evidence(one.node) for one in others))


@fact("datasource.unreachable", on="datasource")
def unreachable(subject: Subject) -> Fact[list[Item]]:
    """The service that the URL names and that shares no network with Grafana."""
    datasource, service = datasource_of(subject), _service(subject)
    if datasource.url is None or datasource.access in ("direct", "browser"):
        return Known([])
    datasource.url.known()
    topology = topology_of(service.deployment)
    host, _ = host_of(datasource)
    named = [name for name in topology.named(host) if name != service.name]
    known = host.lower() in extra_hosts(service) or host.lower() in link_names(service)
    if topology.attachment(service).kind != "networks" or not named or known or topology.resolves(service, host):
        return Known([])
    target = service.deployment.service(named[0])
    if target is None or topology.attachment(target).kind != "networks":
        return Known([])
    external = topology.external(service)
    if external:
        why = f"{host} may be another on the external network {', '.join(external)}"
        return Known([Item(why, (), unknown=True)])
    return Known([no_shared_network(topology, service, target, Evidence(datasource.url), f"its URL names {host}")])


_NO_QUERY_API = frozenset(("alertmanager", "cadvisor", "pushgateway", "promtail", "grafana", "nginx"))


@fact("datasource.not_a_query_api", on="datasource")
def not_a_query_api(subject: Subject) -> Fact[str | None]:
    """What a Prometheus datasource asks that answers no queries: an exporter, a /metrics page; None where it may."""
    datasource, service = datasource_of(subject), _service(subject)
    url = datasource.url
    if text_of(datasource.type) != "prometheus" or url is None:
        return Known(None, datasource.place)
    if str(url.known()).split("?")[0].rstrip("/").endswith("/metrics"):
        return Known("a page of metrics", url)
    host, _ = host_of(datasource)
    for name in topology_of(service.deployment).named(host):
        target = service.deployment.service(name)
        product = value_of(target, "service.product") if target is not None else None
        if target is not None and product is not None and (product.endswith("-exporter") or product in _NO_QUERY_API):
            return Known(f"{name}, a {product}", url, Evidence(target.node, f"runs {product}"))
    return Known(None, url)


# -- how often it is filled ---------------------------------------------------------------------


@fact("datasource.interval_too_short", on="datasource")
def interval_too_short(subject: Subject) -> Fact[str | None]:
    """A timeInterval below the interval with which the Prometheus behind the URL scrapes; None where it fits.

    Grafana makes the steps of queries and $__rate_interval from it.
    """
    datasource, service = datasource_of(subject), _service(subject)
    node = datasource.node.get("jsonData", "timeInterval")
    if text_of(datasource.type) != "prometheus" or node is None or node.value in (None, ""):
        return Known(None, datasource.place)
    text = str(expand(node, lambda name: environment(service, name)).known()).lstrip("<>")
    step = seconds(f"{text}s" if text.isdigit() else text)
    if step is None:
        return Unknown(f"timeInterval {text} is no duration that is known here")
    host, _ = host_of(datasource)
    target = next(iter(topology_of(service.deployment).named(host)), None)
    asked = service.deployment.service(target) if target is not None else None
    server = server_of(asked) if asked is not None else None
    if server is None or server.config is None:
        return Unknown(server.why if server else f"how often {host or 'its server'} scrapes is not in the files")
    interval, place = _scrape_interval(server.config)
    if interval is None:
        return Unknown(f"how often {target} scrapes is not known")
    if step >= interval:
        return Known(None, node)
    scraped = f"{target} scrapes every {written(interval)}"
    return Known(f"timeInterval is {written(step)}, {scraped}", node, Evidence(place, scraped))


def _scrape_interval(config: PrometheusConfig) -> tuple[float | None, Node]:
    """The global interval, or the smallest of the jobs where each has its own; None where one is not known."""
    own = [(job.interval, job.interval_place) for job in config.jobs if job.node.get("scrape_interval") is not None]
    if config.root.get("scrape_config_files") is not None or len(own) < len(config.jobs) or not own:
        section = config.root.get("global")
        return config.interval, config.root.get("global", "scrape_interval") or section or config.root
    known = [(interval, place) for interval, place in own if interval is not None]
    return min(known, key=lambda pair: pair[0]) if len(known) == len(own) else (None, config.root)


# -- what it refers to --------------------------------------------------------------------------

_UID_KEYS = frozenset(("datasourceUid", "datasourceUID", "alertmanagerUid", "targetUID", "targetUid"))


@fact("datasource.unknown_references", on="datasource")
def unknown_references(subject: Subject) -> Fact[list[Item]]:
    """Uids in a datasource's settings (exemplars, derived fields, traces to logs) that no datasource has."""
    datasource, grafana = datasource_of(subject), grafana_for(subject)
    items: list[Item] = []
    for path, node in datasource.node.walk():
        uid = text_of(node)
        if not path or path[-1] not in _UID_KEYS or not uid or grafana is None or grafana.datasource(uid):
            continue
        if "$" in uid or any(HOLE in text_of(one.uid) for one in grafana.datasources):
            items.append(Item(f"{uid} rests on a variable", (), unknown=True))
        elif grafana.datasource_gaps:
            items.append(Item(f"whether {uid} exists: {grafana.datasource_gaps[0]}", (), unknown=True))
        else:
            key = ".".join(str(step) for step in path if isinstance(step, str))
            items.append(Item(f"{key} names {uid}, and no datasource has that uid", (Evidence(node),)))
    return Known(items)


# -- secrets ------------------------------------------------------------------------------------

_SECRET_KEYS = ("password", "basicAuthPassword", "basic_auth_password")
_HARMLESS_HEADERS = frozenset(("x-scope-orgid", "content-type", "accept", "accept-encoding", "x-organization"))


@fact("datasource.literal_secrets", on="datasource")
def literal_secrets(subject: Subject) -> Fact[list[Item]]:
    """Keys whose credential is written into the file instead of coming from a variable or a file."""
    datasource = datasource_of(subject)
    found = [(key, node) for key in _SECRET_KEYS if (node := datasource.node.get(key)) is not None]
    secure = datasource.node.get("secureJsonData") or datasource.node.get("secure_json_data")
    for key, node in secure.items() if secure else ():
        header = datasource.node.get("jsonData", key.replace("Value", "Name"))
        if text_of(header).lower() not in _HARMLESS_HEADERS:
            found.append((f"secureJsonData.{key}", node))
    items = [Item(key, (Evidence(node),)) for key, node in found if _is_literal(node)]
    return Known(items + list(_in_url(subject)))


def _is_literal(node: Node) -> bool:
    """True for a text without any variable of Grafana's; ``$$`` is a dollar sign."""
    return node.is_scalar and bool(node.value) and "$" not in str(node.value).replace("$$", "")


def _in_url(subject: Subject) -> Iterator[Item]:
    url = datasource_of(subject).node.get("url")
    user, at, _ = text_of(url).partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    if url is not None and at and password and "$" not in password:
        yield Item("url", (Evidence(url),))


# -- plugins ------------------------------------------------------------------------------------

_INSTALLERS = ("GF_INSTALL_PLUGINS", "GF_PLUGINS_PREINSTALL", "GF_PLUGINS_PREINSTALL_SYNC")


@fact("datasource.plugin_is_there", on="datasource")
def plugin_is_there(subject: Subject) -> Fact[bool]:
    """True where Grafana brings the datasource's plugin, or its service installs or mounts it."""
    datasource, service = datasource_of(subject), _service(subject)
    if datasource.type is None:
        return Known(True, datasource.place)
    plugin = str(datasource.type.known())
    if plugin in CORE_DATASOURCES:
        return Known(True, datasource.type)
    for name in _INSTALLERS:
        node = environment(service, name)
        if node is not None and plugin in str(node.known()):
            return Known(True, datasource.type, Evidence(node, "installed here"))
    if service.node.get("build") is not None:
        return Unknown(f"the image is built here and may bring {plugin}")
    volumes = service.node.get("volumes")
    for mount in volumes.entries() if volumes else ():
        target, kind = text_of(mount.get("target")).rstrip("/"), text_of(mount.get("type"))
        if "/plugins" in target or (kind == "bind" and target == "/var/lib/grafana"):
            return Unknown(f"{plugin} may lie in {target}, which is mounted")
    return Known(False, datasource.type)


# -- all of a Grafana ---------------------------------------------------------------------------


def _grafana(service: Subject) -> Grafana | None:
    return grafana_of(service) if is_grafana(service) else None


@fact("grafana.datasource_count", on="service")
def datasource_count(service: Subject) -> Fact[int]:
    """How many datasources a Grafana service is provisioned with; 0 for any other service."""
    grafana = _grafana(service)
    if grafana is None:
        return Known(0, service.node)
    if grafana.datasource_gaps:
        return Unknown(grafana.datasource_gaps[0])
    return Known(len(grafana.datasources), *(one.place for one in grafana.datasources[:1]))


@fact("grafana.default_datasource", on="service")
def default_datasource(service: Subject) -> Fact[str | None]:
    """The datasource that panels ask which name none; None without one."""
    grafana = _grafana(service)
    if grafana is None:
        return Known(None, service.node)
    if grafana.datasource_gaps:
        return Unknown(grafana.datasource_gaps[0])
    default = next((one for one in grafana.datasources if one.is_default is not None), None)
    if default is not None and default.is_default is not None:
        return Known(text_of(default.name), default.is_default)
    return Known(None, *(one.place for one in grafana.datasources[:1]))


@fact("grafana.second_defaults", on="service")
def second_defaults(service: Subject) -> Fact[list[Item]]:
    """Datasources that are the default of their organisation after another one is."""
    grafana = _grafana(service)
    items: list[Item] = []
    first: dict[str, str] = {}
    places: dict[str, Node] = {}
    for one in grafana.datasources if grafana else ():
        if one.is_default is None:
            continue
        name = holes_as_text(text_of(one.name), one.name.hops)
        known = first.setdefault(one.organisation, name)
        if one.organisation in places:
            because = (Evidence(one.is_default), Evidence(places[one.organisation], f"{known} is the default, too"))
            items.append(Item(f"{name} is a default datasource besides {known}", because))
        places.setdefault(one.organisation, one.is_default)
    return Known(items)
