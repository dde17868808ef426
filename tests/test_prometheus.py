"""Prometheus through the mounts of a deployment: which configuration, which rules, which targets, which metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_audit.deployment import Deployment
from infra_audit.facts.metric_sources import sources_of
from infra_audit.facts.prometheus import Server, servers
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.rule_files import rule_file_of
from infra_audit.facts.scrapes import scrapes_of
from infra_audit.monitoring.catalogue import Metric, exporters, owner_of, read_exposition
from infra_audit.monitoring.durations import seconds, written
from tests.loaded import deployed

CONFIG = """
rule_files: ["rules/*.yml"]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["node:9100"]}]
"""
RULES = "groups: [{name: a, rules: [{alert: Load, expr: node_load1 > 8}]}]"
FILES = {"p/prometheus.yml": CONFIG, "p/rules/a.yml": RULES}
NODE = "  node:\n    image: prom/node-exporter:v1.9.1\n"


def with_server(folder: Path, body: str, files: dict[str, str] = FILES, top: str = "") -> Deployment:
    """A Prometheus with the lines of ``body``, an exporter beside it."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    compose = f"services:\n  prometheus:\n    image: prom/prometheus:v2.42.0\n{lines}{NODE}{top}"
    return deployed(folder, compose, files)


def the_server(deployment: Deployment) -> Server:
    [server] = servers(deployment)
    return server


# -- which files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "volumes: ['./p:/etc/prometheus:ro']",
        "volumes: ['./p/prometheus.yml:/etc/prometheus/prometheus.yml', './p/rules:/etc/prometheus/rules']",
        "volumes: ['./p:/conf']\ncommand: --config.file=/conf/prometheus.yml",
        "volumes: ['./p:/conf']\ncommand: ['--config.file', '/conf/prometheus.yml']",
        "volumes: ['./p:/conf']\ncommand: ['-config.file=/conf/prometheus.yml']",
        "volumes: ['./p:/conf']\nentrypoint: [sh, -c, 'exec prometheus --config.file=/conf/prometheus.yml']",
        "volumes: ['./p/rules:/etc/prometheus/rules']\nconfigs: [{source: c, target: /etc/prometheus/prometheus.yml}]",
    ],
)
def test_the_configuration_and_its_rules_are_found_through_every_mount(body: str, tmp_path: Path) -> None:
    deployment = with_server(tmp_path, body, top="configs:\n  c: {file: ./p/prometheus.yml}\n")
    server = the_server(deployment)
    assert server.why == ""
    assert [job.name for job in server.config.jobs] == ["node"] if server.config else False
    [file] = deployment.subjects("rule_file")
    assert rule_file_of(file).loaded is True
    assert [alert.name for alert in deployment.subjects("alert")] == ["Load"]


def test_a_configuration_inside_the_compose_file_has_its_places_there(tmp_path: Path) -> None:
    content = "".join(f"      {line}\n" for line in CONFIG.strip("\n").split("\n"))
    deployment = with_server(
        tmp_path,
        "configs: [{source: c, target: /etc/prometheus/prometheus.yml}]",
        {},
        f"configs:\n  c:\n    content: |\n{content}",
    )
    [target] = deployment.subjects("scrape_target")
    assert target.node.span.text == '"node:9100"'
    assert target.node.span.source.path.endswith("compose.yaml")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "/etc/prometheus/prometheus.yml is not mounted, so the image brings it"),
        ("volumes: ['data:/etc/prometheus']", "lies in the volume data"),
        ("command: --config.file=$${WHERE}", "rests on a variable"),
    ],
)
def test_what_is_not_in_the_files_is_unknown(body: str, why: str, tmp_path: Path) -> None:
    deployment = with_server(tmp_path, body or "restart: always", {}, "volumes: {data: {}}\n")
    assert why in the_server(deployment).why
    assert sources_of(deployment).answer("node_load1").state == "unknown"
    node = deployment.service("node")
    assert node is not None
    assert not isinstance(evaluate(node, "monitoring.scraped"), Known)


def test_rules_of_vmalert_are_not_prometheus_rules(tmp_path: Path) -> None:
    compose = """
services:
  vmalert:
    image: victoriametrics/vmalert:v1.102.0
    command: ["--rule=/rules/*.yml"]
    volumes: ["./p/rules:/rules"]
"""
    deployment = deployed(tmp_path, compose, FILES)
    assert [rule_file_of(file).dialect for file in deployment.subjects("rule_file")] == ["vmalert"]
    assert deployment.subjects("alert") == []


# -- which targets ------------------------------------------------------------------------------


def addresses(deployment: Deployment) -> list[str]:
    return [f"{one.job.name} {one.target.address}" for one in scrapes_of(deployment)]


@pytest.mark.parametrize(
    ("job", "found", "unknown"),
    [
        ("static_configs: [{targets: ['a', 'b:1', 'https://c/x']}]", ["a:80", "b:1", "c:80"], ""),
        ("scheme: https\n    static_configs: [{targets: ['a']}]", ["a:443"], ""),
        ("dns_sd_configs: [{names: [tasks.a], type: A, port: 8}]", ["tasks.a:8"], ""),
        ("dns_sd_configs: [{names: [_x._tcp.a]}]", [], "DNS records of type SRV name the targets"),
        ("docker_sd_configs: [{host: 'unix:///var/run/docker.sock'}]", [], "docker_sd finds the targets"),
        ("file_sd_configs: [{files: ['sd/*.json']}]", ["a:1"], ""),
        ("file_sd_configs: [{files: ['made/later.json']}]", [], "made/later.json"),
        (
            "static_configs: [{targets: ['http://x/']}]\n"
            "    relabel_configs: [{target_label: __address__, replacement: 'blackbox:9115'}]",
            ["blackbox:9115"],
            "",
        ),
        (
            "static_configs: [{targets: ['a:1']}]\n"
            "    relabel_configs: [{source_labels: [x], target_label: __address__, replacement: '$1:9'}]",
            [],
            "relabelling changes the addresses",
        ),
    ],
)
def test_targets_are_what_the_files_tell(job: str, found: list[str], unknown: str, tmp_path: Path) -> None:
    files = {
        "p/prometheus.yml": f"scrape_configs:\n  - job_name: j\n    {job}\n",
        "p/sd/a.json": '[{"targets": ["a:1"], "labels": {"x": "y"}}]',
    }
    deployment = with_server(tmp_path, "volumes: ['./p:/etc/prometheus']", files)
    assert addresses(deployment) == [f"j {address}" for address in found]
    config = the_server(deployment).config
    assert config is not None
    whys = "; ".join(config.jobs[0].unknown)
    assert (unknown in whys) if unknown else whys == ""


# -- which metrics ------------------------------------------------------------------------------


def answer(folder: Path, metric: str, jobs: str = "", services: str = "", prometheus: str = "") -> tuple[str, str]:
    files = {"p/prometheus.yml": CONFIG + jobs}
    body = f"volumes: ['./p:/etc/prometheus']\n{prometheus}".strip("\n")
    found = sources_of(with_server(folder, body, files, services)).answer(metric)
    return found.state, found.why


API = "  api:\n    image: example/api:1\n"
SCRAPED_API = "  - job_name: api\n    static_configs: [{targets: ['api:8000']}]\n"


@pytest.mark.parametrize(
    ("metric", "state", "why"),
    [
        ("up", "there", ""),
        ("ALERTS", "there", ""),
        ("node_load1", "there", ""),
        ("node_lod15", "missing", "node_exporter does not export it; did you mean node_load15?"),
        ("node_hwmon_temp_celsius", "unknown", "in some versions or on some machines only"),
        ("redis_up", "missing", "redis_exporter exports it, and no job scrapes one"),
        ("orders_total", "missing", "nothing that is scraped exports it"),
    ],
)
def test_a_metric_is_there_missing_or_unknown(metric: str, state: str, why: str, tmp_path: Path) -> None:
    found = answer(tmp_path, metric)
    assert found[0] == state
    assert why in found[1]


@pytest.mark.parametrize(
    ("jobs", "services", "prometheus", "why"),
    [
        (SCRAPED_API, API, "", "no file says which metrics api exports"),
        (
            "",
            "",
            "command: ['--web.enable-remote-write-receiver']",
            "metrics may be pushed to prometheus",
        ),
        ("otlp: {}\n", "", "", "pushed"),
        (
            "  - job_name: push\n    static_configs: [{targets: ['push:9091']}]\n",
            "  push:\n    image: prom/pushgateway:v1\n",
            "",
            "passes on metrics of others",
        ),
        ("  - job_name: x\n    docker_sd_configs: [{host: 'unix:///x'}]\n", "", "", "are not known"),
        (
            "  - {job_name: x, metrics_path: /federate, static_configs: [{targets: ['o:9090']}]}\n",
            "",
            "",
            "another",
        ),
        ("  - job_name: x\n    static_configs: [{targets: ['10.0.0.7:9100']}]\n", "", "", "is not known"),
    ],
)
def test_a_metric_that_may_come_another_way_is_unknown(
    jobs: str, services: str, prometheus: str, why: str, tmp_path: Path
) -> None:
    state, said = answer(tmp_path, "orders_total", jobs, services, prometheus)
    assert state == "unknown"
    assert why in said


def test_what_an_application_exports_is_declared_in_a_file(tmp_path: Path) -> None:
    exposed = '# TYPE orders_total counter\norders_total{a="b"} 1\n'
    files = {"p/prometheus.yml": CONFIG + SCRAPED_API, "api.prom": exposed}
    deployment = with_server(tmp_path, "volumes: ['./p:/etc/prometheus']", files, API)
    deployment.metrics = {"ap*": (str(tmp_path / "api.prom"),)}
    sources = sources_of(deployment)
    assert sources.answer("orders_total").metric == Metric("counter", frozenset({"a"}))
    assert sources.answer("order_total").why == "nothing that is scraped exports it; did you mean orders_total?"


def test_an_answer_in_the_text_format_is_read_with_its_families() -> None:
    text = """
# HELP h A histogram
# TYPE h histogram
h_bucket{path="/",le="1"} 1
h_sum{path="/"} 1
h_count{path="/"} 1
# TYPE s summary
s{quantile="0.5"} 1
# TYPE made counter
made_total{by="x"} 3 1700000000000
plain 1
this is no sample
"""
    assert read_exposition(text) == {
        "h_bucket": Metric("counter", frozenset({"path", "le"})),
        "h_sum": Metric("counter", frozenset({"path"})),
        "h_count": Metric("counter", frozenset({"path"})),
        "s": Metric("gauge", frozenset({"quantile"})),
        "s_sum": Metric("counter", frozenset()),
        "s_count": Metric("counter", frozenset()),
        "made_total": Metric("counter", frozenset({"by"})),
        "plain": Metric("untyped", frozenset()),
    }


def test_exporters_are_known_by_the_first_word_of_their_metrics() -> None:
    assert {owner.name for word in ("node_x", "pg_x", "redis_x") if (owner := owner_of(word))} == {
        "node_exporter",
        "postgres_exporter",
        "redis_exporter",
    }
    assert owner_of("go_goroutines") is None
    assert "node-exporter" in exporters()


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("1h30m", 5400), ("1d", 86_400), ("250ms", 0.25), ("0", 0), ("5", None), ("", None)],
)
def test_durations_are_read_as_prometheus_writes_them(text: str, value: float | None) -> None:
    assert seconds(text) == value


def test_durations_are_written_as_prometheus_writes_them() -> None:
    assert [written(one) for one in (90, 3600, 0.25, 0)] == ["1m30s", "1h", "250ms", "0s"]
