"""Facts about what a Prometheus scrapes, loads, keeps and sends, against the services of its deployment."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.expressions import query_of, query_subject
from infra_audit.facts.metric_sources import sources_of
from infra_audit.facts.monitored import scraping
from infra_audit.facts.prometheus import Server, server_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact, value_of
from infra_audit.facts.rule_files import rule_file_of
from infra_audit.facts.scrapes import LOCALHOST, Scrape, exporter_product, job_of, scrapes_of, target_service
from infra_audit.facts.services import Word, environment_items
from infra_audit.facts.target_checks import HOST_NAMES
from infra_audit.facts.topology import extra_hosts, topology_of
from infra_audit.monitoring.catalogue import generated
from infra_audit.monitoring.durations import written
from infra_audit.source import Span
from infra_audit.tree import Node

__all__: list[str] = []


def _place(of: Node | Word | Span) -> Node | Span:
    return of.place if isinstance(of, Word) else of


# -- jobs ---------------------------------------------------------------------------------------


@fact("scrape.timing_faults", on="scrape_job")
def timing_faults(subject: Subject) -> Fact[list[Item]]:
    """A timeout above the interval, and a name that another job has."""
    job, server = job_of(subject)
    items = []
    if job.interval is not None and job.timeout is not None and job.timeout > job.interval:
        text = f"a scrape may take {written(job.timeout)} and comes every {written(job.interval)}"
        places = (Evidence(job.timeout_place), Evidence(job.interval_place, f"scraped every {written(job.interval)}"))
        items.append(Item(text, places))
    first = next((one for one in server.config.jobs if one.name == job.name), job) if server.config else job
    if first is not job:
        name = job.node.get("job_name") or job.node
        places = (Evidence(name), Evidence(first.node.get("job_name") or first.node, "the first one"))
        items.append(Item(f"there are two jobs named {job.name}", places))
    return Known(items, job.node)


@fact("prometheus.evaluation_faults", on="service")
def evaluation_faults(service: Subject) -> Fact[list[Item]]:
    """An evaluation interval far above the scrape interval, so that rules look at old samples."""
    server = server_of(service)
    config = server.config if server is not None else None
    items = []
    interval, evaluation = (config.interval, config.evaluation) if config is not None else (None, None)
    if config is not None and config.rule_files and interval and evaluation and evaluation > 4 * interval:
        text = f"rules are evaluated every {written(evaluation)}, scrapes come every {written(interval)}"
        items.append(Item(text, (Evidence(config.evaluation_place),)))
    return Known(items, service.node)


# -- who is watched -----------------------------------------------------------------------------


@fact("monitoring.scraped", on="service")
def scraped(service: Subject) -> Fact[bool]:
    """True where a scrape job asks the service."""
    place = service.node.get("image") or service.node
    if any(scrape.service is service for scrape in scrapes_of(service.deployment)):
        return Known(True, place)
    server = None
    for server in scraping(service.deployment):
        if server.config is None:
            return Unknown(server.why)
        for job in server.config.jobs:
            if job.unknown:
                return Unknown(f"the targets of job {job.name} are not known: {job.unknown[0]}")
            if any(_may_mean(scrape, service) for scrape in scrapes_of(service.deployment) if scrape.job is job):
                return Unknown(f"job {job.name} asks another machine, which may be this one")
    places = [] if server is None or server.config is None else [Evidence(server.config.root, "nothing here asks it")]
    return Known(False, place, *places)


def _may_mean(scrape: Scrape, service: Subject) -> bool:
    """True for a target outside the deployment on a port that the service publishes."""
    if scrape.service is not None:
        return False
    ports = service.node.get("ports")
    found = [port.get("published") for port in ports.entries()] if ports else []
    published = {str(node.value) for node in found if node is not None}
    on_host = topology_of(service.deployment).attachment(service).kind == "host"
    return str(scrape.target.address.port) in published or on_host


@fact("monitoring.watched", on="service")
def watched(service: Subject) -> Fact[bool]:
    """True where a job scrapes the service, or an exporter that looks at it by name."""
    own = scraped(service)
    if isinstance(own, Unknown) or own.value:
        return own
    for other in service.deployment.subjects("service"):
        if exporter_product(other) is None:
            continue
        texts = [str(node.value) for _, node in environment_items(other)]
        command = other.node.get("command")
        texts += [str(entry.value) for entry in command.entries()] if command else []
        if any(service.name in text for text in texts) and value_of(other, "monitoring.scraped"):
            return Known(True, service.node)
    for scrape in scrapes_of(service.deployment):
        if scrape.job.path.startswith("/probe") and service.name in str(scrape.job.node.data()):
            return Known(True, service.node)
    return own


# -- what a Prometheus loads, keeps and sends ------------------------------------------------------


@fact("prometheus.unloaded_rules", on="service")
def unloaded_rules(service: Subject) -> Fact[list[Item]]:
    """Entries of rule_files that match nothing, and rule files beside the configuration that no entry matches."""
    server = server_of(service)
    if server is None:
        return Known([], service.node)
    items = []
    for entry in server.entries:
        if entry.why:
            items.append(Item(f"{entry.pattern}: {entry.why}", (), unknown=True))
        elif not entry.paths:
            items.append(Item(f"{entry.pattern} matches no file", (Evidence(_place(entry.place)),)))
    if server.is_prometheus:
        items += _unloaded(server)
    return Known(items, service.node)


def _unloaded(server: Server) -> Iterator[Item]:
    root = server.config.root if server.config is not None else server.service.node
    section = root.get("rule_files") or root
    for subject in server.service.deployment.subjects("rule_file"):
        file = rule_file_of(subject)
        if file.loaded is False and file.dialect == "prometheus" and _speaks_of_this(subject):
            rules = "1 rule" if len(file.rules) == 1 else f"{len(file.rules)} rules"
            places = (Evidence(subject.node.get("groups") or subject.node), Evidence(section, "what is loaded"))
            text = f"{subject.name} holds {rules}, and no rule_files entry loads it"
            yield Item(text, places, ("rule_file", subject.name))


def _speaks_of_this(file: Subject) -> bool:
    """True where some metric of a rule file may come from what runs here."""
    sources = sources_of(file.deployment)
    for rule in rule_file_of(file).rules:
        for selector in query_of(query_subject(file, rule.expr)).selectors:
            if (
                selector.metric
                and not generated(selector.metric)
                and sources.answer(selector.metric).state != "missing"
            ):
                return True
    return False


@fact("prometheus.is_server", on="service")
def is_server(service: Subject) -> Fact[bool]:
    """True for a Prometheus that stores what it scrapes."""
    server = server_of(service)
    storing = server is not None and server.is_prometheus and server.option("enable-feature") is None
    agent = server is not None and server.option("agent") is not None
    feature = server.option("enable-feature") if server is not None else None
    if feature is not None and server is not None and server.is_prometheus:
        storing = "agent" not in feature.text.split(",")
    return Known(storing and not agent, service.node.get("image") or service.node)


@fact("prometheus.retention", on="service")
def retention(service: Subject) -> Fact[str | None]:
    """How much is kept, by time or by size; None where nothing says it (15 days is the default)."""
    server = server_of(service)
    if server is None:
        return Known(None, service.node)
    for name in ("storage.tsdb.retention.time", "storage.tsdb.retention.size", "storage.tsdb.retention"):
        word = server.option(name)
        if word is not None:
            return Known(word.text, word.place)
    configured = server.config.root.get("storage", "tsdb", "retention") if server.config is not None else None
    if configured is not None:
        return Known("set", configured)
    return Known(None, service.node.get("command") or service.node.get("image") or service.node)


@fact("prometheus.admin_api", on="service")
def admin_api(service: Subject) -> Fact[bool]:
    """True where the API that deletes series is open."""
    return _has_option(service, "web.enable-admin-api")


@fact("prometheus.lifecycle", on="service")
def lifecycle(service: Subject) -> Fact[bool]:
    """True where anybody who reaches the server may reload or stop it."""
    return _has_option(service, "web.enable-lifecycle")


def _has_option(service: Subject, name: str) -> Fact[bool]:
    server = server_of(service)
    word = server.option(name) if server is not None else None
    return Known(word is not None and word.text != "false", word.place if word else service.node)


@fact("prometheus.unknown_alertmanagers", on="service")
def unknown_alertmanagers(service: Subject) -> Fact[list[Item]]:
    """Alertmanagers that alerts are sent to and that no service is."""
    server = server_of(service)
    config = server.config if server is not None else None
    items: list[Item] = []
    topology = topology_of(service.deployment)
    for target in config.alertmanagers if config is not None else ():
        host = target.address.host.lower()
        if "." in host or host in HOST_NAMES or host in extra_hosts(service) or host in LOCALHOST:
            continue
        found = target_service(service, host)
        external = topology.external(service)
        if found is not None and (topology.resolves(service, host) or found is service):
            continue
        if external or topology.attachment(service).kind != "networks":
            items.append(Item(f"{host} may be on another network", (), unknown=True))
        elif found is None:
            items.append(Item(f"no service is called {target.address.host}", (Evidence(target.place),)))
        else:
            text = f"{service.name} shares no network with {found.name}"
            items.append(
                Item(text, (Evidence(target.place), Evidence(found.node.get("networks") or found.node, found.name)))
            )
    return Known(items, service.node)
