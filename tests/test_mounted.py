"""Rule files, dashboards and configurations that are named by themselves."""

from __future__ import annotations

from pathlib import Path

from infra_audit import audit
from infra_audit.finding import Report

COMPOSE = """
services:
  prometheus:
    image: prom/prometheus:v2.42.0
    volumes: ["./monitoring:/etc/prometheus:ro"]
"""
CONFIG = (
    "rule_files: [rules.yml]\nscrape_configs:\n  - job_name: a\n    static_configs: [{targets: ['localhost:9090']}]\n"
)
RULES = "groups:\n  - name: a\n    rules:\n      - alert: Down\n        expr: up == 0\n"
DASHBOARD = '{"title": "Machines", "panels": []}'


def checked(folder: Path, path: str, files: dict[str, str]) -> Report:
    (folder / ".git").mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return audit.audit(audit.Request(paths=(str(folder / path),), plan="none"))


def names(report: Report) -> list[str]:
    return [Path(file).name for deployment in report.deployments for file in deployment.files]


def test_a_rule_file_leads_to_the_deployment_that_mounts_it(tmp_path: Path) -> None:
    files = {"compose.yaml": COMPOSE, "monitoring/prometheus.yml": CONFIG, "monitoring/rules.yml": RULES}
    report = checked(tmp_path, "monitoring/rules.yml", files)
    assert names(report) == ["compose.yaml"]
    assert report.deployments[0].notes[-1].endswith("rules.yml: mounted here")
    assert {finding.policy for finding in report.findings} >= {"alert-severity", "prometheus-retention"}


def test_a_configuration_leads_to_the_deployment_that_mounts_it(tmp_path: Path) -> None:
    files = {"compose.yaml": COMPOSE, "monitoring/prometheus.yml": CONFIG, "monitoring/rules.yml": RULES}
    assert names(checked(tmp_path, "monitoring/prometheus.yml", files)) == ["compose.yaml"]


def test_a_rule_file_that_nobody_mounts_is_judged_by_itself(tmp_path: Path) -> None:
    files = {"compose.yaml": "services: {web: {image: 'nginx:1.27'}}", "rules/a.yml": RULES}
    report = checked(tmp_path, "rules/a.yml", files)
    assert names(report) == ["a.yml"]
    assert {finding.policy for finding in report.findings} >= {"alert-severity", "alert-for"}
    assert not [gap for gap in report.gaps if gap.internal]


def test_a_folder_without_a_compose_file_means_its_rules_and_dashboards(tmp_path: Path) -> None:
    files = {"mixin/rules.yml": RULES, "mixin/deeper/board.json": DASHBOARD, "mixin/other.yml": "a: b\n"}
    assert names(checked(tmp_path, "mixin", files)) == ["board.json", "rules.yml"]


def test_a_folder_with_neither_is_an_error(tmp_path: Path) -> None:
    report = checked(tmp_path, "empty", {"empty/readme.yml": "a: b\n"})
    assert [error.message for error in report.errors] == ["no Compose file found here"]


def test_a_broken_rule_file_has_its_place(tmp_path: Path) -> None:
    report = checked(tmp_path, "rules.yml", {"rules.yml": "groups:\n  - name: a\n   rules: []\n"})
    [finding] = [finding for finding in report.findings if finding.policy == "rules-invalid"]
    assert finding.place.line == 3
