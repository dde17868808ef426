"""The reference stack's rules: promtool's verdict, and what every alert must have."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.command import ROOT
from tests.fixtures import STACK
from tests.servers import found

PROMETHEUS = STACK / "monitoring" / "prometheus"
DASHBOARDS = STACK / "monitoring" / "grafana" / "dashboards"
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = sorted((PROMETHEUS / "tests").glob("*_test.yml"))
ALWAYS_FIRES = {"Watchdog"}
COMPONENTS = {"infrastructure", "monitoring", "database", "cache", "broker", "application", "business"}


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alert_rules.yml")}


@pytest.fixture(scope="module")
def promtool() -> str:
    program = found("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    return program


def accepted(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_alert_tests_pass(promtool: str, file: Path) -> None:
    accepted(promtool, "test", "rules", file)


def test_promtool_accepts_the_configuration(promtool: str) -> None:
    accepted(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", ["alertmanager.yml", "alertmanager.development.yml"])
def test_alertmanager_accepts_its_configuration(file: str) -> None:
    program = found("amtool")
    if program is None:
        pytest.skip("amtool is not installed (Debian's package prometheus-alertmanager)")
    accepted(program, "check-config", STACK / "monitoring" / "alertmanager" / file)


def test_alertmanager_reads_its_secrets_from_files() -> None:
    text = (STACK / "monitoring" / "alertmanager" / "alertmanager.yml").read_text()
    keys = set(re.findall(r"(\w*(?:api_url|key|password|credentials|token)\w*):", text))
    assert keys
    assert all(key.endswith("_file") for key in keys), keys


def test_every_alert_is_shown_firing_and_quiet() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for file in TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for part in case["alert_rule_test"]:
                (fires if part["exp_alerts"] else quiet).add(part["alertname"])
                assert case["input_series"] or part["alertname"] in ALWAYS_FIRES
    assert fires == set(ALERTS)
    assert quiet == set(ALERTS) - ALWAYS_FIRES


def test_there_are_alerts_about_every_part() -> None:
    assert len(ALERTS) >= 25
    assert {rule["labels"]["component"] for rule in ALERTS.values()} == COMPONENTS


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_its_runbook_and_to_a_panel(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["runbook_url"].endswith(f"/{name}.md")
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Look at", "## Mend"):
        assert heading in page
    link = urlsplit(rule["annotations"]["dashboard_url"])
    dashboard = json.loads((DASHBOARDS / f"{link.path.removeprefix('/d/')}.json").read_text())
    assert dashboard["uid"] == link.path.removeprefix("/d/")
    assert int(parse_qs(link.query)["viewPanel"][0]) in {panel["id"] for panel in dashboard["panels"]}


def test_every_runbook_has_an_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)


def test_alertmanager_names_alerts_and_components_that_exist() -> None:
    """A route or an inhibition for an alert that is called otherwise does nothing, and nobody notices."""
    text = (STACK / "monitoring" / "alertmanager" / "alertmanager.yml").read_text()
    matched = re.findall(r'(alertname|component) =~? "([^"]+)"', text)
    known = {"alertname": set(ALERTS), "component": COMPONENTS}
    assert len(matched) > 10
    for label, values in matched:
        assert set(values.split("|")) <= known[label]


def test_the_throughput_alert_counts_per_hour() -> None:
    records = {rule["record"]: rule["expr"] for rule in rules("recording_rules.yml")}
    assert records["pipeline:tracks_stored:per_hour"].startswith("3600 * sum(rate(")
    plan = yaml.safe_load((ROOT / "policies" / "plans" / "reference.yaml").read_text())
    assert plan["target"] == {"throughput": 20000, "unit": "tracks/hour"}
    assert ALERTS["ThroughputBelowTarget"]["expr"] == "pipeline:tracks_stored:per_hour < 20000"
