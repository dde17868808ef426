"""What is known of Grafana's panel types and datasource plugins.

Sources: grafana.com/docs/grafana, "Visualizations", "Data sources" and "Plugins using AngularJS" (2025-11).
"""

from __future__ import annotations

from infra_audit.named import NamedTuple

__all__ = ["CORE_DATASOURCES", "NUMERIC", "QUERYING", "REMOVED", "Removed"]


class Removed(NamedTuple):
    """A panel type whose plugin is gone. ``since``: the first major version without it.

    ``instead``: the type that Grafana turns it into by itself, "" where the panel stays empty.
    """

    since: int
    instead: str = ""


_ANGULAR = 11
"""Grafana 11 no longer runs plugins made with AngularJS, unless it is told to; Grafana 12 cannot."""

REMOVED: dict[str, Removed] = {
    "graph": Removed(_ANGULAR, "timeseries"),
    "singlestat": Removed(_ANGULAR, "stat"),
    "table-old": Removed(_ANGULAR, "table"),
    "grafana-singlestat-panel": Removed(_ANGULAR, "stat"),
    "grafana-piechart-panel": Removed(_ANGULAR, "piechart"),
    "grafana-worldmap-panel": Removed(_ANGULAR, "geomap"),
} | {
    plugin: Removed(_ANGULAR)
    for plugin in (
        "agenty-flowcharting-panel",
        "aidanmountford-html-panel",
        "bessler-pictureit-panel",
        "blackmirror1-singlestat-math-panel",
        "corpglory-progresslist-panel",
        "farski-blendstat-panel",
        "fatcloud-windrose-panel",
        "flant-statusmap-panel",
        "marcuscalidus-svg-panel",
        "michaeldmoore-annunciator-panel",
        "michaeldmoore-multistat-panel",
        "mtanda-histogram-panel",
        "mxswat-separator-panel",
        "natel-discrete-panel",
        "natel-plotly-panel",
        "neocat-cal-heatmap-panel",
        "petrslavotinek-carpetplot-panel",
        "pr0ps-trackmap-panel",
        "ryantxu-ajax-panel",
        "savantly-heatmap-panel",
        "snuids-radar-panel",
        "snuids-trafficlights-panel",
        "vonage-status-panel",
        "yesoreyeram-boomtable-panel",
    )
}
"""Panel types of the past. Plugins that later versions rewrote are left out: their name says nothing."""

_CHARTS = ("timeseries", "graph", "barchart", "piechart", "trend", "xychart", "candlestick")
NUMERIC = frozenset((*_CHARTS, "stat", "singlestat", "gauge", "bargauge", "grafana-singlestat-panel"))
"""Types that show numbers, which have a unit; heatmaps and histograms count what falls into their cells."""

QUERYING = NUMERIC | {
    "heatmap",
    "histogram",
    "table",
    "table-old",
    "state-timeline",
    "status-history",
    "logs",
    "traces",
    "nodeGraph",
    "flamegraph",
    "geomap",
    "grafana-worldmap-panel",
}
"""Types that are empty without a query."""

CORE_DATASOURCES = frozenset(
    (
        "alertmanager",
        "cloudwatch",
        "dashboard",
        "datasource",
        "elasticsearch",
        "grafana",
        "grafana-azure-monitor-datasource",
        "grafana-postgresql-datasource",
        "grafana-pyroscope-datasource",
        "grafana-testdata-datasource",
        "graphite",
        "influxdb",
        "jaeger",
        "loki",
        "mixed",
        "mssql",
        "mysql",
        "opentsdb",
        "parca",
        "phlare",
        "postgres",
        "prometheus",
        "stackdriver",
        "tempo",
        "testdata",
        "zipkin",
    )
)
"""Datasource plugins that Grafana's own image brings."""
