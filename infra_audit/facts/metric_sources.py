"""Where a metric comes from: recording rules, exporters that are scraped, and what services are said to export."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import ReadError
from infra_audit.facts.expressions import expression_of, query_of
from infra_audit.facts.prometheus import product_of, servers
from infra_audit.facts.rule_files import rule_of
from infra_audit.facts.scrapes import Scrape, scrapes_of
from infra_audit.facts.services import command_words, environment_items, image_of
from infra_audit.facts.target_checks import exports_nothing
from infra_audit.hints import did_you_mean
from infra_audit.monitoring.catalogue import Exporter, Metric, exporters, generated, owner_of, read_exposition
from infra_audit.monitoring.prometheus_config import Job
from infra_audit.monitoring.promql_labels import Labels, labels_of
from infra_audit.named import NamedTuple, field, record
from infra_audit.source import display_path

__all__ = ["Answer", "Sources", "sources_of"]

_RELAYS = frozenset(("pushgateway", "otel-collector", "vmagent", "victoriametrics"))
"""Products through which any program's metrics may come."""

_EXTENSIONS = ("extend.query", "EXTEND_QUERY", "textfile", "config.file", "check-keys", "script", "custom")
"""Options and variables that let an exporter export more than it does by itself."""


class Answer(NamedTuple):
    """What is known about a metric.

    ``state``: "there", "missing" or "unknown"; ``why``: the reason of the last two. ``scrapes``: what exports it.
    ``metric``: its type and labels, where they are known, whatever the state. ``rules``: what records it.
    """

    state: str
    why: str = ""
    metric: Metric | None = None
    scrapes: tuple[Scrape, ...] = ()
    rules: tuple[Subject, ...] = ()


class _Source(NamedTuple):
    """What one target exports. ``metrics`` is None where that is not known, and ``why`` says so.

    ``anything``: True where any program's metrics may come through it.
    """

    scrape: Scrape
    metrics: dict[str, Metric] | None
    exporter: Exporter | None = None
    why: str = ""
    anything: bool = False
    extended: bool = False


@record
class Sources:
    """All sources of a deployment."""

    deployment: Deployment
    sources: list[_Source]
    recorded: dict[str, list[Subject]]
    blanket: str
    """Why metrics may come from anywhere, "" where they may not."""
    _answers: dict[str, Answer] = field(default_factory=dict)

    def answer(self, name: str) -> Answer:
        known = self._answers.get(name)
        if known is None:
            known = self._answers[name] = self._answer(name)
        return known

    def type_of(self, name: str) -> str:
        """The type of a metric; "" where it is not known. One that several sources type differently has none."""
        metric = self.answer(name).metric
        return metric.type if metric is not None else ""

    def labels_of(self, name: str) -> Labels | None:
        """The labels of a recorded metric, from its rule; None for any other."""
        found = self.recorded.get(name, ())
        results = set()
        for subject in found:
            query = query_of(expression_of(subject))
            if query.parsed is None:
                return None
            results.add(labels_of(query.parsed.tree, lambda inner: None).with_labels(rule_of(subject).labels))
        return results.pop() if len(results) == 1 else None

    def intervals(self, name: str) -> list[Job]:
        """The jobs that bring a metric."""
        return [scrape.job for scrape in self.answer(name).scrapes]

    def _answer(self, name: str) -> Answer:
        made = generated(name)
        if made is not None:
            return Answer("there", metric=made)
        rules = self.recorded.get(name)
        if rules:
            return Answer("there", metric=self._exported(name)[1], rules=tuple(rules))
        found, metric = self._exported(name)
        if found:
            return Answer("there", metric=metric, scrapes=tuple(found))
        return self._absent(name)

    def _exported(self, name: str) -> tuple[list[Scrape], Metric | None]:
        found = [source for source in self.sources if source.metrics is not None and name in source.metrics]
        kinds = {source.metrics[name] for source in found if source.metrics is not None}
        types = {metric.type for metric in kinds}
        one = next(iter(kinds)) if len(types) == 1 else None
        return [source.scrape for source in found], one

    def _absent(self, name: str) -> Answer:
        owner = owner_of(name)
        metric = owner.metrics.get(name) if owner is not None else None
        if self.blanket:
            return Answer("unknown", self.blanket, metric)
        if ":" in name:  # the mark of a recording rule
            vague = next(
                (entry.why for server in servers(self.deployment) for entry in server.entries if entry.why), ""
            )
            return Answer("unknown", vague) if vague else Answer("missing", "no rule records it")
        vague = next((source.why for source in self.sources if source.anything), "")
        if vague:
            return Answer("unknown", vague, metric)
        if owner is not None:
            return self._absent_of(owner, name, metric)
        undeclared = list(dict.fromkeys(source.why for source in self.sources if source.metrics is None))
        if undeclared:
            return Answer("unknown", "; ".join(undeclared[:3]), metric)
        for source in self.sources:
            if source.exporter is not None and source.exporter.may_export(name):
                return Answer("unknown", f"{source.exporter.name} exports it on some machines only", metric)
        return Answer("missing", f"nothing that is scraped exports it{self._near(name)}", metric)

    def _absent_of(self, owner: Exporter, name: str, metric: Metric | None) -> Answer:
        """A metric of an exporter that is known by the first word of its name."""
        own = [source for source in self.sources if source.exporter is owner]
        if not own:
            other = next((source.why for source in self.sources if source.metrics is None and _may_be(source)), "")
            if other:
                return Answer("unknown", other, metric)
            return Answer("missing", f"{owner.name} exports it, and no job scrapes one", metric)
        if any(source.extended for source in own):
            return Answer("unknown", f"{owner.name} is told to export more than it does by itself", metric)
        if owner.may_export(name):
            return Answer("unknown", f"{owner.name} exports it in some versions or on some machines only", metric)
        return Answer("missing", f"{owner.name} does not export it{did_you_mean(name, owner.metrics)}", metric)

    def _near(self, name: str) -> str:
        names = {one for source in self.sources for one in source.metrics or ()} | set(self.recorded)
        return did_you_mean(name, names)


def sources_of(deployment: Deployment) -> Sources:
    """The sources of a deployment; read once."""
    known = deployment.root.cache.get("(metric sources)")
    if not isinstance(known, Sources):
        known = deployment.root.cache["(metric sources)"] = _read(deployment)
    return known


def _read(deployment: Deployment) -> Sources:
    recorded: dict[str, list[Subject]] = {}
    for rule in deployment.subjects("recording_rule"):
        recorded.setdefault(rule_of(rule).name, []).append(rule)
    sources = [_source(scrape) for scrape in scrapes_of(deployment)]
    return Sources(deployment, sources, recorded, _blanket(deployment))


def _blanket(deployment: Deployment) -> str:
    """Why metrics may come that no known target exports."""
    scraping = [server for server in servers(deployment) if server.product != "vmalert"]
    if not scraping:
        return "no Prometheus is in the files"
    for server in scraping:
        if server.receives is not None:
            return f"metrics may be pushed to {server.service.name}"
        if server.config is None:
            return server.why
        for job in server.config.jobs:
            if job.unknown:
                return f"the targets of job {job.name} are not known: {job.unknown[0]}"
            if job.is_federation:
                return f"job {job.name} takes the metrics of another Prometheus"
            if job.metric_relabels:
                return f"job {job.name} relabels metrics after the scrape"
    return ""


def _source(scrape: Scrape) -> _Source:
    """What one target exports."""
    service = scrape.service
    if exports_nothing(scrape):
        return _Source(scrape, {})
    declared = _declared(scrape)
    if declared is not None:
        return declared
    if service is None:
        return _Source(scrape, None, why=f"what {scrape.target.address} exports is not known")
    product = product_of(service)
    if product in _RELAYS:
        return _Source(scrape, None, why=f"{service.name} passes on metrics of others", anything=True)
    exporter = exporters().get(product or "")
    if exporter is None:
        return _Source(scrape, None, why=f"no file says which metrics {service.name} exports")
    return _Source(scrape, exporter.metrics, exporter, extended=_is_extended(service))


def _declared(scrape: Scrape) -> _Source | None:
    """What the configuration's files say about a service or job."""
    deployment = scrape.server.service.deployment
    name = scrape.service.name if scrape.service is not None else scrape.job.name
    metrics: dict[str, Metric] = {}
    paths = [path for glob, files in deployment.metrics.items() if fnmatchcase(name, glob) for path in files]
    for path in paths:
        try:
            metrics.update(_exposition(deployment, path))
        except ReadError:
            return _Source(scrape, None, why=f"{display_path(path)}, which says what {name} exports, cannot be read")
    return _Source(scrape, metrics) if paths else None


def _exposition(deployment: Deployment, path: str) -> dict[str, Metric]:
    cache = deployment.root.cache
    key = f"(metrics of {os.path.abspath(path)})"
    known = cache.get(key)
    if not isinstance(known, dict):
        known = cache[key] = read_exposition(deployment.reader.read(path).text)
    return known


def _is_extended(service: Subject) -> bool:
    texts = [word.text for word in command_words(service)] + [name for name, _ in environment_items(service)]
    return any(part in text for text in texts for part in _EXTENSIONS)


def _may_be(source: _Source) -> bool:
    """True for a target whose image may be another build of an exporter."""
    service = source.scrape.service
    return service is None or (image_of(service) is not None and service.node.get("build") is None)
