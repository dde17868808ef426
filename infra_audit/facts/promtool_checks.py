"""What promtool says about configurations and rule files, at the places of the files."""

from __future__ import annotations

import re

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.expressions import Query, query_of, query_subject
from infra_audit.facts.prometheus import Server, server_of, servers
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.rule_files import RuleFile, rule_file_of
from infra_audit.facts.services import image_of
from infra_audit.monitoring import promtool
from infra_audit.monitoring.located_yaml import as_source
from infra_audit.named import NamedTuple
from infra_audit.source import Source, Span
from infra_audit.tree import Node

__all__: list[str] = []

_NEWER = frozenset(("keep_firing_for", "query_offset", "labels", "limit"))
"""Fields of rule files that a promtool of the last years may not know yet."""


class _Runs(NamedTuple):
    """promtool's answers for a deployment: one call for all rule files, one for each configuration."""

    rules: promtool.Call | None
    indexes: dict[str, int]
    configs: dict[str, promtool.Call]


def _runs(deployment: Deployment) -> _Runs:
    """Starts every call of a deployment side by side, at the first question."""
    known = deployment.root.cache.get("(promtool)")
    if isinstance(known, _Runs):
        return known
    texts: list[Source] = []
    indexes: dict[str, int] = {}
    for subject in deployment.subjects("rule_file"):
        file = rule_file_of(subject)
        if file.dialect == "prometheus" and file.error is None:
            try:
                texts.append(as_source(file.located))
            except Undecidable:
                continue
            indexes[file.located.location] = len(texts) - 1
    configs = {}
    for server in servers(deployment):
        if server.is_prometheus and server.located is not None and server.error is None:
            try:
                configs[server.service.name] = promtool.check_config(as_source(server.located))
            except Undecidable:
                continue
    runs = _Runs(promtool.check_rules(texts) if texts else None, indexes, configs)
    deployment.root.cache["(promtool)"] = runs
    return runs


# -- rules --------------------------------------------------------------------------------------


@fact("rules.invalid", on="rule_file")
def invalid(subject: Subject) -> Fact[list[Item]]:
    """What Prometheus refuses in a rule file, as promtool says; what is surely wrong, where there is no promtool."""
    file = rule_file_of(subject)
    if file.dialect != "prometheus":
        return Known([], subject.node)
    if file.error is not None:
        return Known([_unreadable(file.located.span, file.error)])
    runs = _runs(subject.deployment)
    index = runs.indexes.get(file.located.location)
    if index is None or runs.rules is None:
        raise Undecidable("its lines inside the Compose file cannot be told apart")
    try:
        complaints = runs.rules.complaints(index)
    except promtool.Unavailable as error:
        return Known([*_own(subject, file), Item(str(error), (), unknown=True)])
    return Known([_rule_item(subject, file, complaint) for complaint in complaints], subject.node)


def _unreadable(span: object, error: object) -> Item:
    """The item of a file that is no YAML."""
    assert callable(span)
    line, column = getattr(error, "line", 0) or 1, getattr(error, "column", 0) or 1
    whole: Span = span(0, 1)
    place = Span(whole.source, line, column, line, column + 1)
    return Item(str(getattr(error, "message", error)), (Evidence(place),))


def _own(subject: Subject, file: RuleFile) -> list[Item]:
    """Expressions that are no PromQL."""
    items = []
    for rule in file.rules:
        query = query_of(query_subject(subject, rule.expr))
        if query.error:
            items.append(Item(f"{rule.name}: {query.error}", (Evidence(query.place()),)))
    return items


def _rule_item(subject: Subject, file: RuleFile, complaint: promtool.Complaint) -> Item:
    field = re.fullmatch(r"there is no field (\S+) here", complaint.message)
    if field is not None and field[1] in _NEWER:
        return Item(f"this promtool does not know the field {field[1]}", (), unknown=True)
    for group in file.groups:
        for rule in group.rules:
            if (group.name, rule.number) == (complaint.group, complaint.number):
                query = query_of(query_subject(subject, rule.expr))
                place = (
                    _inside(query, complaint.inner) or _mentioned(rule.node, complaint.message) or rule.name_node.place
                )
                return Item(f"{rule.name}: {complaint.message}", (Evidence(place),))
    place = (
        _line(subject.node, complaint.line)
        or _mentioned(subject.node, complaint.message)
        or (subject.node.get("groups") or subject.node).place
    )
    return Item(complaint.message, (Evidence(place),))


def _inside(query: Query, inner: tuple[int, int]) -> Span | None:
    """The place of a line and column of an expression."""
    line, column = inner
    lines = query.text.split("\n")
    if not 1 <= line <= len(lines):
        return None
    start = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    start = max(0, min(start, len(query.text) - 1))
    word = re.compile(r"[\w:]+|.", re.DOTALL).match(query.text, start)
    return query.scalar.span(start, word.end() if word else start + 1)


def _mentioned(node: Node, message: str) -> Span | None:
    """The place of a value that a message quotes, or of the annotation or label that it names."""
    for kind, name in re.findall(r"\b(annotation|label) \"([^\"]+)\"", message):
        found = node.get(f"{kind}s", name)
        if found is not None:
            return found.place
    quoted = set(re.findall(r"\"([^\"]+)\"", message))
    return next(
        (one.place for _, one in node.walk() if one.is_scalar and isinstance(one.value, str) and one.value in quoted),
        None,
    )


def _line(node: Node, line: int) -> Span | None:
    """What is written on a line, without its indentation and comment."""
    if not line:
        return None
    source = node.span.source
    text = source.line(line)
    word = re.compile(r"\s*(?:-\s+)*([^\s:#][^:#]*)").match(text)
    if word is None:
        return None
    return Span(source, line, word.start(1) + 1, line, word.start(1) + 1 + len(word[1].rstrip()))


# -- configuration ------------------------------------------------------------------------------


@fact("prometheus.config_errors", on="service")
def config_errors(service: Subject) -> Fact[list[Item]]:
    """What Prometheus refuses in its configuration, as promtool says; empty for a service that is no Prometheus."""
    server = server_of(service)
    if server is None or not server.is_prometheus:
        return Known([], service.node)
    if server.error is not None and server.located is not None:
        return Known([_unreadable(server.located.span, server.error)])
    if server.config is None:
        raise Undecidable(server.why)
    call = _runs(service.deployment).configs.get(service.name)
    if call is None:
        raise Undecidable("its lines inside the Compose file cannot be told apart")
    try:
        return Known([_config_item(server, server.config.root, one) for one in call.complaints()])
    except promtool.Unavailable as error:
        return Known([Item(str(error), (), unknown=True)])


def _config_item(server: Server, root: Node, complaint: promtool.Complaint) -> Item:
    message = complaint.message
    image = image_of(server.service)
    field = re.fullmatch(r"there is no field (\S+) here", message)
    if field is not None and not (
        image is not None and re.match(r"v?[01]\.|v?2\.(?:[0-9]|[123][0-9]|4[0-2])\b", image.tag)
    ):
        near = _line(root, complaint.line)
        if not _is_old_section(root, field[1]):
            return Item(f"{field[1]} may be a field of a newer Prometheus than promtool", (), unknown=True)
        return Item(message, (Evidence(near or root.place),))
    named = re.search(r"job(?: name|_name)?:? \"([^\"]+)\"", message)
    place = _line(root, complaint.line)
    jobs = root.get("scrape_configs")
    for job in jobs.entries() if jobs else ():
        name = job.get("job_name")
        if place is None and named is not None and name is not None and str(name.value) == named[1]:
            place = name.place
    return Item(message, (Evidence(place or _mentioned(root, message) or root.place),))


_FIELDS = (
    *("job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme", "static_configs", "relabel_configs"),
    *("rule_files", "scrape_configs", "alerting", "alertmanagers", "evaluation_interval", "external_labels", "targets"),
    *("labels", "honor_labels", "params", "basic_auth", "tls_config", "file_sd_configs", "dns_sd_configs", "names"),
)


def _is_old_section(root: Node, field: str) -> bool:
    """True for a field that is a misspelling of one that every version has."""
    from difflib import get_close_matches

    return bool(get_close_matches(field, _FIELDS, 1, 0.8))
