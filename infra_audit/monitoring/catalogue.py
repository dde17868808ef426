"""Which metrics exporters provide: data files made from their own answers, and a reader of such answers.

A file of ``exporters/`` holds ``exporter`` (its name), ``version``, ``match`` (the products that
``facts.products`` names), ``port``, and ``metrics``: name → ``type`` (counter, gauge, histogram, summary,
untyped) and ``labels``. ``varies`` are globs of names that depend on the machine, on options or on the version,
so that their absence proves nothing.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["GENERIC", "Exporter", "Metric", "exporters", "generated", "owner_of", "read_exposition"]

GENERIC = frozenset(("go", "process", "promhttp", "python", "http", "scrape", "jvm", "nodejs", "net", "postgres", ""))
"""First words of names that any program may export."""

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exporters")


class Metric(NamedTuple):
    """The type of a series by its own name (the ``_bucket`` of a histogram is a counter) and its labels."""

    type: str
    labels: frozenset[str]


class Exporter(NamedTuple):
    """What one program exports."""

    name: str
    version: str
    products: tuple[str, ...]
    metrics: dict[str, Metric]
    namespaces: dict[str, int]
    """First words of its metrics' names, and of how many: the words by which an exporter is known."""
    varies: tuple[str, ...]

    def may_export(self, metric: str) -> bool:
        """True for a name that another version, option or machine may bring."""
        return any(fnmatchcase(metric, glob) for glob in self.varies)


@cache
def exporters() -> dict[str, Exporter]:
    """The exporters of the data files, by product."""
    found: dict[str, Exporter] = {}
    for name in sorted(os.listdir(_FOLDER)) if os.path.isdir(_FOLDER) else ():
        if not name.endswith(".json"):
            continue
        with open(os.path.join(_FOLDER, name), encoding="utf-8") as stream:
            exporter = _exporter(json.load(stream))
        found.update(dict.fromkeys(exporter.products, exporter))
    return found


def _exporter(data: dict[str, object]) -> Exporter:
    metrics: dict[str, Metric] = {}
    written = data["metrics"]
    assert isinstance(written, dict)
    for name, about in written.items():
        metrics.update(_series(name, about["type"], about.get("labels") or ()))
    varies = data.get("varies")
    globs = tuple(varies) if isinstance(varies, list) else ()
    names = [*written, *(() if written else globs)]
    namespaces = Counter(word for name in names if (word := name.partition("_")[0]) not in GENERIC)
    match = data.get("match")
    products = match if isinstance(match, list) else [str(data["exporter"]).replace("_", "-")]
    return Exporter(
        str(data["exporter"]),
        str(data["version"]),
        tuple(products),
        metrics,
        dict(namespaces),
        globs,
    )


def owner_of(metric: str) -> Exporter | None:
    """The exporter that is known by the first word of a metric's name, such as node_exporter by ``node``."""
    word = metric.partition("_")[0]
    owners = [one for one in exporters().values() if word in one.namespaces]
    return max(owners, key=lambda one: (metric in one.metrics, one.namespaces[word]), default=None)


def _series(name: str, kind: str, labels: Iterable[str]) -> dict[str, Metric]:
    """The series that one family of metrics gives."""
    own = frozenset(labels) - {"le", "quantile"}
    if kind == "histogram":
        return {
            f"{name}_bucket": Metric("counter", own | {"le"}),
            f"{name}_sum": Metric("counter", own),
            f"{name}_count": Metric("counter", own),
        }
    if kind == "summary":
        return {
            name: Metric("gauge", own | {"quantile"}),
            f"{name}_sum": Metric("counter", own),
            f"{name}_count": Metric("counter", own),
        }
    return {name: Metric(kind, frozenset(labels))}


def generated(metric: str) -> Metric | None:
    """What Prometheus makes by itself for every target and every alert."""
    if metric in ("up", "ALERTS", "ALERTS_FOR_STATE") or metric.startswith("scrape_"):
        labels = {"alertname", "alertstate"} if metric.startswith("ALERTS") else set[str]()
        return Metric("gauge", frozenset(labels))
    return None


_TYPE = Pattern(r"#\s*TYPE\s+(?P<name>[a-zA-Z_:][\w:]*)\s+(?P<type>\w+)\s*")
_SAMPLE = Pattern(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>.*)\})?\s+[-+]?(?:[0-9.]\S*|[Ii]nf|NaN)(?:\s.*)?")
_LABEL = Pattern(r"([a-zA-Z_]\w*)\s*=\s*\"(?:[^\"\\]|\\.)*\"")


def read_exposition(text: str) -> dict[str, Metric]:
    """The series of an answer in Prometheus' text format; a family without samples has no labels of its own.

    Source: prometheus.io/docs/instrumenting/exposition_formats. Lines that are none are left out.
    """
    types: dict[str, str] = {}
    labels: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _TYPE.fullmatch(line):
            kind = match["type"]
            types[match["name"]] = kind if kind != "unknown" else "untyped"
        elif (match := _SAMPLE.fullmatch(line)) and not line.startswith("#"):
            labels.setdefault(match["name"], set()).update(_LABEL.findall(match["labels"] or ""))
    found: dict[str, Metric] = {}
    families: set[str] = set()
    for name, kind in types.items():
        family = [name, f"{name}_bucket", f"{name}_sum", f"{name}_count"]
        if kind == "counter" and f"{name}_total" in labels:  # OpenMetrics: the type is the family's
            family.append(f"{name}_total")
            found[f"{name}_total"] = Metric("counter", frozenset(labels[f"{name}_total"]))
        else:
            found.update(_series(name, kind, {label for one in family for label in labels.get(one, ())}))
        families.update(family)
    for name, own in labels.items():
        if name not in families:
            found[name] = Metric("untyped", frozenset(own))
    return found
