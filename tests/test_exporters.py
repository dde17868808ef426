"""The exporter catalogue: what its files say, and that the script which writes it reads expositions rightly."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra_audit.facts.products import DEFAULT_PORTS, parse_image, product_of_image
from tests.exporters import CATALOGUE, compact, metrics_of

FILES = sorted(CATALOGUE.glob("*.json"))
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
IMAGES = {
    "prom/prometheus:v3.5.0": "prometheus",
    "prom/alertmanager:v0.28.1": "alertmanager",
    "prom/node-exporter:v1.9.1": "node_exporter",
    "prom/blackbox-exporter:v0.27.0": "blackbox_exporter",
    "prometheuscommunity/postgres-exporter:v0.17.1": "postgres_exporter",
    "oliver006/redis_exporter:v1.67.0-alpine": "redis_exporter",
    "gcr.io/cadvisor/cadvisor:v0.52.1": "cadvisor",
    "rabbitmq:4.1.4-management-alpine": "rabbitmq_prometheus",
    "grafana/grafana:12.1.1": "grafana",
}


def read(path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(path.read_text())
    return entry


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_entry_is_whole(path: Path) -> None:
    entry = read(path)
    assert entry["exporter"] == path.stem
    assert entry["version"] or not entry["metrics"], "metrics without the version that served them"
    assert 0 < entry["port"] < 65536
    assert path.read_text() == compact(entry)
    for name, metric in entry["metrics"].items():
        assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name)
        assert metric["type"] in TYPES, name
        assert "le" not in metric["labels"], name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_left_open_leaves_room_for_a_wrong_name(path: Path) -> None:
    entry = read(path)
    if entry["metrics"]:
        assert not any(fnmatchcase("no_such_metric_total", pattern) for pattern in entry["varies"])
        own = {name.partition("_")[0] for name in entry["metrics"]}
        wide = [pattern for pattern in entry["varies"] if pattern.rstrip("*_") in own - {"go"}]
        assert set(wide) <= {"blackbox_*"}


@pytest.mark.parametrize(("image", "exporter"), IMAGES.items())
def test_an_image_is_recognised_by_one_entry(image: str, exporter: str) -> None:
    product = product_of_image(parse_image(image))
    assert [read(path)["exporter"] for path in FILES if product in read(path)["match"]] == [exporter]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ports_agree_with_those_of_the_products(path: Path) -> None:
    entry = read(path)
    for product in entry["match"]:
        assert entry["port"] in (*DEFAULT_PORTS.get(product, (entry["port"],)), 15692)


def test_series_of_a_histogram_are_one_metric() -> None:
    text = """\
# TYPE wait_seconds histogram
wait_seconds_bucket{queue="a",le="1"} 1
wait_seconds_bucket{queue="a",le="+Inf"} 2
wait_seconds_sum{queue="a"} 2
wait_seconds_count{queue="a"} 2
# TYPE hits counter
hits 3
# TYPE done_total counter
done_total{kind="x,\\"}y"} 1
done_total{place="y"} 1
plain 3
"""
    assert metrics_of(text) == {
        "done_total": {"type": "counter", "labels": ["kind", "place"]},
        "hits": {"type": "counter", "labels": []},
        "plain": {"type": "untyped", "labels": []},
        "wait_seconds": {"type": "histogram", "labels": ["queue"]},
    }
