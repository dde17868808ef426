"""Facts about the selectors of expressions: metrics that nothing exports, label values that nothing sets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.expressions import Query, query_of
from infra_audit.facts.metric_sources import Sources, sources_of
from infra_audit.facts.prometheus import servers
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact
from infra_audit.monitoring.grafana_macros import is_variable
from infra_audit.monitoring.promql import Binary, Matcher, Selector, selectors
from infra_audit.tree import HOLE

__all__ = ["fits"]


def fits(matcher: Matcher, value: str) -> bool:
    """Whether a label's value is one that a matcher takes; True where that is not known."""
    if is_variable(matcher.value):
        return True
    if matcher.op in ("=", "!="):
        return (matcher.value == value) == (matcher.op == "=")
    try:
        return (re.fullmatch(matcher.value, value, re.DOTALL) is not None) == (matcher.op == "=~")
    except re.error:
        return True


def _asked(query: Query) -> list[Selector]:
    """The selectors of metrics whose names are written out."""
    return [one for one in query.selectors if one.metric and not is_variable(one.metric)]


@fact("promql.owner", on="expression")
def owner(expression: Subject) -> Fact[str]:
    """What asks: alert, recording_rule or panel."""
    return Known(expression.ref.kind, expression.node)


# -- sources ------------------------------------------------------------------------------------


@fact("promql.missing_metrics", on="expression")
def missing_metrics(expression: Subject) -> Fact[list[Item]]:
    """Metrics that nothing exports to the Prometheus of the deployment; those of which that is not known."""
    query = query_of(expression)
    sources = sources_of(expression.deployment)
    items: dict[str, Item] = {}
    spared = set(_spared(query, sources))
    for selector in _asked(query):
        answer = sources.answer(selector.metric)
        name = selector.metric
        if answer.state == "missing" and selector not in spared:
            items.setdefault(name, Item(f"{name}: {answer.why}", (Evidence(query.place(selector)),)))
        elif answer.state == "unknown":
            items.setdefault(name, Item(f"{name}: {answer.why}", (), unknown=True))
    return Known(list(items.values()), query.place())


def _spared(query: Query, sources: Sources) -> Iterator[Selector]:
    """Selectors of one side of ``or`` whose other side has data: an older name beside a newer one."""
    for part, _ in query.parts:
        if isinstance(part, Binary) and part.operator == "or":
            for side, other in ((part.left, part.right), (part.right, part.left)):
                asked = list(selectors(other))
                if asked and all(sources.answer(one.metric).state == "there" for one in asked):
                    yield from selectors(side)


# -- labels that the configuration gives -----------------------------------------------------------


@fact("promql.unknown_jobs", on="expression")
def unknown_jobs(expression: Subject) -> Fact[list[Item]]:
    """Matchers of ``job`` and ``instance`` that no scrape job's label fits."""
    query = query_of(expression)
    deployment = expression.deployment
    sources = sources_of(deployment)
    asked = [
        (selector, matcher)
        for selector in query.selectors
        for matcher in selector.matchers
        if matcher.label in ("job", "instance") and matcher.op in ("=", "=~") and matcher.value
    ]
    asked = [(selector, one) for selector, one in asked if not sources.answer(selector.metric).rules]
    if not asked:
        return Known([], query.place())
    scraping = [server for server in servers(deployment) if server.product != "vmalert"]
    if not scraping:
        return Known([], query.place())
    items = []
    for selector, matcher in asked:
        values = _values(expression, matcher.label)
        if isinstance(values, Unknown):
            return values
        if not any(fits(matcher, value) for value in values) and _says_more(matcher):
            known = ", ".join(sorted(values)[:8])
            text = f'{matcher.label}{matcher.op}"{matcher.value}" fits none of {known}'
            items.append(Item(text, (Evidence(query.place(selector)),), expected=known))
    return Known(items, query.place())


def _says_more(matcher: Matcher) -> bool:
    """False for a regular expression that takes an empty label too, such as ``|api``."""
    return matcher.op == "=" or not fits(matcher, "")


def _values(expression: Subject, label: str) -> set[str] | Unknown:
    """All values that ``job`` or ``instance`` can have, or why they are not known."""
    values: set[str] = set()
    for server in servers(expression.deployment):
        if server.product == "vmalert":
            continue
        if server.receives is not None:
            return Unknown(f"metrics may be pushed to {server.service.name}")
        if server.config is None:
            return Unknown(server.why)
        for job in server.config.jobs:
            if job.honors_labels or job.is_federation:
                return Unknown(f"job {job.name} takes the labels that its targets give")
            if label in job.relabeling.labels or "*" in job.relabeling.labels or job.metric_relabels:
                return Unknown(f"job {job.name} relabels {label}")
            if job.unknown and (label == "instance" or any("file" in why for why in job.unknown)):
                return Unknown(f"the targets of job {job.name} are not known: {job.unknown[0]}")
            if label == "job":
                values.add(job.name)
                values.update(target.labels["job"] for target in job.targets if "job" in target.labels)
                continue
            if any(target.each for target in job.targets):
                return Unknown(f"job {job.name} finds its targets by DNS")
            values.update(target.labels.get("instance") or str(target.address) for target in job.targets)
    return values


_SERVICE_LABEL = "container_label_com_docker_compose_service"


@fact("promql.unknown_containers", on="expression")
def unknown_containers(expression: Subject) -> Fact[list[Item]]:
    """Matchers of container names that speak of a service here and fit no name that Compose gives its containers."""
    query = query_of(expression)
    services = expression.deployment.subjects("service")
    items = []
    for selector in query.selectors:
        for matcher in selector.matchers:
            if (
                not selector.metric.startswith("container_")
                or matcher.op not in ("=", "=~")
                or is_variable(matcher.value)
            ):
                continue
            if matcher.label == "name":
                named = [one for one in services if _mentions(matcher.value, one.name)]
                names = [name for one in named for name in _container_names(expression, one, matcher.value)]
            elif matcher.label == _SERVICE_LABEL:
                named = [one for one in services if _mentions(matcher.value, one.name)]
                names = [one.name for one in services]
            else:
                continue
            if named and not any(HOLE in name or fits(matcher, name) for name in names):
                example = names[0] if names else ""
                text = f'{matcher.label}{matcher.op}"{matcher.value}" fits no container of {named[0].name}'
                places = (
                    Evidence(query.place(selector)),
                    Evidence(named[0].node, f"its containers are named {example}"),
                )
                items.append(Item(text, places, expected=example))
    return Known(items, query.place())


def _mentions(pattern: str, service: str) -> bool:
    """True where a pattern names a service, its hyphens perhaps written as underscores."""
    plain = re.sub(r"\\(.)", r"\1", pattern).lower().replace("_", "-")
    return re.search(rf"(?<![a-z0-9]){re.escape(service.lower().replace('_', '-'))}(?![a-z])", plain) is not None


def _container_names(expression: Subject, service: Subject, pattern: str) -> list[str]:
    """The names that Compose may give a service's containers, for the project here and for one the pattern names."""
    fixed = service.node.get("container_name")
    if fixed is not None and fixed.value:
        return [str(fixed.value)]
    project = expression.deployment.name.partition(" (")[0]
    lead = re.match(r"[A-Za-z0-9_-]*", pattern)
    start = (lead[0] if lead else "").partition(service.name)[0].rstrip("-")
    projects = [project, *([start] if start and not start.endswith("_") else []), "x"]
    return [f"{one}-{service.name}-{number}" for one in dict.fromkeys(projects) for number in range(1, 11)]
