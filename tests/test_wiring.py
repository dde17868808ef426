"""`trace metric`, `trace alert` and `trace monitoring`: the chain with a place for every link."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_audit.errors import UsageError
from infra_audit.wiring import Line, alert_chain, metric_chain, overview
from tests.command import infra_audit
from tests.loaded import deployed

COMPOSE = """
services:
  prometheus:
    image: prom/prometheus:v2.42.0
    networks: [monitoring]
    volumes: ["./prometheus:/etc/prometheus:ro"]
  node-exporter:
    image: prom/node-exporter:v1.9.1
    networks: [monitoring]
  cache:
    image: redis:7.4
    networks: [backend]
networks:
  monitoring: {}
  backend: {}
"""
FILES = {
    "prometheus/prometheus.yml": """
global: {scrape_interval: 30s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["alerts.internal:9093"]}]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["node-exporter:9100"]}]
""",
    "prometheus/rules.yml": """
groups:
  - name: machines
    rules:
      - record: instance:cpu:rate5m
        expr: sum by (instance) (rate(node_cpu_seconds_total[5m]))
      - record: instance:unused
        expr: node_load15
      - alert: Busy
        expr: instance:cpu:rate5m > 8 and redis_up == 1
        labels: {severity: warning}
""",
}


def shown(lines: list[Line]) -> list[str]:
    """Each line with its depth, a mark where a link is missing, and file and line of its place."""
    return [
        f"{'  ' * line.depth}{'! ' if line.loose else ''}{line.text}"
        + (f" @ {Path(line.place.source.path).name}:{line.place.line}" if line.place else "")
        for line in lines
    ]


def test_an_alert_is_followed_to_the_network_that_feeds_it(tmp_path: Path) -> None:
    lines = shown(list(alert_chain(deployed(tmp_path, COMPOSE, FILES), "Busy")))
    assert lines[0] == "alert Busy (warning) @ rules.yml:9"
    assert lines[1].startswith("  loaded by prometheus from ")
    assert lines[2:] == [
        "  ! seen firing by 0 unit tests",
        "  sent to alerts.internal:9093 @ prometheus.yml:6",
        "  asks for",
        "    metric instance:cpu:rate5m @ rules.yml:10",
        "      recording rule instance:cpu:rate5m @ rules.yml:5",
        "        of metric node_cpu_seconds_total",
        "          service node-exporter (node_exporter 1.5.0) @ compose.yaml:7",
        "            target node-exporter:9100/metrics of job node, every 30s @ prometheus.yml:9",
        "            reached by prometheus over network monitoring @ compose.yaml:9",
        "    metric redis_up @ rules.yml:10",
        "      ! nothing: redis_exporter exports it, and no job scrapes one",
    ]


def test_a_metric_is_followed_to_the_alerts_that_need_it(tmp_path: Path) -> None:
    lines = shown(list(metric_chain(deployed(tmp_path, COMPOSE, FILES), "node_cpu_seconds_total")))
    assert lines[0] == "metric node_cpu_seconds_total (counter with cpu, mode)"
    assert lines[-3:] == [
        "  is asked for by",
        "    recording rule instance:cpu:rate5m @ rules.yml:6",
        "      alert Busy @ rules.yml:10",
    ]


def test_the_overview_shows_what_nothing_watches_and_what_nothing_uses(tmp_path: Path) -> None:
    lines = shown(list(overview(deployed(tmp_path, COMPOSE, FILES))))
    assert "  node-exporter: job node; 1 alert and panels use it @ compose.yaml:7" in lines
    assert "  ! cache: nothing watches it @ compose.yaml:10" in lines
    assert "  ! instance:unused, recorded @ rules.yml:7" in lines
    assert "  node-exporter: 440 of 442" in lines


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("metric", "node_cpu_second_total"), "did you mean node_cpu_seconds_total?"),
        (("alert", "Busi"), "did you mean Busy?"),
        (("alert",), "infra-audit trace alert NAME"),
    ],
)
def test_a_name_that_nobody_knows_gets_a_hint(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    deployed(tmp_path, COMPOSE, FILES)
    ran = infra_audit("trace", *args, cwd=tmp_path)
    assert ran.code == 2
    assert says in ran.err


def test_a_deployment_without_a_prometheus_has_no_overview(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Prometheus"):
        list(overview(deployed(tmp_path, "services: {web: {image: 'nginx:1.27'}}")))


def test_the_command_prints_the_chain_with_its_places(tmp_path: Path) -> None:
    deployed(tmp_path, COMPOSE, FILES)
    ran = infra_audit("trace", "metric", "node_load15", cwd=tmp_path)
    assert ran.code == 0
    assert "recording rule instance:unused  prometheus/rules.yml:8:15" in ran.out
    assert infra_audit("trace", "monitoring", cwd=tmp_path).out.startswith("services\n")
