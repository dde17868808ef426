"""The chain alert or panel → metric → exporter → scrape job → target → service → network, link by link.

For people: lines with places, in both directions. The facts that policies judge are the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import UsageError
from infra_audit.facts.dashboards import place_of
from infra_audit.facts.expressions import expression_of, query_of, users_of
from infra_audit.facts.grafana import dashboard_of
from infra_audit.facts.metric_sources import Sources, sources_of
from infra_audit.facts.prometheus import product_of, servers
from infra_audit.facts.prometheus_checks import watched
from infra_audit.facts.registry import Unknown, value_of
from infra_audit.facts.rule_files import rule_file_of, rule_of, tests_of
from infra_audit.facts.scrapes import Scrape, scrapes_of
from infra_audit.facts.topology import topology_of
from infra_audit.hints import did_you_mean
from infra_audit.monitoring.catalogue import exporters, generated
from infra_audit.monitoring.durations import written
from infra_audit.named import NamedTuple
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Line", "alert_chain", "metric_chain", "overview"]


class Line(NamedTuple):
    """One line: how deep it stands, its text, and the place that it speaks of."""

    depth: int
    text: str
    place: Span | None = None
    loose: bool = False
    """True for a link that is missing or not known."""


# -- one metric ---------------------------------------------------------------------------------


def metric_chain(deployment: Deployment, name: str) -> Iterator[Line]:
    """Where a metric comes from, and who asks for it. Raises UsageError for a name that nobody knows."""
    sources = sources_of(deployment)
    users = users_of(deployment).get(name, [])
    answer = sources.answer(name)
    if not users and answer.state != "there":
        known = {*sources.recorded, *users_of(deployment), *_exported(sources)}
        raise UsageError(f"nothing here exports or asks for {name}{did_you_mean(name, known)}")
    about = ""
    if answer.metric is not None:
        labels = ", ".join(sorted(answer.metric.labels))
        about = f" ({answer.metric.type}{f' with {labels}' if labels else ''})"
    yield Line(0, f"metric {name}{about}")
    yield Line(1, "comes from")
    yield from _origin(sources, name, 2, frozenset())
    yield Line(1, "is asked for by" if users else "is asked for by nothing here")
    yield from _asked_by(deployment, name, 2, frozenset())


def _exported(sources: Sources) -> set[str]:
    return {name for source in sources.sources for name in source.metrics or ()}


def _origin(sources: Sources, name: str, depth: int, seen: frozenset[str]) -> Iterator[Line]:
    """Towards the source: recording rules and what they ask, exporters and how they are scraped."""
    answer = sources.answer(name)
    if generated(name) is not None:
        yield Line(depth, f"Prometheus itself, for every {'alert' if name.startswith('ALERTS') else 'target'}")
        return
    if answer.state != "there":
        yield Line(depth, f"{'nothing' if answer.state == 'missing' else 'not known'}: {answer.why}", None, True)
        return
    for rule in answer.rules:
        yield Line(depth, f"recording rule {rule.name}", rule_of(rule).name_node.place)
        for metric in _metrics(rule):
            if metric not in seen:
                yield Line(depth + 1, f"of metric {metric}")
                yield from _origin(sources, metric, depth + 2, seen | {name, metric})
    for scrape in answer.scrapes:
        yield from _scraped(scrape, depth)


def _scraped(scrape: Scrape, depth: int) -> Iterator[Line]:
    job, service, client = scrape.job, scrape.service, scrape.server.service
    product = product_of(service) if service is not None else None
    exporter = exporters().get(product or "")
    what = f" ({exporter.name} {exporter.version or ''}".rstrip() + ")" if exporter is not None else ""
    named = service.name if service is not None else scrape.target.address.host
    yield Line(depth, f"service {named}{what}", service.node.place if service is not None else None, service is None)
    every = f", every {written(job.interval)}" if job.interval is not None else ""
    yield Line(
        depth + 1, f"target {scrape.target.address}{job.path} of job {job.name}{every}", _span(scrape.target.place)
    )
    if service is None or service is client:
        return
    topology = topology_of(client.deployment)
    shared = [key for key in topology.attachment(service).networks if key in topology.attachment(client).networks]
    if shared:
        node = topology.attachment(service).networks[shared[0]]
        yield Line(depth + 1, f"reached by {client.name} over network {', '.join(shared)}", node.place)
    elif topology.attachment(service).kind == "networks":
        yield Line(depth + 1, f"{client.name} shares no network with {service.name}", client.node.place, True)


def _span(place: Node | Span) -> Span:
    return place.place if isinstance(place, Node) else place


def _metrics(owner: Subject) -> list[str]:
    """The metrics that an alert or recording rule asks for, each once."""
    return list(dict.fromkeys(one.metric for one in query_of(expression_of(owner)).selectors if one.metric))


def _asked_by(deployment: Deployment, name: str, depth: int, seen: frozenset[str]) -> Iterator[Line]:
    """Towards people: alerts, panels, and recording rules with those who use them."""
    for expression in users_of(deployment).get(name, ()):
        owner = expression.owner or expression
        yield Line(depth, f"{owner.kind.replace('_', ' ')} {owner.name}", _place_of(expression, name))
        if owner.kind == "recording_rule" and rule_of(owner).name not in seen:
            yield from _asked_by(deployment, rule_of(owner).name, depth + 1, seen | {name, rule_of(owner).name})


# -- one alert ----------------------------------------------------------------------------------


def alert_chain(deployment: Deployment, name: str) -> Iterator[Line]:
    """Everything between an alert and the services that feed it, and on to who gets it."""
    alerts = [one for one in deployment.subjects("alert") if rule_of(one).name == name]
    if not alerts:
        names = {rule_of(one).name for one in deployment.subjects("alert")}
        raise UsageError(f"no alert is called {name}{did_you_mean(name, names)}")
    sources = sources_of(deployment)
    for alert in alerts:
        rule, file = rule_of(alert), rule_file_of(alert)
        severity = rule.labels.get("severity")
        yield Line(0, f"alert {alert.name}{f' ({severity.value})' if severity else ''}", rule.name_node.place)
        service = alert.parent.parent if alert.parent is not None else None
        if service is not None and file.loaded:
            yield Line(1, f"loaded by {service.name} from {file.located.path}", service.node.place)
        else:
            yield Line(1, f"nothing here loads {file.located.path}", None, True)
        tests = [path for path, test in tests_of(deployment).items() if rule.name in test.fires]
        yield Line(1, f"seen firing by {len(tests)} unit test{'s' if len(tests) != 1 else ''}", None, not tests)
        yield from _sent_to(deployment, service)
        yield Line(1, "asks for")
        for metric in _metrics(alert):
            yield Line(2, f"metric {metric}", _place_of(expression_of(alert), metric))
            yield from _origin(sources, metric, 3, frozenset((metric,)))


def _place_of(expression: Subject, metric: str) -> Span | None:
    """Where an expression names a metric first."""
    query = query_of(expression)
    return next((_span(query.place(one)) for one in query.selectors if one.metric == metric), None)


def _sent_to(deployment: Deployment, service: Subject | None) -> Iterator[Line]:
    for server in servers(deployment):
        if server.service is not service or server.config is None:
            continue
        for target in server.config.alertmanagers:
            yield Line(1, f"sent to {target.address}", _span(target.place))
        if not server.config.alertmanagers and not server.config.alertmanagers_unknown:
            yield Line(1, "sent to nobody: no Alertmanager is configured", server.config.root.place, True)


# -- the whole deployment -------------------------------------------------------------------------


def overview(deployment: Deployment) -> Iterator[Line]:
    """Who is watched by what, and what is there for nothing."""
    if not servers(deployment):
        raise UsageError("no Prometheus is in this deployment")
    yield from _services(deployment)
    yield from _jobs(deployment)
    yield from _rules(deployment)
    yield from _unused(deployment)


def _services(deployment: Deployment) -> Iterator[Line]:
    yield Line(0, "services")
    uses = Counter(_service_uses(deployment))
    for service in deployment.subjects("service"):
        jobs = list(dict.fromkeys(one.job.name for one in scrapes_of(deployment) if one.service is service))
        known = watched(service)
        if jobs:
            asked = uses[service.name]
            text = f"{service.name}: job {', '.join(jobs)}; {asked} alert{'s' if asked != 1 else ''} and panels use it"
            yield Line(1, text, service.node.place, not asked)
        elif isinstance(known, Unknown):
            yield Line(1, f"{service.name}: not known: {known.why}", service.node.place, True)
        elif known.value:
            yield Line(1, f"{service.name}: through an exporter", service.node.place)
        elif value_of(service, "service.long_running"):
            yield Line(1, f"{service.name}: nothing watches it", service.node.place, True)


def _service_uses(deployment: Deployment) -> Iterator[str]:
    """The service behind each metric of each alert and panel, once for each of them."""
    sources = sources_of(deployment)
    for expression in deployment.subjects("expression"):
        if expression.ref.kind == "recording_rule":
            continue
        found: set[str] = set()
        for selector in query_of(expression).selectors:
            for metric in _base_metrics(sources, selector.metric, frozenset()):
                found |= {one.service.name for one in sources.answer(metric).scrapes if one.service is not None}
        yield from found


def _base_metrics(sources: Sources, name: str, seen: frozenset[str]) -> set[str]:
    """A metric, or those that a recorded one is made of."""
    rules = sources.recorded.get(name, ())
    if not rules or name in seen:
        return {name}
    return {
        base for rule in rules for metric in _metrics(rule) for base in _base_metrics(sources, metric, seen | {name})
    }


def _jobs(deployment: Deployment) -> Iterator[Line]:
    yield Line(0, "scrape jobs")
    for server in servers(deployment):
        if server.config is None:
            yield Line(1, f"{server.service.name}: {server.why}", server.service.node.place, True)
            continue
        for job in server.config.jobs:
            targets = ", ".join(str(target.address) for target in job.targets) or "no target that the files tell"
            more = f"; {job.unknown[0]}" if job.unknown else ""
            yield Line(1, f"{job.name}: {targets}{more}", job.node.place, bool(more))


def _rules(deployment: Deployment) -> Iterator[Line]:
    yield Line(0, "rules and dashboards")
    for file in deployment.subjects("rule_file"):
        read = rule_file_of(file)
        kinds = Counter(rule.kind for rule in read.rules)
        loaded = {True: "", False: ", which nothing loads", None: ", and whether it is loaded is not known"}[
            read.loaded
        ]
        text = f"{file.name}: {kinds['alert']} alerts, {kinds['record']} recorded{loaded}"
        yield Line(1, text, None, not read.loaded)
    for dashboard in deployment.subjects("dashboard"):
        panels = sum(panel.parent is dashboard for panel in deployment.subjects("panel"))
        yield Line(1, f"dashboard {dashboard.name}: {panels} panels", _span(place_of(dashboard_of(dashboard))))


def _unused(deployment: Deployment) -> Iterator[Line]:
    """How much of what is exported somebody asks for, and recorded metrics for nobody."""
    yield Line(0, "metrics that nothing asks for")
    sources, users = sources_of(deployment), users_of(deployment)
    seen: set[str] = set()
    for source in sources.sources:
        named = source.scrape.service.name if source.scrape.service is not None else str(source.scrape.target.address)
        if source.metrics is None or named in seen:
            continue
        seen.add(named)
        own = [name for name in source.metrics if name.partition("_")[0] not in ("go", "process", "promhttp")]
        used = sum(name in users for name in own)
        if own:
            yield Line(1, f"{named}: {len(own) - used} of {len(own)}", None, not used)
    for name, rules in sources.recorded.items():
        if name not in users:
            yield Line(1, f"{name}, recorded", rule_of(rules[0]).name_node.place, True)
