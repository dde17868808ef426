"""Prometheus' configuration with places: what is scraped, how often, which rules, which Alertmanagers.

Source: prometheus.io/docs/prometheus/latest/configuration/configuration. VictoriaMetrics and vmagent read the
same ``scrape_configs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from infra_audit.monitoring.durations import seconds
from infra_audit.monitoring.located_yaml import text_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Address", "Job", "PrometheusConfig", "Relabeling", "Target", "read_config", "read_targets"]

DEFAULT_INTERVAL = 60.0
DEFAULT_TIMEOUT = 10.0


class Address(NamedTuple):
    """A host and a port; the port that the scheme gives where none is written."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Target(NamedTuple):
    """An address that is asked. ``labels``: what its group adds. ``each``: a name that stands for every replica."""

    address: Address
    place: Node | Span
    labels: dict[str, str]
    each: bool = False


class Relabeling(NamedTuple):
    """What relabelling may change. ``address``: a fixed address that replaces the targets' own, None without one.

    ``labels``: labels that it writes, "*" for any. ``drops``: True where it chooses among the targets.
    """

    labels: frozenset[str] = frozenset()
    drops: bool = False
    address: Target | None = None


class Job(NamedTuple):
    """One entry of ``scrape_configs``. Times are seconds.

    ``unknown``: why there may be other targets than those in ``targets``. ``metric_relabels``: True where metrics are
    renamed, dropped or relabelled after the scrape.
    """

    name: str
    node: Node
    scheme: str
    path: str
    interval: float | None
    timeout: float | None
    interval_place: Node
    timeout_place: Node
    targets: tuple[Target, ...]
    unknown: tuple[str, ...]
    relabeling: Relabeling
    metric_relabels: bool
    honors_labels: bool

    @property
    def is_federation(self) -> bool:
        return self.path.rstrip("/") == "/federate"


class PrometheusConfig(NamedTuple):
    """A whole configuration; ``interval`` and ``evaluation`` are seconds, None where they are no durations."""

    root: Node
    interval: float | None
    evaluation: float | None
    evaluation_place: Node
    jobs: tuple[Job, ...]
    rule_files: tuple[Node, ...]
    alertmanagers: tuple[Target, ...]
    alertmanagers_unknown: tuple[str, ...]
    external_labels: frozenset[str]
    receives: tuple[Node, ...]
    """Sections through which metrics come that no job scrapes."""


FileTargets = Callable[[Node], tuple[list[Target], list[str]]]
"""Reads a ``file_sd_configs`` entry: targets, and why there may be others."""


def read_config(root: Node, files: FileTargets) -> PrometheusConfig:
    """The configuration in a YAML tree. What has the wrong type is left out: promtool says so."""
    interval_node = root.get("global", "scrape_interval")
    timeout_node = root.get("global", "scrape_timeout")
    evaluation = root.get("global", "evaluation_interval")
    interval = _duration(interval_node, DEFAULT_INTERVAL)
    timeout = _duration(timeout_node, DEFAULT_TIMEOUT)
    usual = _Usual(root, interval, timeout, interval_node, timeout_node, files)
    jobs = root.get("scrape_configs")
    managers: list[Target] = []
    unknown: list[str] = []
    for entry in _entries(root.get("alerting", "alertmanagers")):
        found, why = _discovered(entry, files, "http")
        relabeling = _relabeling(entry.get("relabel_configs"), "http")
        managers += [relabeling.address] if relabeling.address is not None else found
        unknown += why
    external = root.get("global", "external_labels")
    return PrometheusConfig(
        root,
        interval,
        _duration(evaluation, DEFAULT_INTERVAL),
        evaluation or root.get("global") or root,
        tuple(_job(entry, usual) for entry in _entries(jobs) if entry.is_mapping),
        tuple(entry for entry in _entries(root.get("rule_files")) if isinstance(entry.value, str)),
        tuple(managers),
        tuple(unknown),
        frozenset(label for label, _ in external.items()) if external else frozenset(),
        tuple(node for node in (root.get("otlp"), root.get("remote_read")) if node is not None),
    )


class _Usual(NamedTuple):
    """What a job takes where it says nothing itself."""

    root: Node
    interval: float | None
    timeout: float | None
    interval_node: Node | None
    timeout_node: Node | None
    files: FileTargets


def _job(node: Node, usual: _Usual) -> Job:
    scheme = text_of(node.get("scheme")) or "http"
    interval_node, timeout_node = node.get("scrape_interval"), node.get("scrape_timeout")
    interval = _duration(interval_node, usual.interval)
    timeout = _duration(timeout_node, usual.timeout)
    if timeout_node is None and usual.timeout_node is None and interval is not None and timeout is not None:
        timeout = min(timeout, interval)  # an inherited default gives way to a shorter interval
    found, unknown = _discovered(node, usual.files, scheme)
    relabeling = _relabeling(node.get("relabel_configs"), scheme)
    if relabeling.address is not None:
        found = [relabeling.address] if found else []
    elif "__address__" in relabeling.labels or "*" in relabeling.labels:
        unknown.append("relabelling changes the addresses")
        found = []
    return Job(
        text_of(node.get("job_name")),
        node,
        scheme,
        text_of(node.get("metrics_path")) or "/metrics",
        interval,
        timeout,
        interval_node or usual.interval_node or node,
        timeout_node or usual.timeout_node or interval_node or node,
        tuple(found),
        tuple(dict.fromkeys(unknown)),
        relabeling,
        bool(_entries(node.get("metric_relabel_configs"))),
        (honor := node.get("honor_labels")) is not None and honor.value is True,
    )


def _entries(node: Node | None) -> list[Node]:
    return node.entries() if node is not None else []


def _duration(node: Node | None, usual: float | None) -> float | None:
    return usual if node is None or node.value is None else seconds(text_of(node))


# -- discovery ----------------------------------------------------------------------------------


def _discovered(node: Node, files: FileTargets, scheme: str) -> tuple[list[Target], list[str]]:
    """The targets that the files tell, and why there may be others."""
    targets: list[Target] = []
    unknown: list[str] = []
    for key, section in node.items():
        if not key.endswith("_configs") or key in (
            "relabel_configs",
            "metric_relabel_configs",
            "alert_relabel_configs",
        ):
            continue
        for entry in section.entries():
            if key == "static_configs":
                targets += read_targets(entry, scheme)
            elif key == "file_sd_configs":
                found, why = files(entry)
                targets += found
                unknown += why
            elif key == "dns_sd_configs":
                found, why = _dns(entry)
                targets += found
                unknown += why
            else:
                unknown.append(f"{key.removesuffix('_configs')} finds the targets")
    return targets, unknown


_HOST_PORT = Pattern(r"(?:[a-z]+://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>/.*)?")


def _address(text: str, scheme: str) -> Address | None:
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        return None
    return Address(match["host"], int(match["port"]) if match["port"] else 443 if scheme == "https" else 80)


def read_targets(group: Node, scheme: str) -> Iterator[Target]:
    """The targets of one group (of ``static_configs``, or of a file that file_sd reads)."""
    written = group.get("labels")
    labels = {label: text_of(value) for label, value in written.items()} if written else {}
    for entry in _entries(group.get("targets")):
        address = _address(text_of(entry), scheme)
        if address is not None:
            yield Target(address, entry, labels)


def _dns(entry: Node) -> tuple[list[Target], list[str]]:
    """DNS gives an address per replica for the name of a service (A) and nothing that the files tell for SRV."""
    port = entry.get("port")
    kind = text_of(entry.get("type")) or "SRV"
    if kind not in ("A", "AAAA") or port is None or not text_of(port).isdigit():
        return [], [f"DNS records of type {kind} name the targets"]
    number = int(text_of(port))
    return [Target(Address(text_of(name), number), name, {}, True) for name in _entries(entry.get("names"))], []


# -- relabelling --------------------------------------------------------------------------------


def _relabeling(node: Node | None, scheme: str) -> Relabeling:
    labels: set[str] = set()
    drops = False
    address: Target | None = None
    for entry in _entries(node):
        action = text_of(entry.get("action")) or "replace"
        label = text_of(entry.get("target_label"))
        if action in ("keep", "drop", "keepequal", "dropequal"):
            drops = True
        elif action == "labelmap":
            labels.add("*" if _maps_freely(text_of(entry.get("replacement"))) else "")
        elif action in ("labeldrop", "labelkeep"):
            continue
        elif label:
            labels.add(label)
            replacement = entry.get("replacement")
            fixed = text_of(replacement)
            if label == "__address__":
                parsed = _address(fixed, scheme) if fixed and "$" not in fixed else None
                address = Target(parsed, replacement, {}) if parsed is not None and replacement is not None else None
    labels.discard("")
    if address is not None:
        labels.discard("__address__")
    return Relabeling(frozenset(labels), drops, address)


def _maps_freely(replacement: str) -> bool:
    """True where a labelmap may write any label, and not only ones with a prefix of their own."""
    return not replacement or replacement.startswith(("$", "__"))
