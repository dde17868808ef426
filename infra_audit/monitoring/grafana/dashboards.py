"""Grafana dashboards of every schema as one model.

Three forms are read: the classic one (with ``rows`` of Grafana 4 and with ``panels``, nested in collapsed
rows or not), the classic one as a resource (``apiVersion``, ``metadata``, ``spec``) and the resource of the
second schema, in which elements and layout are apart. All give the same ``Dashboard``, so that what is
asked of a panel is asked once. Source: grafana.com/docs/grafana, "Dashboard JSON model" and "JSON schema v2".
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__ = [
    "Dashboard",
    "DatasourceRef",
    "Panel",
    "Target",
    "Variable",
    "datasource_ref",
    "is_dashboard",
    "is_wrapped",
    "read_dashboard",
    "text_of",
]

_RESOURCE = "dashboard.grafana.app/"


class DatasourceRef(NamedTuple):
    """A datasource as a panel, target or variable names it.

    ``name``: a uid, a name, a variable or one of Grafana's own words. ``type``: the plugin, "" where it is
    not said.
    """

    name: str
    type: str
    node: Node


class Target(NamedTuple):
    """A query of a panel. ``datasource``: its own, or None. ``expr``: the text of a PromQL or LogQL query.

    ``interval``: the shortest that $__interval may become, as written here or in the panel; "" where it is not said.
    """

    node: Node
    datasource: DatasourceRef | None
    expr: Node | None
    hidden: bool
    empty: bool
    instant: bool
    interval: str = ""


class Panel(NamedTuple):
    """What a panel is and asks.

    ``units``: every unit that it sets. ``library``: uid of the library panel that it shows, "" for one of
    its own; such a panel's content is not in the dashboard. ``textual``: it shows texts or values that are
    mapped to texts.
    """

    node: Node
    title: Node | None
    type: Node | None
    datasource: DatasourceRef | None
    targets: tuple[Target, ...] = ()
    units: tuple[Node, ...] = ()
    library: str = ""
    textual: bool = False

    @property
    def kind(self) -> str:
        return text_of(self.type)

    @property
    def place(self) -> Node:
        """Where a finding about the whole panel points."""
        return self.title or self.type or self.node


class Variable(NamedTuple):
    """A variable of a dashboard. ``kind``: query, datasource, custom, constant, interval, textbox, adhoc, groupby.

    ``plugin``: of a datasource variable, the type that it offers; ``query``: of a query variable, its text.
    """

    name: str
    kind: str
    node: Node
    place: Node
    datasource: DatasourceRef | None = None
    plugin: str = ""
    query: Node | None = None


class Dashboard(NamedTuple):
    """A dashboard. ``body``: the part that holds title and panels. ``form``: classic, resource, v2.

    ``annotations``: the datasources of its annotation queries. ``inputs``: name of each datasource that an
    import asks for (``DS_PROMETHEUS``) → its plugin. ``saved_by``: the schema's version, None where it is not said.
    """

    node: Node
    body: Node
    form: str
    title: Node | None
    uid: Node | None
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...]
    annotations: tuple[DatasourceRef, ...]
    inputs: dict[str, str]
    saved_by: int | None

    @property
    def place(self) -> Node:
        """Where a finding about the whole dashboard points."""
        first = next((child for _, child in self.node.items()), self.node)
        return self.title or self.uid or self.node.get("apiVersion") or first

    def variable(self, name: str) -> Variable | None:
        return next((one for one in self.variables if one.name == name), None)


def text_of(node: Node | None) -> str:
    """The text of a scalar; "" for anything else."""
    return node.value if node is not None and type(node.value) is str else ""


def is_wrapped(root: Node) -> bool:
    """True for what Grafana's API takes and gives, ``{"dashboard": …}``, which no file provider reads."""
    inner = root.get("dashboard")
    return inner is not None and inner.is_mapping and _is_classic(inner) and not _is_classic(root)


def is_dashboard(root: Node) -> bool:
    """True for what looks like a dashboard of any form, wrapped or not."""
    return _is_resource(root) or _is_classic(root) or is_wrapped(root)


def read_dashboard(root: Node) -> Dashboard:
    """The dashboard that a JSON (or YAML) text holds; what is not there is empty."""
    if _is_resource(root):
        body = root.get("spec") or root
        if body.get("elements") is not None or body.get("layout") is not None:
            from infra_audit.monitoring.grafana.schema_v2 import read_body

            return read_body(root, body)
        return _classic(root, body, "resource")
    return _classic(root, root, "classic")


def _is_resource(root: Node) -> bool:
    return text_of(root.get("apiVersion")).startswith(_RESOURCE)


def _is_classic(root: Node) -> bool:
    panels = root.get("panels") or root.get("rows")
    if panels is None or not panels.is_list:
        return False
    return any(root.get(key) is not None for key in ("title", "schemaVersion", "templating", "uid", "annotations"))


def _classic(root: Node, body: Node, form: str) -> Dashboard:
    version = body.get("schemaVersion")
    lists = [body.get(section, "list") for section in ("templating", "annotations")]
    variables, annotations = [node.entries() if node else [] for node in lists]
    refs = [datasource_ref(entry.get("datasource")) for entry in annotations]
    return Dashboard(
        root,
        body,
        form,
        _said(body.get("title")),
        _said(root.get("metadata", "name")) if form == "resource" else _said(body.get("uid")),
        tuple(_panels(body)),
        tuple(_variable(entry) for entry in variables if text_of(entry.get("name"))),
        tuple(ref for ref in refs if ref is not None),
        _inputs(body),
        version.value if version is not None and type(version.value) is int else None,
    )


def _said(node: Node | None) -> Node | None:
    """A node that holds a text worth the name."""
    return node if text_of(node).strip() else None


def _inputs(body: Node) -> dict[str, str]:
    inputs = body.get("__inputs")
    return {
        text_of(entry.get("name")): text_of(entry.get("pluginId"))
        for entry in (inputs.entries() if inputs else ())
        if text_of(entry.get("type")) == "datasource"
    }


# -- panels -------------------------------------------------------------------------------------


def _panels(body: Node) -> Iterator[Panel]:
    """Panels in the order of the file: of old rows, at the top, and nested in rows."""
    rows = body.get("rows")
    for row in rows.entries() if rows else ():
        yield from _panels(row)
    panels = body.get("panels")
    for node in panels.entries() if panels else ():
        if not node.is_mapping:
            continue
        if text_of(node.get("type")) != "row":
            yield _panel(node)
        yield from _panels(node)


def _panel(node: Node) -> Panel:
    targets = node.get("targets")
    interval = text_of(node.get("interval"))
    return Panel(
        node,
        node.get("title"),
        node.get("type"),
        datasource_ref(node.get("datasource")),
        tuple(_target(target, interval) for target in (targets.entries() if targets else ()) if target.is_mapping),
        tuple(_units(node)),
        text_of(node.get("libraryPanel", "uid")) or text_of(node.get("libraryPanel", "name")),
        _is_textual(node, node.get("fieldConfig"), node.get("options")),
    )


def datasource_ref(node: Node | None) -> DatasourceRef | None:
    """The datasource that a key names; None for the default one."""
    if node is None or node.value is None or node.value in ("", "default"):
        return None
    if node.is_mapping:
        uid = node.get("uid") or node.get("name")
        name = text_of(uid)
        return DatasourceRef(name, text_of(node.get("type")), uid) if uid is not None and name else None
    return DatasourceRef(str(node.value), "", node) if type(node.value) is str else None


_HOW = ("datasource", "hide", "format", "intervalFactor", "step", "interval", "legendFormat", "editorMode", "range")
_NO_QUERY = frozenset((*_HOW, "refId", "instant", "exemplar", "key", "metric", "textEditor", "type"))
"""Keys of a target that ask for nothing by themselves."""
_QUERIES = ("expr", "rawSql", "query", "target", "expression", "queryText", "rawQueryText", "measurement")


def target_parts(node: Node, body: Node) -> tuple[Node | None, bool]:
    """The PromQL or LogQL text of a query, and whether the query asks for nothing."""
    expr = body.get("expr")
    said = any(text_of(body.get(key)).strip() for key in _QUERIES)
    more = any(key not in _NO_QUERY and key not in _QUERIES and child.value for key, child in body.items())
    empty = not said and (expr is not None or not more)
    return (expr if text_of(expr).strip() else None), empty


def _target(node: Node, interval: str) -> Target:
    expr, empty = target_parts(node, node)
    instant = node.get("instant")
    return Target(
        node,
        datasource_ref(node.get("datasource")),
        expr,
        _is_true(node.get("hide")),
        empty,
        _is_true(instant),
        text_of(node.get("interval")) or interval,
    )


def _is_true(node: Node | None) -> bool:
    return node is not None and node.value is True


def _units(node: Node) -> Iterator[Node]:
    """Units of the panel wherever a version of Grafana kept them."""
    yield from field_units(node.get("fieldConfig"))
    yield from field_units(node.get("options", "fieldOptions"))
    for path in (("format",), ("options", "valueOptions", "unit"), ("yAxis", "format"), ("options", "yAxis", "unit")):
        found = node.get(*path)
        if found is not None and text_of(found):
            yield found
    axes = node.get("yaxes")
    for axis in axes.entries() if axes else ():
        shown = axis.get("show")
        unit = axis.get("format")
        if unit is not None and text_of(unit) and (shown is None or shown.value is not False):
            yield unit
    formats = node.get("y_formats")
    yield from formats.entries() if formats else ()
    styles = node.get("styles")
    for style in styles.entries() if styles else ():
        unit = style.get("unit")
        if unit is not None and text_of(unit):
            yield unit


def field_units(config: Node | None) -> Iterator[Node]:
    """Units in the defaults and overrides of a ``fieldConfig``."""
    if config is None:
        return
    unit = config.get("defaults", "unit")
    if unit is not None and text_of(unit):
        yield unit
    overrides = config.get("overrides")
    for override in overrides.entries() if overrides else ():
        properties = override.get("properties")
        for entry in properties.entries() if properties else ():
            value = entry.get("value")
            if text_of(entry.get("id")) == "unit" and value is not None:
                yield value


def _is_textual(node: Node, config: Node | None, options: Node | None) -> bool:
    old = node.get("valueMaps") or node.get("mappings")
    return is_textual(config, options) or bool(old is not None and any(entry.get("text") for entry in old.entries()))


def is_textual(config: Node | None, options: Node | None) -> bool:
    """True where values are mapped to texts, or a stat shows a name instead of its value."""
    mappings = config.get("defaults", "mappings") if config else None
    if mappings is not None and any(text_of(entry.get("type")) != "special" for entry in mappings.entries()):
        return True
    mode = text_of(options.get("textMode")) if options else ""
    fields = text_of(options.get("reduceOptions", "fields")) if options else ""
    return mode in ("name", "none") or bool(fields)


# -- variables ----------------------------------------------------------------------------------


def _variable(node: Node) -> Variable:
    kind = text_of(node.get("type")) or "query"
    query = node.get("query")
    plugin = text_of(query) if kind == "datasource" else ""
    if query is not None and query.is_mapping:
        query = query.get("query")
    return Variable(
        text_of(node.get("name")),
        kind,
        node,
        node.get("name") or node,
        datasource_ref(node.get("datasource")),
        plugin,
        query if kind == "query" and text_of(query) else None,
    )
