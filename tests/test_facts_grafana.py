"""What a Grafana service loads: found through its mounts, with the places of the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.grafana import dashboard_of, datasource_of, grafana_of, version_of
from infra_audit.facts.registry import Unknown, evaluate
from tests.loaded import deployed, service, texts, value

PROVIDER = "providers:\n  - name: files\n    options: {path: /dashboards}\n"
MOUNTS = """
services:
  grafana:
    image: grafana/grafana:11.2.0
    volumes:
      - ./provisioning:/etc/grafana/provisioning
      - ./dashboards:/dashboards
"""


def mounted(folder: Path, dashboards: dict[str, Any], datasources: str = "", *, image: str = "11.2.0") -> Deployment:
    """A deployment whose Grafana loads these dashboards."""
    files = {f"dashboards/{name}": json.dumps(content) for name, content in dashboards.items()}
    files["provisioning/dashboards/files.yaml"] = PROVIDER
    if datasources:
        files["provisioning/datasources/all.yaml"] = datasources
    return deployed(folder, MOUNTS.replace("11.2.0", image), files)


def dashboard(title: str, *panels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": title, "uid": title.lower(), "schemaVersion": 39, "panels": list(panels), **more}


def panel(deployment: Deployment, name: str) -> Subject:
    found = deployment.subject("panel", name)
    assert found is not None, [one.name for one in deployment.subjects("panel")]
    return found


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("grafana/grafana:11.2.0", (11, 2, 0)),
        ("grafana/grafana-oss:v10.4.1-ubuntu", (10, 4, 1)),
        ("grafana/grafana:9", (9,)),
        ("grafana/grafana:latest", ()),
        ("grafana/grafana", ()),
        ("grafana/grafana:${TAG}", ()),
    ],
)
def test_the_version_is_that_of_the_tag(tmp_path: Path, image: str, version: tuple[int, ...]) -> None:
    assert version_of(service(tmp_path, f"image: {image}", name="grafana")) == version


def test_datasources_are_filled_in_from_the_environment(tmp_path: Path) -> None:
    compose = """
services:
  grafana:
    image: grafana/grafana:11.2.0
    environment: {PROM: "http://prometheus:9090", NAME: Metrics}
    configs:
      - {source: sources, target: /etc/grafana/provisioning/datasources/all.yaml}
configs:
  sources:
    content: |
      datasources:
        - name: $$NAME
          type: prometheus
          url: $$PROM
        - name: cost $$$$5
          uid: $${MISSING}
          type: loki
"""
    first, second = deployed(tmp_path, compose).subjects("datasource")
    assert datasource_of(first).url is not None
    assert datasource_of(first).url.known() == "http://prometheus:9090"  # type: ignore[union-attr]
    assert first.name == "Metrics"
    assert second.name == "cost $5"
    kind = datasource_of(first).type
    assert kind is not None
    assert (kind.place.text, Path(kind.place.source.path).name, kind.place.line) == ("prometheus", "compose.yaml", 13)
    assert "MISSING is not set" in datasource_of(second).uid.why_unknown()  # type: ignore[union-attr]


def test_the_provisioning_folder_may_be_moved(tmp_path: Path) -> None:
    compose = """
services:
  grafana:
    image: grafana/grafana:11.2.0
    environment: {GF_PATHS_PROVISIONING: /settings}
    volumes: ["./settings:/settings"]
"""
    files = {"settings/datasources/one.yml": "datasources:\n  - {name: Prometheus, type: prometheus}\n"}
    assert [one.name for one in deployed(tmp_path, compose, files).subjects("datasource")] == ["Prometheus"]


def test_dashboards_are_found_below_a_providers_folder_and_hidden_folders_left_out(tmp_path: Path) -> None:
    deployment = mounted(
        tmp_path,
        {
            "a.json": dashboard("A"),
            "team/b.json": dashboard("B"),
            ".git/c.json": dashboard("C"),
            "d.txt": dashboard("D"),
        },
    )
    assert [one.name for one in deployment.subjects("dashboard")] == ["A", "B"]


def test_a_folder_in_a_volume_is_a_gap(tmp_path: Path) -> None:
    compose = MOUNTS.replace("./dashboards", "boards") + "volumes: {boards: }\n"
    deployment = deployed(tmp_path, compose, {"provisioning/dashboards/files.yaml": PROVIDER})
    grafana = deployment.service("grafana")
    assert grafana is not None
    assert grafana_of(grafana).dashboard_gaps == ("/dashboards lies in the volume boards",)


def test_a_broken_provisioning_file_is_a_gap(tmp_path: Path) -> None:
    deployment = mounted(tmp_path, {"a.json": dashboard("A")}, "datasources: [\n")
    unknown = evaluate(deployment.subjects("service")[0], "grafana.datasource_count")
    assert isinstance(unknown, Unknown)
    assert "all.yaml:2:1" in unknown.why


def test_panels_of_old_rows_of_collapsed_rows_and_of_the_second_schema_are_found(tmp_path: Path) -> None:
    stat = {"type": "stat", "title": "S", "targets": [{"expr": "up"}]}
    query = {"spec": {"hidden": True, "query": {"kind": "prometheus", "spec": {"expr": "up"}}}}
    element = {
        "kind": "Panel",
        "spec": {
            "title": "E",
            "vizConfig": {"kind": "stat", "spec": {"fieldConfig": {"defaults": {"unit": "s"}}}},
            "data": {"spec": {"queries": [query]}},
        },
    }
    deployment = mounted(
        tmp_path,
        {
            "rows.json": {"title": "Rows", "schemaVersion": 14, "rows": [{"panels": [stat]}, {"panels": [stat]}]},
            "nested.json": dashboard("Nested", {"type": "row", "title": "R", "panels": [stat]}, stat),
            "new.json": {
                "apiVersion": "dashboard.grafana.app/v2alpha1",
                "metadata": {"name": "new"},
                "spec": {"title": "New", "elements": {"one": element}, "layout": {"kind": "GridLayout"}},
            },
            "resource.json": {
                "apiVersion": "dashboard.grafana.app/v1beta1",
                "metadata": {"name": "res"},
                "spec": {"title": "Resource", "panels": [stat]},
            },
        },
        image="12.2.0",
    )
    names = [one.name for one in deployment.subjects("panel")]
    assert sorted(names) == ["Nested/S", "Nested/S #2", "New/E", "Resource/S", "Rows/S", "Rows/S #2"]
    assert value(panel(deployment, "New/E"), "panel.units") == ["s"]
    assert value(panel(deployment, "New/E"), "panel.missing_query") == "its queries are all hidden"
    new = deployment.subject("dashboard", "New")
    assert new is not None
    assert value(new, "dashboard.uid") == "new"


def test_a_dashboard_that_is_named_is_judged_alone(tmp_path: Path) -> None:
    deployment = deployed(tmp_path, "services: {web: {image: nginx:1.27}}", {"one.json": json.dumps(dashboard("One"))})
    deployment.loose = (str(tmp_path / "one.json"),)
    [found] = deployment.subjects("dashboard")
    assert dashboard_of(found).alone
    assert value(found, "dashboard.is_deployed") is False


@pytest.mark.parametrize(
    ("expr", "quantity"),
    [
        ("process_resident_memory_bytes", "bytes"),
        ("rate(node_network_receive_bytes_total[5m])", "bytes per second"),
        ("sum(rate(http_requests_total[5m]))", "a rate per second"),
        ("histogram_quantile(0.9, sum by (le) (rate(x_seconds_bucket[5m])))", "seconds"),
        ("rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])", "seconds"),
        ("100 * (1 - free_bytes / size_bytes)", "percent"),
        ("used_bytes / limit_bytes", "a ratio"),
        ("time() - backup_timestamp_seconds", "seconds"),
        ("count(up)", None),
        ("redis_connected_clients", None),
        ("x_seconds_bucket", None),
        ("rate(a_total[5m]) / rate(b_total[5m])", None),
    ],
)
def test_what_a_query_measures_follows_from_its_metrics_names(tmp_path: Path, expr: str, quantity: str | None) -> None:
    shown = {"type": "timeseries", "title": "P", "targets": [{"expr": expr}]}
    deployment = mounted(tmp_path, {"a.json": dashboard("A", shown)})
    assert value(panel(deployment, "A/P"), "panel.quantity") == quantity


def test_a_query_that_a_variable_shapes_is_not_judged(tmp_path: Path) -> None:
    asked = {
        "type": "stat",
        "title": "P",
        "datasource": {"type": "prometheus", "uid": "p"},
        "targets": [{"expr": "up $filter on (job) up"}, {"expr": 'sum(up{job="$job"}'}],
    }
    deployment = mounted(tmp_path, {"a.json": dashboard("A", asked)})
    facts = value(panel(deployment, "A/P"), "panel.invalid_queries")
    assert [item.unknown for item in facts] == [True, False]


SOURCES = """datasources:
  - {name: Prometheus, type: prometheus, url: "http://prometheus:9090"}
"""


@pytest.mark.parametrize(
    ("ref", "known"),
    [
        ({"uid": "PBFA97CFB590B2093"}, True),
        ({"uid": "Prometheus"}, True),
        ("Prometheus", True),
        (None, True),
        ({"type": "prometheus", "uid": "${source}"}, True),
        ("$source", True),
        ({"uid": "[[source]]"}, True),
        ({"uid": "-- Grafana --"}, True),
        ({"uid": "grafana", "type": "datasource"}, True),
        ({"uid": "prometheus"}, False),
        ({"uid": "${DS_PROMETHEUS}"}, False),
    ],
)
def test_a_datasource_may_be_named_in_all_ways_that_grafana_knows(tmp_path: Path, ref: Any, known: bool) -> None:
    variables = {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]}
    shown = {"type": "stat", "title": "P", "datasource": ref, "targets": [{"expr": "up"}]}
    deployment = mounted(tmp_path, {"a.json": dashboard("A", shown, templating=variables)}, SOURCES)
    assert (texts(deployment.subjects("dashboard")[0], "dashboard.unknown_datasources") == []) is known


def test_a_setting_of_the_mounted_ini_counts_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    body = """
image: grafana/grafana:11.2.0
volumes: ["./grafana.ini:/etc/grafana/grafana.ini"]
"""
    ini = "; comment\n[auth.anonymous]\nenabled = true\norg_role = Editor\n"
    grafana = service(tmp_path, body, {"grafana.ini": ini}, name="grafana")
    assert value(grafana, "grafana.anonymous") is True
    assert value(grafana, "grafana.anonymous_role") == "Editor"
    quiet = service(tmp_path, body + 'environment: {GF_AUTH_ANONYMOUS_ENABLED: "false"}\n', name="grafana")
    assert value(quiet, "grafana.anonymous") is False
