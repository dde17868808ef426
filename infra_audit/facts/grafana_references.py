"""Which datasource a panel, a query or a variable of a dashboard means."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.grafana import Grafana, Loaded, dashboard_of, grafana_for
from infra_audit.facts.topology import topology_of
from infra_audit.monitoring.grafana.dashboards import Dashboard, DatasourceRef, Panel, Target, text_of
from infra_audit.monitoring.grafana.provisioning import Datasource
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.tree import is_known

__all__ = ["Meant", "asked", "host_of", "meant", "speaks_promql"]

_OWN = frozenset(("-- Mixed --", "-- Dashboard --", "-- Grafana --", "grafana", "__expr__", "-100", "default"))
_MIXED = "-- Mixed --"
_VARIABLE = Pattern(r"\$(\w+)\Z|\$\{(\w+)(?:[.:][^}]*)?\}\Z|\[\[(\w+)(?::[^\]]*)?\]\]\Z")
_PROMETHEUS = frozenset(("prometheus", "grafana-amazonprometheus-datasource", "grafana-azureprometheus-datasource"))
_ADDRESS = Pattern(
    r"(?:(?P<scheme>[a-zA-Z][\w+.-]*)://)?(?:[^/@]*@)?(?P<host>\[[^\]]+\]|[^:/?#\s]+)(?::(?P<port>\d+))?"
)


class Meant(NamedTuple):
    """What a reference comes to.

    ``state``: "own" (Grafana's own words), "variable", "input" (a question that only an import asks), "provisioned",
    "default" (nothing is named), "unknown" (nothing here has that name), "open" (datasources are not all known).
    ``type``: the plugin, "" where nothing tells it.
    """

    state: str
    type: str = ""
    datasource: Datasource | None = None


def meant(loaded: Loaded, grafana: Grafana | None, ref: DatasourceRef | None) -> Meant:
    """What a reference in a dashboard means."""
    dashboard = loaded.dashboard
    if dashboard is None:
        return Meant("open")
    if ref is None or not ref.name:
        default = grafana.default(loaded.provider.organisation if loaded.provider else "1") if grafana else None
        said = ref.type if ref is not None else ""
        return Meant("default", said or (text_of(default.type) if default else ""), default)
    if ref.name in _OWN:
        return Meant("own", ref.type if ref.type in ("loki", "prometheus") else "grafana")
    match = _VARIABLE.match(ref.name)
    if match is not None:
        return _through_variable(dashboard, grafana, ref, match[1] or match[2] or match[3])
    found = grafana.datasource(ref.name) if grafana is not None else None
    if found is not None:
        return Meant("provisioned", text_of(found.type) or ref.type, found)
    if grafana is None or grafana.datasource_gaps or not grafana.datasources or not _all_named(grafana):
        return Meant("open", ref.type)
    return Meant("unknown", ref.type)


def _through_variable(dashboard: Dashboard, grafana: Grafana | None, ref: DatasourceRef, name: str) -> Meant:
    variable = dashboard.variable(name)
    if variable is not None:
        return Meant("variable", variable.plugin or ref.type)
    if name in dashboard.inputs:
        state = "input" if grafana is not None else "open"
        return Meant(state, dashboard.inputs[name] or ref.type)
    return Meant("unknown", ref.type)


def _all_named(grafana: Grafana) -> bool:
    """True where no datasource's name or uid rests on a variable."""
    return all(is_known(text_of(node)) for one in grafana.datasources for node in (one.name, one.uid))


def asked(panel: Panel) -> Iterator[tuple[Target, DatasourceRef | None]]:
    """The queries of a panel, each with the datasource that it goes to: the panel's own, unless that is mixed."""
    mixed = panel.datasource is not None and panel.datasource.name == _MIXED
    for target in panel.targets:
        own = target.datasource
        is_expression = own is not None and (own.name in ("__expr__", "-100") or own.type == "__expr__")
        yield target, own if mixed or panel.datasource is None or is_expression else panel.datasource


def speaks_promql(subject: Subject, ref: DatasourceRef | None) -> bool | None:
    """True where a query of a dashboard goes to Prometheus, None where that is not known.

    VictoriaMetrics answers to more than PromQL, also where a datasource of Prometheus' type leads to it.
    """
    loaded, grafana = dashboard_of(subject), grafana_for(subject)
    what = meant(loaded, grafana, ref)
    if not what.type:
        return None
    if what.type not in _PROMETHEUS:
        return False
    every = [what.datasource] if what.datasource else list(grafana.datasources) if grafana else []
    return None if any(_is_victoria(grafana, one) for one in every) else True


def _is_victoria(grafana: Grafana | None, datasource: Datasource) -> bool:
    host, _ = host_of(datasource)
    return grafana is not None and any(
        "victoria" in str(image.value)
        for name in topology_of(grafana.service.deployment).named(host)
        if (service := grafana.service.deployment.service(name)) and (image := service.node.get("image"))
    )


def host_of(datasource: Datasource) -> tuple[str, int | None]:
    """Host and port of a datasource's URL; "" where there is none."""
    match = _ADDRESS.match(text_of(datasource.url))
    return (match["host"].strip("[]"), int(match["port"]) if match["port"] else None) if match else ("", None)
