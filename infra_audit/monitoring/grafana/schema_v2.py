"""Dashboards of the second schema in the terms of the first.

Names changed between its versions: the plugin of a query or a visualisation stands under ``kind`` in
v2alpha1 and under ``group`` later, a datasource under ``datasource.uid`` or ``datasource.name``.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.monitoring.grafana.dashboards import (
    Dashboard,
    DatasourceRef,
    Panel,
    Target,
    Variable,
    datasource_ref,
    field_units,
    is_textual,
    target_parts,
    text_of,
)
from infra_audit.tree import Node

__all__ = ["read_body"]

_KINDS = frozenset(("DataQuery", "VizConfig", ""))


def read_body(root: Node, body: Node) -> Dashboard:
    """The dashboard whose ``spec`` is ``body``."""
    elements, variables, annotations = body.get("elements"), body.get("variables"), body.get("annotations")
    title, name = body.get("title"), root.get("metadata", "name")
    refs = [_query_datasource(entry.get("spec")) for entry in (annotations.entries() if annotations else ())]
    return Dashboard(
        root,
        body,
        "v2",
        title if text_of(title).strip() else None,
        name if text_of(name).strip() else None,
        tuple(_panel(node) for _, node in (elements.items() if elements else ())),
        tuple(_variables(variables.entries() if variables else [])),
        tuple(ref for ref in refs if ref is not None),
        {},
        None,
    )


def _plugin(node: Node | None) -> Node | None:
    """Where a query or visualisation names its plugin."""
    if node is None:
        return None
    group = node.get("group")
    if text_of(group):
        return group
    kind = node.get("kind")
    return kind if text_of(kind) not in _KINDS else None


def _panel(node: Node) -> Panel:
    spec = node.get("spec") or node
    viz = spec.get("vizConfig")
    config, options = (viz.get("spec", key) if viz else None for key in ("fieldConfig", "options"))
    queries = spec.get("data", "spec", "queries")
    interval = text_of(spec.get("data", "spec", "queryOptions", "interval"))
    library = text_of(spec.get("libraryPanel", "uid")) or text_of(spec.get("libraryPanel", "name"))
    if not library and text_of(node.get("kind")) == "LibraryPanel":
        library = text_of(spec.get("title")) or "?"
    return Panel(
        node,
        spec.get("title"),
        _plugin(viz),
        None,
        tuple(_target(query, interval) for query in (queries.entries() if queries else ())),
        tuple(field_units(config)),
        library,
        is_textual(config, options),
    )


def _target(node: Node, interval: str) -> Target:
    spec = node.get("spec") or node
    query = spec.get("query") or spec
    asked = query.get("spec") or query
    expr, empty = target_parts(node, asked)
    hidden, instant = spec.get("hidden"), asked.get("instant")
    return Target(
        node,
        _query_datasource(spec),
        expr,
        hidden is not None and hidden.value is True,
        empty,
        instant is not None and instant.value is True,
        text_of(asked.get("interval")) or interval,
    )


def _query_datasource(spec: Node | None) -> DatasourceRef | None:
    """The datasource of what holds a ``query``, with the plugin that the query names."""
    if spec is None:
        return None
    query = spec.get("query")
    plugin = text_of(_plugin(query))
    for node in (spec.get("datasource"), query.get("datasource") if query else None):
        ref = datasource_ref(node)
        if ref is not None:
            return ref._replace(type=ref.type or plugin)
    named = _plugin(query)
    return DatasourceRef("", plugin, named) if named is not None else None


_VARIABLES = {
    "QueryVariable": "query",
    "DatasourceVariable": "datasource",
    "CustomVariable": "custom",
    "ConstantVariable": "constant",
    "IntervalVariable": "interval",
    "TextVariable": "textbox",
    "AdhocVariable": "adhoc",
    "GroupByVariable": "groupby",
    "SwitchVariable": "switch",
}


def _variables(entries: list[Node]) -> Iterator[Variable]:
    for node in entries:
        spec = node.get("spec") or node
        name = spec.get("name")
        if name is None or not text_of(name):
            continue
        kind = _VARIABLES.get(text_of(node.get("kind")), "other")
        query = spec.get("query", "spec", "query")
        datasource = _query_datasource(spec)
        yield Variable(
            text_of(name),
            kind,
            node,
            name,
            datasource if datasource is not None and datasource.name else None,
            text_of(spec.get("pluginId")) if kind == "datasource" else "",
            query if kind == "query" and text_of(query) else None,
        )
