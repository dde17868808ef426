"""The topology of a deployment as a graph: services by layer, networks, who talks to whom, who watches whom.

The layout is Graphviz's (or Mermaid's); here are only nodes, edges and their texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from html import escape
from typing import NamedTuple

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.grafana import datasource_of
from infra_audit.facts.grafana_references import host_of
from infra_audit.facts.prometheus import servers
from infra_audit.facts.proxies import upstreams_of
from infra_audit.facts.references import references_of
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.scrapes import scrapes_of, target_service
from infra_audit.facts.topology import topology_of
from infra_audit.finding import Finding, Severity
from infra_audit.layers import LAYERS, layer_of

__all__ = ["Edge", "Graph", "NetworkNode", "ServiceNode", "dot", "graph", "mermaid"]


class ServiceNode(NamedTuple):
    """A service. ``findings``: how many count, by severity; ``worst`` is None without any."""

    name: str
    layer: str
    replicas: str
    image: str
    networks: tuple[str, ...]
    findings: Counter[Severity]

    @property
    def worst(self) -> Severity | None:
        return max(self.findings, default=None)

    @property
    def found(self) -> str:
        """What was found, in words: "1 error, 2 warnings"."""
        ordered = (severity for severity in reversed(Severity) if self.findings[severity])
        return ", ".join(_words(severity, self.findings[severity]) for severity in ordered)


def _words(severity: Severity, number: int) -> str:
    return f"{number} {severity.name}{'' if number == 1 or severity is Severity.info else 's'}"


class NetworkNode(NamedTuple):
    """A network with its subnet, where the files give one."""

    name: str
    detail: str


class Edge(NamedTuple):
    """From a service to another one. ``kind``: talks, waits (depends_on alone), watches, queries, alerts."""

    source: str
    target: str
    kind: str


class Graph(NamedTuple):
    """The whole; ``networks`` are those that services are on."""

    name: str
    services: tuple[ServiceNode, ...]
    networks: tuple[NetworkNode, ...]
    edges: tuple[Edge, ...]

    def layers(self) -> Iterator[tuple[str, list[ServiceNode]]]:
        for layer in LAYERS:
            here = [service for service in self.services if service.layer == layer]
            if here:
                yield layer, here


def graph(deployment: Deployment, findings: Iterable[Finding] = (), *, monitoring: bool = False) -> Graph:
    """``findings`` colour the services that they are about; ``monitoring`` adds who watches whom."""
    counts = _counts(findings)
    services = deployment.subjects("service")
    edges = dict.fromkeys(edge for service in services for edge in _flows(service))
    if monitoring:
        for part in (_scraping, _querying):
            with suppress(InfraAuditError):  # what cannot be read is a gap of the audit, and no arrow
                edges |= dict.fromkeys(part(deployment))
    talking = {(edge.source, edge.target) for edge in edges}
    waits = (edge for service in services for edge in _waits(service) if (edge.source, edge.target) not in talking)
    nodes = tuple(_service(service, counts.get(service.name, Counter())) for service in services)
    used = {network for node in nodes for network in node.networks}
    return Graph(
        deployment.name,
        nodes,
        tuple(_network(network) for network in deployment.subjects("network") if network.name in used),
        (*edges, *dict.fromkeys(waits)),
    )


_PARTS = frozenset(("service", "container", "port", "mount", "dependency"))
"""Kinds of subjects whose names begin with a service's."""


def _counts(findings: Iterable[Finding]) -> dict[str, Counter[Severity]]:
    """Findings that count by the service that they are about, or a part of it (web/8080)."""
    counts: dict[str, Counter[Severity]] = {}
    for finding in findings:
        if finding.suppressed is None and not finding.folded and finding.subject.kind in _PARTS:
            counts.setdefault(finding.subject.name.split("/")[0], Counter())[finding.severity] += 1
    return counts


def _service(service: Subject, findings: Counter[Severity]) -> ServiceNode:
    replicas = evaluate(service, "service.replicas")
    number = replicas.value if isinstance(replicas, Known) else "?"
    image = service.node.get("image")
    name = "" if image is None or not isinstance(image.value, str) else image.value.split("@")[0].rsplit("/", 1)[-1]
    times = "" if number == 1 else f" ×{number}"
    networks = tuple(topology_of(service.deployment).attachment(service).networks)
    return ServiceNode(service.name, layer_of(service), times, name if name.isprintable() else "", networks, findings)


def _network(network: Subject) -> NetworkNode:
    subnet = evaluate(network, "network.subnet")
    return NetworkNode(network.name, str(subnet.value) if isinstance(subnet, Known) and subnet.value else "")


def _flows(service: Subject) -> Iterator[Edge]:
    """Other services that the service names in its settings, or sends requests on to."""
    topology = topology_of(service.deployment)
    hosts = [reference.host for reference in references_of(service)]
    hosts += [upstream.host for upstream in upstreams_of(service).upstreams]
    for target in dict.fromkeys(name for host in hosts for name in topology.named(host)[:1]):
        if target != service.name:
            yield Edge(service.name, target, "talks")


def _waits(service: Subject) -> Iterator[Edge]:
    needed = service.node.get("depends_on")
    for name, _ in needed.items() if needed else ():
        if service.deployment.service(name) is not None:
            yield Edge(service.name, name, "waits")


def _scraping(deployment: Deployment) -> Iterator[Edge]:
    """Scrapes, and alerts that are sent on."""
    for scrape in scrapes_of(deployment):
        if scrape.service is not None and scrape.service is not scrape.server.service:
            yield Edge(scrape.server.service.name, scrape.service.name, "watches")
    for server in servers(deployment):
        for target in server.config.alertmanagers if server.config else ():
            found = target_service(server.service, target.address.host)
            if found is not None:
                yield Edge(server.service.name, found.name, "alerts")


def _querying(deployment: Deployment) -> Iterator[Edge]:
    """What Grafana asks."""
    for subject in deployment.subjects("datasource"):
        datasource = datasource_of(subject)
        if datasource.url is not None and subject.parent is not None:
            found = target_service(subject.parent, host_of(datasource)[0])
            if found is not None and found is not subject.parent:
                yield Edge(subject.parent.name, found.name, "queries")


# -- Graphviz ------------------------------------------------------------------------------------

_FILL = {Severity.error: "#f8d0cc", Severity.warning: "#fbe3b9", Severity.info: "#d5e6f7", None: "#ffffff"}
_LINE = {Severity.error: "#b3261e", Severity.warning: "#a86400", Severity.info: "#2f6cab", None: "#5f6368"}
_CHIPS = ("#cfe8d5", "#d9d2f0", "#cde3f5", "#f6dcc0", "#f3cfe0", "#e3e6b8", "#c9ebe8", "#dddddd")
"""Colours of networks, in their order."""

_EDGES = {
    "talks": 'color="#3c4043"',
    "waits": 'color="#9aa0a6", style=dashed',
    "watches": 'color="#188038", style=dashed, arrowhead=vee',
    "queries": 'color="#7b1fa2", style=dashed, arrowhead=vee',
    "alerts": 'color="#b3261e", style=dashed, arrowhead=vee',
}
_MEANING = {
    "talks": "black: talks to",
    "waits": "grey: waits for",
    "watches": "green: watches",
    "queries": "violet: queries",
    "alerts": "red: sends alerts to",
}


def dot(drawn: Graph) -> str:
    """The graph in Graphviz's language."""
    ids = {service.name: f"s{number}" for number, service in enumerate(drawn.services)}
    chips = {network.name: _CHIPS[number % len(_CHIPS)] for number, network in enumerate(drawn.networks)}
    lines = [
        "digraph deployment {",
        f"  label=<{_legend(drawn, chips)}>; labelloc=t; fontsize=11;",
        '  rankdir=LR; ranksep=0.9; nodesep=0.25; fontname="DejaVu Sans"; newrank=true;',
        '  node [fontname="DejaVu Sans", fontsize=11, shape=box, style="rounded,filled"];',
        '  edge [fontname="DejaVu Sans", fontsize=9];',
    ]
    for number, (layer, here) in enumerate(drawn.layers()):
        lines += [f"  subgraph cluster_{number} {{", f'    label="{layer}"; style=rounded; color="#dadce0";']
        for service in here:
            colors = f'color="{_LINE[service.worst]}", fillcolor="{_FILL[service.worst]}"'
            lines.append(f"    {ids[service.name]} [label=<{_box(service, chips)}>, {colors}];")
        lines.append("  }")
    lines += [f"  {ids[edge.source]} -> {ids[edge.target]} [{_EDGES[edge.kind]}];" for edge in drawn.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _box(service: ServiceNode, chips: Mapping[str, str]) -> str:
    """Name, image, what was found, and a coloured chip for each network."""
    rows = [f"<b>{escape(service.name + service.replicas)}</b>"]
    rows += [escape(text) for text in (service.image, service.found) if text]
    cells = "".join(
        f'<td bgcolor="{chips.get(network, "#ffffff")}"><font point-size="9">{escape(network)}</font></td>'
        for network in service.networks
    )
    table = f'<table border="0" cellborder="0" cellspacing="2" cellpadding="2"><tr>{cells}</tr></table>'
    body = "".join(f"<tr><td>{row}</td></tr>" for row in (*rows, *([table] if cells else [])))
    return f'<table border="0" cellspacing="0" cellpadding="1">{body}</table>'


def _legend(drawn: Graph, chips: Mapping[str, str]) -> str:
    """The name, the networks with their subnets, and what the arrows mean."""
    cells = "".join(
        f'<td bgcolor="{chips[network.name]}">{escape(" ".join(filter(None, network)))}</td>'
        for network in drawn.networks
    )
    networks = f'<table border="0" cellborder="0" cellspacing="4" cellpadding="3"><tr>{cells}</tr></table>'
    words = ", ".join(text for kind, text in _MEANING.items() if any(edge.kind == kind for edge in drawn.edges))
    rows = [f'<font point-size="16"><b>{escape(drawn.name)}</b></font>', *([networks] if cells else [])]
    body = "".join(f"<tr><td>{row}</td></tr>" for row in (*rows, *([words] if words else [])))
    return f'<table border="0" cellspacing="0" cellpadding="2">{body}</table>'


# -- Mermaid -------------------------------------------------------------------------------------

_SAID = {"waits": "waits for", "watches": "watches", "queries": "queries", "alerts": "alerts"}


def mermaid(drawn: Graph) -> str:
    """The graph as Mermaid, which GitHub and GitLab draw in Markdown."""
    ids = {service.name: f"s{number}" for number, service in enumerate(drawn.services)}
    lines = ["flowchart LR"]
    for layer, here in drawn.layers():
        lines += [f"  subgraph {layer}"]
        for service in here:
            kind = f":::{service.worst.name}" if service.worst else ""
            texts = (service.name + service.replicas, service.image, service.found, " · ".join(service.networks))
            lines.append(f"    {ids[service.name]}[{_text(texts)}]{kind}")
        lines.append("  end")
    if drawn.networks:
        lines += ["  subgraph networks"]
        lines += [f"    n{number}([{_text(network)}])" for number, network in enumerate(drawn.networks)]
        lines.append("  end")
    for edge in drawn.edges:
        arrow = "-->" if edge.kind == "talks" else f'-. "{_SAID[edge.kind]}" .->'
        lines.append(f"  {ids[edge.source]} {arrow} {ids[edge.target]}")
    for severity in reversed(Severity):
        if any(service.worst is severity for service in drawn.services):
            lines.append(f"  classDef {severity.name} fill:{_FILL[severity]},stroke:{_LINE[severity]},color:#202124")
    return "\n".join(lines) + "\n"


def _text(lines: Iterable[str]) -> str:
    """Lines in quotes; characters that mean something to Mermaid become its entities."""
    plain = (
        "".join(char if char.isalnum() or char in " .,:/_-×·" else f"#{ord(char)};" for char in line) for line in lines
    )
    return f'"{"<br>".join(filter(None, plain))}"'
