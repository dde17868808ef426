"""Facts about single alerts: what they say, how long they wait, and what their texts show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.expressions import Query, expression_of, query_of
from infra_audit.facts.metric_sources import sources_of
from infra_audit.facts.prometheus import servers
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.rule_files import rule_file_of, rule_of
from infra_audit.facts.scrapes import exporter_product, scrapes_of
from infra_audit.facts.selector_checks import fits
from infra_audit.monitoring.located_yaml import text_of
from infra_audit.monitoring.promql import Binary, Call, Number, Selector, Subquery, Tree, selectors, walk
from infra_audit.monitoring.promql_labels import labels_of
from infra_audit.monitoring.rules import Rule
from infra_audit.patterns import Pattern
from infra_audit.readers.scalar_text import ScalarText
from infra_audit.tree import Node

__all__: list[str] = []

_FIVE_MINUTES = 300.0


def _query(alert: Subject) -> Query:
    """The expression of an alert."""
    return query_of(expression_of(alert))


@fact("alert.loaded", on="alert")
def loaded(alert: Subject) -> Fact[bool]:
    """True where a Prometheus of the deployment loads the alert's file."""
    return Known(rule_file_of(alert).loaded is True, rule_of(alert).name_node)


@fact("alert.severity", on="alert")
def severity(alert: Subject) -> Fact[str | None]:
    """The label that says how urgent it is (severity, priority, level or urgency); None without one."""
    rule = rule_of(alert)
    for name in ("severity", "priority", "level", "urgency"):
        node = rule.labels.get(name)
        if node is not None and text_of(node):
            return Known(text_of(node), node)
    return Known(None, rule.name_node)


@fact("alert.says", on="alert")
def says(alert: Subject) -> Fact[str | None]:
    """The annotation that tells people what is wrong (summary, description or message); None without one."""
    rule = rule_of(alert)
    for name in ("summary", "description", "message", "title", "text"):
        node = rule.annotations.get(name)
        if node is not None and text_of(node):
            return Known(text_of(node), node)
    return Known(None, rule.name_node)


@fact("alert.waits", on="alert")
def waits(alert: Subject) -> Fact[bool]:
    """True where one bad sample is not enough: ``for``, a range of five minutes or more, or a time that is compared."""
    rule = rule_of(alert)
    if rule.duration != 0.0:
        return Known(True, rule.node.get("for") or rule.name_node)
    tree = _query(alert).parsed
    return Known(tree is None or _looks_back(tree.tree), rule.name_node)


def _looks_back(tree: Tree) -> bool:
    found = [part for part, _ in walk(tree)]
    if any(
        isinstance(part, Call) and part.function in ("time", "timestamp", "vector", "predict_linear") for part in found
    ):
        return True
    if any(isinstance(part, Subquery) and part.range >= _FIVE_MINUTES for part in found):
        return True
    asked = [part for part in found if isinstance(part, Selector)]
    if any(part.metric.endswith(("_seconds_until_expiry", "_not_after", "_timestamp_seconds")) for part in asked):
        return True
    if any(part.offset >= _FIVE_MINUTES or "uptime" in part.metric.lower() for part in asked):
        return True
    changes = any(isinstance(part, Call) and part.function in ("changes", "resets") for part in found)
    long = any(part.range is not None and part.range >= _FIVE_MINUTES for part in asked)
    return changes or long or any(":" in part.metric for part in asked)


# -- texts --------------------------------------------------------------------------------------


def _texts(rule: Rule) -> Iterator[tuple[str, Node]]:
    """Annotations and labels with their names."""
    yield from rule.annotations.items()
    yield from rule.labels.items()


_LABEL = Pattern(r"(?:\$labels|\.Labels)\.(?P<name>[a-zA-Z_]\w*)|index\s+\$labels\s+\"(?P<index>\w+)\"")


@fact("alert.lost_labels", on="alert")
def lost_labels(alert: Subject) -> Fact[list[Item]]:
    """Labels that a text shows and that the expression's series cannot have."""
    rule, query = rule_of(alert), _query(alert)
    if query.parsed is None:
        return Known([], rule.name_node)
    labels = labels_of(query.parsed.tree, sources_of(alert.deployment).labels_of)
    items = []
    for key, node in _texts(rule):
        text = text_of(node)
        if "query " in text or "range " in text:
            continue  # a template that asks by itself has other labels in its loop
        for match in _LABEL.finditer(text):
            name = match["name"] or match["index"]
            if not labels.may_have(name) and name != "alertname":
                kept = ", ".join(sorted(labels.only)) or "no label" if labels.only is not None else "others"
                places = (Evidence(ScalarText(node).span(*match.span())), Evidence(query.place(), f"leaves {kept}"))
                items.append(Item(f"{key} shows the label {name}, and the expression leaves {kept}", places))
    return Known(list({item.text: item for item in items}.values()), rule.name_node)


_HUMAN_PERCENT = Pattern(r"(?:\$value|\.Value)[^{}]*humanizePercentage")


@fact("alert.percent_twice", on="alert")
def percent_twice(alert: Subject) -> Fact[str | None]:
    """The annotation that prints a value as a percentage which the expression has multiplied by 100 already."""
    rule, query = rule_of(alert), _query(alert)
    if query.parsed is not None and _is_percent(query.parsed.tree):
        for key, node in rule.annotations.items():
            match = _HUMAN_PERCENT.search(text_of(node))
            if match is not None:
                return Known(key, ScalarText(node).span(*match.span()), Evidence(query.place(), "multiplied by 100"))
    return Known(None, rule.name_node)


def _is_percent(tree: Tree) -> bool:
    """True where the value that comes out is a share times 100."""
    while isinstance(tree, Binary) and tree.operator in ("==", "!=", "<", ">", "<=", ">=", "and", "unless"):
        tree = tree.left
    return (
        isinstance(tree, Binary) and tree.operator == "*" and any(_is_hundred(one) for one in (tree.left, tree.right))
    )


def _is_hundred(tree: Tree) -> bool:
    return isinstance(tree, Number) and tree.value == 100


_PER = Pattern(
    r"(?:per|/|a|each|every)\s*(?P<unit>sec(?:ond)?s?|s|min(?:ute)?s?|hours?|hr|h|days?)\b(?!\s*(?:for|long))",
    re.IGNORECASE,
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@fact("alert.other_unit", on="alert")
def other_unit(alert: Subject) -> Fact[str | None]:
    """The unit of time in which a text gives a value that ``rate`` gives per second; None where they agree."""
    rule, query = rule_of(alert), _query(alert)
    if query.parsed is None or not _is_per_second(query.parsed.tree):
        return Known(None, rule.name_node)
    for node in rule.annotations.values():
        for match in _PER.finditer(text_of(node)):
            before = text_of(node)[: match.start()]
            if _UNITS[match["unit"][0].lower()] > 1 and re.search(r"(?:\}\}|\d)[^.;\n]{0,40}\Z", before):
                return Known(match[0], ScalarText(node).span(*match.span()), Evidence(query.place(), "is per second"))
    return Known(None, rule.name_node)


def _is_per_second(tree: Tree) -> bool:
    """True where a rate per second reaches the value as it is: nothing multiplies or divides it."""
    rates = False
    for part, above in walk(tree):
        if isinstance(part, Call) and part.function in ("rate", "irate"):
            rates = True
            if any(isinstance(one, Binary) and one.operator in ("*", "/") for one in above):
                return False
    return rates


_PLACEHOLDER = Pattern(
    r"\b(?:TODO|FIXME|TBD|XXX|CHANGE_?ME|REPLACE_?ME|lorem ipsum)\b|\bexample\.(?:com|org|net)\b"
    r"|<(?:your|insert|todo)[^<>]*>",
    re.IGNORECASE,
)


@fact("alert.placeholder", on="alert")
def placeholder(alert: Subject) -> Fact[str | None]:
    """What stands in a text in place of something that somebody meant to write; None where nothing does."""
    for _, node in _texts(rule_of(alert)):
        match = _PLACEHOLDER.search(text_of(node))
        if match is not None:
            return Known(match[0], ScalarText(node).span(*match.span()))
    return Known(None, rule_of(alert).name_node)


# -- against other rules and the deployment -----------------------------------------------------------


@fact("alert.twin", on="alert")
def twin(alert: Subject) -> Fact[str | None]:
    """An earlier alert with the same expression and the same labels, loaded beside it; None without one."""
    rule = rule_of(alert)
    for other in _alike(alert):
        if other is alert:
            break
        both = (rule_file_of(alert).loaded, rule_file_of(other).loaded)
        if both == (True, True) or rule_file_of(alert) is rule_file_of(other):
            return Known(other.name, rule.name_node, Evidence(rule_of(other).name_node, "the same alert"))
    return Known(None, rule.name_node)


def _alike(alert: Subject) -> list[Subject]:
    """The alerts with the expression and labels of one, itself among them."""
    cache = alert.deployment.root.cache
    known = cache.get("(alike alerts)")
    if not isinstance(known, dict):
        known = cache["(alike alerts)"] = {}
        for one in alert.deployment.subjects("alert"):
            known.setdefault(_same(rule_of(one)), []).append(one)
    found: list[Subject] = known[_same(rule_of(alert))]
    return found


def _same(rule: Rule) -> tuple[object, ...]:
    labels = {key: text_of(node) for key, node in rule.labels.items()}
    return "".join(text_of(rule.expr).split()), rule.duration, tuple(sorted(labels.items()))


@fact("alert.up_of_exporter", on="alert")
def up_of_exporter(alert: Subject) -> Fact[list[Item]]:
    """``up`` of a job that scrapes a datastore's exporter, in an alert that speaks of the datastore."""
    rule, query = rule_of(alert), _query(alert)
    words = " ".join([rule.name, *(text_of(node) for node in rule.annotations.values())]).lower()
    items: list[Item] = []
    if (
        "export" in words
        or "scrape" in words
        or "target" in words
        or query.parsed is None
        or not servers(alert.deployment)
    ):
        return Known(items, rule.name_node)
    asked = list(selectors(query.parsed.tree))
    for selector in asked:
        wanted = [one for one in selector.matchers if one.label == "job"]
        if selector.metric != "up" or not wanted or any(one.metric.endswith("_up") for one in asked):
            continue
        for scrape in scrapes_of(alert.deployment):
            product = exporter_product(scrape.service) if scrape.service is not None else None
            about = _WATCHED.get(product or "")
            if about is None or not all(fits(one, scrape.job.name) for one in wanted):
                continue
            if not any(word in words for word in about.words):
                continue
            text = f"up of job {scrape.job.name} is that of {scrape.service.name if scrape.service else ''}"
            places = (Evidence(query.place(selector)), Evidence(scrape.target.place, "what is scraped"))
            items.append(Item(text, places, expected=about.metric))
            break
    return Known(items, rule.name_node)


class _About:
    """What an exporter watches: words for it, and the metric that says whether it is up."""

    def __init__(self, metric: str, *words: str) -> None:
        self.metric = metric
        self.words = words


_WATCHED = {
    "postgres-exporter": _About("pg_up", "postgres", "database"),
    "redis-exporter": _About("redis_up", "redis", "cache"),
    "mysqld-exporter": _About("mysql_up", "mysql", "mariadb", "database"),
    "mongodb-exporter": _About("mongodb_up", "mongo", "database"),
    "rabbitmq-exporter": _About("rabbitmq_up", "rabbit", "queue", "broker"),
    "elasticsearch-exporter": _About("elasticsearch_cluster_health_up", "elastic"),
    "nginx-exporter": _About("nginx_up", "nginx"),
}

_DASHBOARD = Pattern(r"/d/(?P<uid>[A-Za-z0-9_-]{1,40})(?=[/?\s\"']|\Z)")


@fact("alert.dead_links", on="alert")
def dead_links(alert: Subject) -> Fact[list[Item]]:
    """Links to dashboards that the deployment does not provision."""
    rule = rule_of(alert)
    found = [(match, node) for _, node in rule.annotations.items() for match in _DASHBOARD.finditer(text_of(node))]
    if not found:
        return Known([], rule.name_node)
    uids = {
        text_of(dashboard.node.get("uid") or dashboard.node.get("metadata", "name"))
        for dashboard in alert.deployment.subjects("dashboard")
    }
    if not uids:
        return Known([Item("no dashboard is in the files", (), unknown=True)], rule.name_node)
    items = []
    for match, node in found:
        if match["uid"] not in uids:
            text = f"no dashboard has the uid {match['uid']}"
            items.append(Item(text, (Evidence(ScalarText(node).span(*match.span("uid"))),)))
    return Known(items, rule.name_node)
