"""Facts about dashboards: whether Grafana loads them, their datasources and their variables."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.grafana import Loaded, dashboard_of, grafana_for
from infra_audit.facts.grafana_references import Meant, asked, meant
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact
from infra_audit.monitoring.grafana.dashboards import Dashboard, DatasourceRef, is_wrapped, text_of
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["place_of"]

RESOURCES_SINCE = 12
"""The first version that reads dashboards written as resources (apiVersion, metadata, spec) from files."""


def place_of(loaded: Loaded) -> Node | Span:
    """Where a finding about a whole dashboard points."""
    if loaded.dashboard is not None:
        return loaded.dashboard.place
    return loaded.node


@fact("dashboard.defect", on="dashboard")
def defect(subject: Subject) -> Fact[str | None]:
    """Why Grafana does not load the file: it is no JSON, what the API takes, or has no title; None where it does."""
    loaded = dashboard_of(subject)
    place = place_of(loaded)
    dashboard = loaded.dashboard
    if dashboard is None:
        return Known(f"the file is no JSON: {loaded.error.removeprefix('broken JSON: ')}", place)
    wrapper = loaded.node.get("dashboard")
    if wrapper is not None and is_wrapped(loaded.node):
        return Known('the dashboard is wrapped in {"dashboard": …}, which the API takes and files do not', wrapper)
    if dashboard.form != "classic":
        grafana = grafana_for(subject)
        if grafana is not None and grafana.version and grafana.version[0] < RESOURCES_SINCE:
            version = ".".join(map(str, grafana.version))
            return Known(f"Grafana {version} does not read this schema, which came with Grafana 12", place)
    if dashboard.title is None:
        empty = dashboard.body.get("title")
        return Known("the dashboard has no title", empty if empty is not None else place)
    return Known(None, place)


@fact("dashboard.is_json", on="dashboard")
def is_json(subject: Subject) -> Fact[bool]:
    """False for a file that breaks off."""
    return Known(dashboard_of(subject).dashboard is not None, place_of(dashboard_of(subject)))


@fact("dashboard.uid", on="dashboard")
def uid(subject: Subject) -> Fact[str | None]:
    """The uid of a dashboard, which links use; None without one."""
    loaded = dashboard_of(subject)
    found = loaded.dashboard.uid if loaded.dashboard else None
    return Known(text_of(found) or None, found if found is not None else place_of(loaded))


@fact("dashboard.is_provisioned", on="dashboard")
def is_provisioned(subject: Subject) -> Fact[bool]:
    """True where a provider of Grafana loads the file; unknown for a file that is judged on its own."""
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    if loaded.provider is not None:
        return Known(True, place_of(loaded))
    if loaded.alone or grafana is None:
        return Unknown("the file is judged on its own: what loads it is not known")
    if grafana.dashboard_gaps:
        return Unknown(grafana.dashboard_gaps[0])
    providers = [Evidence(one.place, f"loads {text_of(one.path)}") for one in grafana.providers if one.path is not None]
    return Known(False, Evidence(place_of(loaded)), *providers)


@fact("dashboard.is_deployed", on="dashboard")
def is_deployed(subject: Subject) -> Fact[bool]:
    """True for a file that is mounted into Grafana, False for one that is judged on its own."""
    return Known(not dashboard_of(subject).alone, place_of(dashboard_of(subject)))


@fact("dashboard.twins", on="dashboard")
def twins(subject: Subject) -> Fact[list[Item]]:
    """Dashboards of the same Grafana that have this one's uid and come before it."""
    mine = dashboard_of(subject)
    uid = mine.dashboard.uid if mine.dashboard else None
    if uid is None or mine.provider is None:
        return Known([])
    items = []
    for other in subject.deployment.subjects("dashboard"):
        if other is subject:
            break
        theirs = dashboard_of(other)
        if other.parent is not subject.parent or theirs.dashboard is None or theirs.provider is None:
            continue
        if theirs.provider.organisation != mine.provider.organisation:
            continue
        first = theirs.dashboard.uid
        if first is not None and first.value == uid.value:
            text = f"uid {uid.value} is also that of {other.name} ({theirs.file})"
            items.append(Item(text, (Evidence(uid), Evidence(first, f"{other.name} has it too"))))
    return Known(items)


# -- datasources --------------------------------------------------------------------------------


def _described(what: Meant, ref: DatasourceRef, subject: Subject) -> str:
    if what.state == "input":
        return f"{ref.name} is filled in when a dashboard is imported by hand, not when it is provisioned"
    if ref.name.startswith(("$", "[[")):
        return f"{ref.name} is no variable of the dashboard"
    grafana = grafana_for(subject)
    known = [text_of(one.uid) or text_of(one.name) for one in grafana.datasources] if grafana else []
    return f"no datasource is called {ref.name}; there is {', '.join(known)}"


def _unknown(subject: Subject, refs: list[tuple[DatasourceRef, str]]) -> list[Item]:
    """One entry per datasource that nothing provides, with every place that names it."""
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    groups: dict[str, list[tuple[DatasourceRef, str]]] = {}
    for ref, who in refs:
        if meant(loaded, grafana, ref).state in ("unknown", "input"):
            groups.setdefault(ref.name, []).append((ref, who))
    items = []
    for found in groups.values():
        ref = found[0][0]
        text = _described(meant(loaded, grafana, ref), ref, subject)
        places = tuple(Evidence(one.node, f"{who} asks it") for one, who in found)
        items.append(Item(text, places))
    return items


@fact("dashboard.unknown_datasources", on="dashboard")
def unknown_datasources(subject: Subject) -> Fact[list[Item]]:
    """Datasources that panels ask and that nothing provides; undecided where not all datasources are known."""
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    dashboard = loaded.dashboard
    if dashboard is None:
        return Known([])
    refs: list[tuple[DatasourceRef, str]] = []
    for panel in dashboard.panels:
        name = text_of(panel.title) or panel.kind
        if panel.datasource is not None:
            refs.append((panel.datasource, name))
        refs += [(ref, name) for _, ref in asked(panel) if ref is not None and ref is not panel.datasource]
    items = _unknown(subject, refs)
    if grafana is not None and not items and not loaded.alone:
        items += _open(loaded, [ref for ref, _ in refs], subject)
    return Known(items)


def _open(loaded: Loaded, refs: list[DatasourceRef], subject: Subject) -> list[Item]:
    grafana = grafana_for(subject)
    for ref in refs:
        if meant(loaded, grafana, ref).state == "open":
            gaps = grafana.datasource_gaps if grafana else ()
            why = gaps[0] if gaps else "no datasource is provisioned, so it may be made by hand"
            return [Item(f"whether {ref.name} exists: {why}", (), unknown=True)]
    return []


@fact("dashboard.variables_of_unknown_datasources", on="dashboard")
def variables_of_unknown_datasources(subject: Subject) -> Fact[list[Item]]:
    """Datasources that variables ask and that nothing provides."""
    dashboard = dashboard_of(subject).dashboard
    variables = dashboard.variables if dashboard else ()
    return Known(_unknown(subject, [(one.datasource, one.name) for one in variables if one.datasource is not None]))


# -- variables ----------------------------------------------------------------------------------

_USE = Pattern(r"\$(\w+)|\$\{(\w+)|\[\[(\w+)")
_APPLIED_BY_ITSELF = frozenset(("adhoc", "groupby"))


@fact("dashboard.unused_variables", on="dashboard")
def unused_variables(subject: Subject) -> Fact[list[Item]]:
    """Variables that nothing in the dashboard uses; undecided where a library panel may."""
    loaded = dashboard_of(subject)
    dashboard = loaded.dashboard
    if dashboard is None or not dashboard.variables:
        return Known([])
    used = _used(dashboard)
    items = []
    for variable in dashboard.variables:
        if variable.kind in _APPLIED_BY_ITSELF or variable.name in used:
            continue
        if any(panel.library for panel in dashboard.panels):
            items.append(Item(f"a library panel may use {variable.name}", (), unknown=True))
        else:
            items.append(Item(variable.name, (Evidence(variable.place),)))
    return Known(items)


def _used(dashboard: Dashboard) -> set[str]:
    """Names of variables in texts, and where a key names one without a sign; looks no further once all are seen."""
    waiting = {variable.name for variable in dashboard.variables}
    used: set[str] = set()
    stack = [dashboard.node.data()]
    while stack and not waiting <= used:
        value = stack.pop()
        if type(value) is str:
            if "$" in value or "[[" in value:
                used.update(name for match in _USE.findall(value) for name in match if name)
        elif type(value) is list:
            stack.extend(value)
        elif type(value) is dict:
            if value.get("includeVars") is True:
                return waiting
            repeat = value.get("repeat")
            if type(repeat) is str:
                used.add(repeat)
            elif type(repeat) is dict and type(repeat.get("value")) is str:
                used.add(repeat["value"])
            stack.extend(value.values())
    return used
