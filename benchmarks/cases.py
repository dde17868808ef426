"""The inputs of the benchmark, made in the style of real deployments: limits, health checks, networks,
an anchor, variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["dashboard", "tree", "write"]

_HEADER = """\
x-logging: &logging
  driver: json-file
  options: {max-size: 10m, max-file: "3"}

services:
"""
_SERVICE = """\
  {name}:
    image: registry.example.com/shop/{name}:1.{number}.0
    restart: unless-stopped
    logging: *logging
    environment:
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      DATABASE_URL: postgres://shop@{previous}:5432/shop
      WORKERS: "4"
    ports: ["{port}:8080"]
    networks: [backend]
    depends_on: [{previous}]
    deploy:
      resources:
        limits: {{cpus: "0.50", memory: 512M}}
    healthcheck:
      test: [CMD, curl, -f, "http://localhost:8080/health"]
      interval: 30s
      timeout: 5s
      retries: 3
"""
_FOOTER = """\
networks:
  backend:
    ipam: {config: [{subnet: 172.28.0.0/16}]}
"""


def write(folder: Path, services: int) -> Path:
    """A deployment of so many services, each depending on the one before it."""
    folder.mkdir(parents=True)
    first = "  service0:\n    image: postgres:15-alpine\n    networks: [backend]\n"
    rest = (
        _SERVICE.format(name=f"service{number}", previous=f"service{number - 1}", number=number, port=8000 + number)
        for number in range(1, services)
    )
    (folder / "compose.yaml").write_text(_HEADER + first + "".join(rest) + _FOOTER)
    return folder


def tree(folder: Path, deployments: int, services: int) -> Path:
    """A repository of so many deployments, each in a folder of its own."""
    for number in range(deployments):
        write(folder / f"app{number:03}", services)
    return folder


_GRAFANA = """\
services:
  grafana:
    image: grafana/grafana:12.0.2
    volumes: ["./grafana:/etc/grafana/provisioning"]
  prometheus:
    image: prom/prometheus:v3.5.0
"""
_PROVIDER = "providers: [{name: all, options: {path: /etc/grafana/provisioning/dashboards}}]\n"
_DATASOURCE = """\
datasources:
  - {name: Prometheus, uid: prometheus, type: prometheus, url: "http://prometheus:9090", isDefault: true}
"""


def dashboard(folder: Path, size: int) -> None:
    """A Grafana that loads one dashboard of at least so many bytes, in the style of node_exporter's."""
    files = {"compose.yaml": _GRAFANA, "grafana/dashboards/all.yaml": _PROVIDER}
    files["grafana/datasources/all.yaml"] = _DATASOURCE
    panels: list[dict[str, Any]] = []
    text = ""
    while len(text) < size:
        panels += [_panel(number) for number in range(len(panels) + 1, len(panels) + 51)]
        text = json.dumps({"uid": "big", "title": "Big", "schemaVersion": 41, "panels": panels}, indent=2)
    for name, content in {**files, "grafana/dashboards/big.json": text}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _panel(number: int) -> dict[str, Any]:
    """A panel with two queries and overrides that name its series, which is what makes dashboards large."""
    source = {"type": "prometheus", "uid": "prometheus"}
    colour = {"id": "color", "value": {"mode": "fixed", "fixedColor": "#7EB26D"}}
    overrides = [{"matcher": {"id": "byName", "options": f"series {one}"}, "properties": [colour]} for one in range(12)]
    queries = [
        f'sum by (mode) (rate(node_cpu_seconds_total{{cpu="{number}"}}[$__rate_interval]))',
        f"node_load{number}",
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": f"Panel {number}",
        "datasource": source,
        "gridPos": {"x": 0, "y": number, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": "short", "custom": {"lineWidth": 1}}, "overrides": overrides},
        "options": {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": ref, "datasource": source, "expr": expr} for ref, expr in zip("AB", queries, strict=True)
        ],
    }
