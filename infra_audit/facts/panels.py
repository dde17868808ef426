"""Facts about panels: what they ask, and how they show it."""

from __future__ import annotations

from collections.abc import Iterator, Set

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.expressions import Query, query_of, query_subject
from infra_audit.facts.grafana import dashboard_of, grafana_for, panel_of
from infra_audit.facts.grafana_references import asked, host_of, meant, speaks_promql
from infra_audit.facts.metric_sources import sources_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact
from infra_audit.facts.topology import topology_of
from infra_audit.monitoring.durations import seconds
from infra_audit.monitoring.grafana.dashboards import DatasourceRef, Panel, Target, text_of
from infra_audit.monitoring.grafana.panel_types import NUMERIC, QUERYING, REMOVED
from infra_audit.monitoring.grafana_macros import Piece, is_variable, substitute
from infra_audit.monitoring.promql_tokens import Place
from infra_audit.monitoring.quantities import quantity
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["Asked", "find_expressions", "queries_of"]


_STRING = Pattern(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")


class Asked(NamedTuple):
    """A query in PromQL, or in what may be it. ``promql``: None where the datasource's type is not known."""

    subject: Subject
    target: Target
    ref: DatasourceRef | None
    promql: bool | None

    @property
    def query(self) -> Query:
        return query_of(self.subject)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Grafana's variables in the query, with their places in it."""
        return substitute(self.query.text).pieces if "$" in self.query.text or "[[" in self.query.text else ()


def queries_of(subject: Subject) -> list[Asked]:
    """The queries of a panel that go to Prometheus, or may; found once."""
    known: list[Asked] | None = subject.cache.get("(queries)")
    if known is None:
        known = subject.cache["(queries)"] = list(_queries(subject))
    return known


def _queries(subject: Subject) -> Iterator[Asked]:
    for number, (target, ref) in enumerate(asked(panel_of(subject)), 1):
        promql = speaks_promql(subject, ref) if target.expr is not None else False
        if promql is not False and target.expr is not None:
            yield Asked(query_subject(subject, target.expr, number, grafana=True), target, ref, promql)


def find_expressions(deployment: Deployment) -> Iterator[Subject]:
    """The expressions of all panels that ask Prometheus for sure."""
    for panel in deployment.subjects("panel"):
        yield from (one.subject for one in queries_of(panel) if one.promql)


# -- what it is ---------------------------------------------------------------------------------


@fact("panel.type", on="panel")
def panel_type(subject: Subject) -> Fact[str]:
    """The panel's plugin: timeseries, stat, table, …"""
    panel = panel_of(subject)
    return Known(panel.kind, panel.type or panel.node)


@fact("panel.title", on="panel")
def title(subject: Subject) -> Fact[str | None]:
    """The panel's title; None where it is blank."""
    panel = panel_of(subject)
    return Known(text_of(panel.title).strip() or None, panel.place)


@fact("panel.is_library", on="panel")
def is_library(subject: Subject) -> Fact[bool]:
    """True for a library panel, whose content is in Grafana's database and not in the dashboard."""
    panel = panel_of(subject)
    return Known(bool(panel.library), panel.place)


@fact("panel.shows_data", on="panel")
def shows_data(subject: Subject) -> Fact[bool]:
    """True for the types that are empty without a query, library panels left out."""
    panel = panel_of(subject)
    return Known(panel.kind in QUERYING and not panel.library, panel.place)


@fact("panel.shows_numbers", on="panel")
def shows_numbers(subject: Subject) -> Fact[bool]:
    """True for the types that show numbers, unless their values are mapped to texts."""
    panel = panel_of(subject)
    return Known(panel.kind in NUMERIC and not panel.library and not panel.textual, panel.place)


@fact("panel.units", on="panel")
def units(subject: Subject) -> Fact[list[str]]:
    """Every unit that the panel sets, in its defaults, overrides, axes and columns."""
    panel = panel_of(subject)
    return Known(list(dict.fromkeys(text_of(unit) for unit in panel.units)), panel.place)


@fact("panel.quantity", on="panel")
def panel_quantity(subject: Subject) -> Fact[str | None]:
    """What the panel's PromQL measures (bytes, seconds, percent); None where the metrics' names tell nothing."""
    for query in queries_of(subject):
        parsed = query.query.parsed
        found = quantity(parsed.tree) if parsed is not None else None
        if found is not None and not query.target.hidden:
            return Known(found, Evidence(query.query.node, f"measures {found}"))
    return Known(None, panel_of(subject).place)


# -- what it asks -------------------------------------------------------------------------------

_TEST_DATA = frozenset(("testdata", "grafana-testdata-datasource", "grafana"))


@fact("panel.missing_query", on="panel")
def missing_query(subject: Subject) -> Fact[str | None]:
    """Why the panel asks for nothing: no query, blank queries, hidden ones; None where it asks."""
    panel = panel_of(subject)
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    if not panel.targets:
        own = panel.datasource is not None and meant(loaded, grafana, panel.datasource).type in _TEST_DATA
        return Known(None if own else "it has no query", panel.place)
    if any(meant(loaded, grafana, ref).type in _TEST_DATA for _, ref in asked(panel)):
        return Known(None, panel.place)
    filled = [target for target in panel.targets if not target.empty]
    if not filled:
        blank = panel.targets[0].node.get("expr")
        return Known("its query is empty", blank if blank is not None else panel.place)
    if all(target.hidden for target in filled):
        hide = filled[0].node.get("hide")
        return Known("its queries are all hidden", hide if hide is not None else panel.place)
    return Known(None, panel.place)


@fact("panel.invalid_queries", on="panel")
def invalid_queries(subject: Subject) -> Fact[list[Item]]:
    """Queries to Prometheus that are no PromQL, variables filled in; undecided where it may be another datasource."""
    items = []
    for asks in queries_of(subject):
        query = asks.query
        if query.parsed is not None:
            continue
        if asks.promql and not _is_shaped_by_a_variable(asks):
            items.append(Item(query.error, (Evidence(query.node),)))
        else:
            what = "a variable may fill in the rest" if asks.promql else "what it asks may not be Prometheus"
            items.append(Item(f"{_brief(query.text)} is no PromQL ({query.error}), but {what}", (), unknown=True))
    return Known(items)


def _is_shaped_by_a_variable(asks: Asked) -> bool:
    """True where a variable of the dashboard stands outside of texts, where it may bring an operator or a clause."""
    strings = [match.span() for match in _STRING.finditer(asks.query.text)]
    return any(
        not piece.name.startswith("__") and not any(start < piece.start < end for start, end in strings)
        for piece in asks.pieces
    )


_LONGEST = 60


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@fact("panel.metrics_without_source", on="panel")
def metrics_without_source(subject: Subject) -> Fact[list[Item]]:
    """Metrics in queries to a Prometheus of the deployment that nothing which it scrapes exports."""
    items: dict[str, Item] = {}
    dashboard = subject.parent or subject
    for asks in queries_of(subject):
        if not asks.promql:
            continue
        for selector in asks.query.selectors:
            metric = selector.metric
            if not metric or is_variable(metric) or metric in items:
                continue
            outside = _outside(subject, asks.ref)
            answer = sources_of(subject.deployment).answer(metric)
            if outside or answer.state == "unknown":
                why = f"whether something exports its metrics: {outside or answer.why}"
                items[metric] = Item(why, (), dashboard.ref, unknown=True)
            elif answer.state == "missing":
                items[metric] = Item(f"{metric}: {answer.why}", (Evidence(asks.query.place(selector)),))
    return Known(list(items.values()))


def _outside(subject: Subject, ref: DatasourceRef | None) -> str:
    """Why a query may go to a Prometheus that is not in the deployment; "" where it goes to one of its services."""
    grafana = grafana_for(subject)
    if grafana is None:
        return "no Grafana is known to show the dashboard"
    what = meant(dashboard_of(subject), grafana, ref)
    every = [one for one in grafana.datasources if text_of(one.type) == "prometheus"]
    topology = topology_of(subject.deployment)
    for one in [what.datasource] if what.datasource is not None else every:
        host, _ = host_of(one)
        if not topology.named(host):
            return f"the datasource {text_of(one.name)} leads to {host or 'no host'}, which is not in these files"
    return "" if every else grafana.datasource_gaps[0] if grafana.datasource_gaps else "no datasource is provisioned"


_BUILT_IN = frozenset(("interval", "timeFilter", "dashboard", "datasource"))
"""Names that versions of Grafana, or of its plugins, define without two underscores in front."""


@fact("panel.undefined_variables", on="panel")
def undefined_variables(subject: Subject) -> Fact[list[Item]]:
    """Variables in queries to Prometheus that the dashboard does not define."""
    dashboard = dashboard_of(subject).dashboard
    if dashboard is None:
        return Known([])
    defined = {variable.name for variable in dashboard.variables} | dashboard.inputs.keys() | _BUILT_IN
    items: dict[str, Item] = {}
    for asks in queries_of(subject):
        named = asks.query.parsed is None or any(_is_undefined(name, defined) for name in asks.query.variables)
        for piece in asks.pieces if asks.promql and named else ():
            name = piece.name
            if name not in items and _is_undefined(name, defined):
                items[name] = Item(name, (Evidence(asks.query.place(Place(piece.start, piece.end))),))
    return Known(list(items.values()))


def _is_undefined(name: str, defined: Set[str]) -> bool:
    return name not in defined and not name.startswith("__") and not name[0].isdigit()


# -- rates --------------------------------------------------------------------------------------

RATE_INTERVAL_SINCE = (7, 2)
RATE_INTERVAL_SCHEMA = 26
"""The schema of dashboards that Grafana 7.2 saved."""

_RANGE = Pattern(r"\[\s*(?P<range>\$\{?\w+(?::\w+)?\}?|[0-9][0-9a-z]*)\s*\]")
_CALLED = Pattern(r"(\w+)\s*\Z")
_PER_SECOND = frozenset(("rate", "irate"))
_DIFFERENCES = frozenset(("increase", "delta", "idelta"))
_INTERVAL = Pattern(r"\$\{?__interval(?::\w+)?\}?\Z")
_SAFE_INTERVAL = 60
"""Four scrapes of 15 s, Prometheus' usual interval, or two of 30 s."""
_FIXED = Pattern(r"[0-9]")


@fact("panel.knows_rate_interval", on="panel")
def knows_rate_interval(subject: Subject) -> Fact[bool]:
    """True where the Grafana that shows the panel has $__rate_interval (7.2 and later).

    Without a version in the image's tag, the schema that the dashboard was saved with tells.
    """
    panel, grafana = panel_of(subject), grafana_for(subject)
    if grafana is not None:
        version = grafana.version
        return Known(not version or version >= RATE_INTERVAL_SINCE[: len(version)], panel.place)
    dashboard = dashboard_of(subject).dashboard
    if dashboard is None or dashboard.form != "classic":
        return Known(True, panel.place)
    return Known(dashboard.saved_by is not None and dashboard.saved_by >= RATE_INTERVAL_SCHEMA, panel.place)


@fact("panel.interval_rates", on="panel")
def interval_rates(subject: Subject) -> Fact[list[Item]]:
    """Rates over $__interval, which may be shorter than two scrapes unless its least is set to a minute or more."""
    return Known(_rates(subject, _INTERVAL, _PER_SECOND | _DIFFERENCES, shortest=_SAFE_INTERVAL))


@fact("panel.fixed_rates", on="panel")
def fixed_rates(subject: Subject) -> Fact[list[Item]]:
    """Rates over a fixed time in panels that draw a line, which skip samples when somebody zooms out.

    Not an increase: its time is a part of what it says ("errors in 5 minutes").
    """
    if panel_of(subject).kind not in ("timeseries", "graph"):
        return Known([])
    return Known(_rates(subject, _FIXED, _PER_SECOND))


def _rates(subject: Subject, wanted: Pattern, functions: frozenset[str], shortest: float | None = None) -> list[Item]:
    """The ranges of some functions in the panel's PromQL that are of a kind, each text once.

    ``shortest``: leave out queries whose interval is set to at least so many seconds, or by a variable.
    """
    items: dict[str, Item] = {}
    for asks in queries_of(subject):
        query = asks.query
        if query.parsed is None or asks.target.instant:
            continue
        least = asks.target.interval.lstrip(">")
        if shortest is not None and least and (seconds(least) or shortest) >= shortest:
            continue
        if not any(wanted.match(found["range"]) for found in _RANGE.finditer(query.text)):
            continue
        text = _STRING.sub(lambda match: " " * len(match[0]), query.text)
        for match in _RANGE.finditer(text):
            if not wanted.match(match["range"]) or match["range"] in items:
                continue
            if _function_around(text, match.start()) in functions:
                place = query.place(Place(*match.span("range")))
                items[match["range"]] = Item(match["range"], (Evidence(place),))
    return list(items.values())


def _function_around(text: str, at: int) -> str:
    """The function in whose parentheses a place stands."""
    depth = 0
    for index in range(at - 1, -1, -1):
        if text[index] == ")":
            depth += 1
        elif text[index] == "(":
            if not depth:
                called = _CALLED.search(text[:index])
                return called[1] if called else ""
            depth -= 1
    return ""


# -- types that are gone ------------------------------------------------------------------------


@fact("dashboard.gone_panel_types", on="dashboard")
def gone_panel_types(subject: Subject) -> Fact[list[Item]]:
    """Panel types whose plugin this Grafana does not run, with every panel of the type."""
    return _removed(subject, migrated=False)


@fact("dashboard.migrated_panel_types", on="dashboard")
def migrated_panel_types(subject: Subject) -> Fact[list[Item]]:
    """Panel types that this Grafana replaces by others as it loads the dashboard."""
    return _removed(subject, migrated=True)


def _removed(subject: Subject, *, migrated: bool) -> Fact[list[Item]]:
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    groups: dict[str, list[Panel]] = {}
    for panel in loaded.dashboard.panels if loaded.dashboard else ():
        removed = REMOVED.get(panel.kind)
        if removed is not None and bool(removed.instead) is migrated:
            groups.setdefault(panel.kind, []).append(panel)
    if not groups:
        return Known([])
    if grafana is None or not grafana.version:
        which = "the image's tag does not say which Grafana runs" if grafana else "no Grafana is known to show it"
        return Unknown(f"whether {', '.join(groups)} panels still work: {which}")
    version = ".".join(map(str, grafana.version))
    items = []
    for kind, panels in groups.items():
        removed = REMOVED[kind]
        if grafana.version[0] < removed.since:
            continue
        becomes = f"shows it as {removed.instead}" if removed.instead else "has no such plugin"
        count = "1 panel" if len(panels) == 1 else f"{len(panels)} panels"
        places = tuple(Evidence(panel.type or panel.node, f"panel {text_of(panel.title)}") for panel in panels)
        items.append(Item(f"{count} of type {kind}: Grafana {version} {becomes}", places))
    return Known(items)
