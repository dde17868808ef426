"""Every expression of the reference stack's monitoring, asked of a real Prometheus with real exporters."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra_audit.monitoring.promql import Selector, parse
from tests.exporters import CATALOGUE, metrics_of
from tests.running_stack import MONITORING, Running, missing_packages, psql, redis_cli, running_stack

ANSWERS: dict[str, tuple[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
_PATIENCE = 60.0


def groups(file: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((MONITORING / "prometheus" / file).read_text())["groups"]:
        yield from group["rules"]


def dashboards() -> Iterator[dict[str, Any]]:
    for file in sorted((MONITORING / "grafana" / "dashboards").glob("*.json")):
        yield json.loads(file.read_text())


def substituted(expression: str) -> str:
    """A panel's query as Grafana sends it with everything chosen; scrapes are a second apart here."""
    return re.sub(r"\$\w+", ".+", expression.replace("$__rate_interval", "15s"))


def written(selector: Selector) -> str:
    matchers = ",".join(f"{match.label}{match.op}{json.dumps(match.value)}" for match in selector.matchers)
    return f"{selector.metric}{{{matchers}}}"


def selectors_without_series(running: Running, expression: str) -> list[str]:
    """What an expression asks for and nobody serves; an alert that is quiet because of it can never fire."""
    asked = {written(selector) for selector in parse(expression).selectors()}
    return [one for one in sorted(asked) if not running.query(one)]


def wrong_alerts(running: Running) -> list[str]:
    wrong = []
    for rule in groups("alert_rules.yml"):
        expected, because = ANSWERS[rule["alert"]]
        answer = bool(running.query(rule["expr"]))
        if expected != "either" and answer != (expected == "fires"):
            wrong.append(f"alert {rule['alert']} {'fires' if answer else 'is quiet'}, and should not: {because}")
        lacking = selectors_without_series(running, rule["expr"])
        wrong += [f"alert {rule['alert']}: {one} has no series, so it is quiet for a wrong reason" for one in lacking]
    return wrong


def wrong_panels(running: Running) -> list[str]:
    wrong = []
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if "expr" in target:
                    where = f"{dashboard['title']} / {panel['title']} / {target['refId']}"
                    wrong += [f"{where}: {what}" for what in wrong_target(running, target)]
        for variable in dashboard["templating"]["list"]:
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert asked, variable["definition"]
            if not any(asked[2] in one["metric"] for one in running.query(asked[1])):
                wrong.append(f"{dashboard['title']}: no value for ${variable['name']}")
    return wrong


def wrong_target(running: Running, target: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the answer to a panel's query."""
    query = substituted(target["expr"])
    series = running.query(query)
    if not series:
        yield f"no data for {query}"
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]):
        if lacking := [one["metric"] for one in series if label not in one["metric"]]:
            yield f"no label {label} in {lacking[0]}"


def wrong_records(running: Running) -> list[str]:
    records = [rule["record"] for rule in groups("recording_rules.yml")]
    return [f"{record} records nothing" for record in records if not running.query(record)]


def down_targets(running: Running) -> list[str]:
    targets = running.api("targets")["activeTargets"]
    jobs = {
        job["job_name"]
        for job in yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    }
    down = [f"{target['scrapePool']}: {target['lastError']}" for target in targets if target["health"] != "up"]
    return down + [f"{job} has no target" for job in jobs - {target["scrapePool"] for target in targets}]


def failing_rules(running: Running) -> list[str]:
    rules = [rule for group in running.api("rules")["groups"] for rule in group["rules"]]
    return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]


def unknown_to_the_catalogue(running: Running) -> list[str]:
    """What the real exporters serve here and their catalogue entries do not say."""
    wrong = []
    for exporter, (server, path) in running.exporters.items():
        name = {"rabbitmq": "rabbitmq_prometheus"}.get(exporter, f"{exporter}_exporter")
        entry = json.loads((CATALOGUE / f"{name}.json").read_text())
        for metric, about in metrics_of(server.get(path)).items():
            known = entry["metrics"].get(metric)
            if known is None:
                if not any(fnmatchcase(metric, pattern) for pattern in entry["varies"]):
                    wrong.append(f"{name}: {metric} is not in the catalogue")
            elif known["type"] != about["type"] or not set(about["labels"]) <= set(known["labels"]):
                wrong.append(f"{name}: {metric} is {about}, the catalogue says {known}")
    return wrong


def test_every_expression_answers_as_it_should() -> None:
    """One test, because its servers take longer than its questions; each wrong answer is a line of its message."""
    lacking = missing_packages()
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)} (tests/provision.sh brings them)")
    with running_stack() as running:
        deadline = time.monotonic() + _PATIENCE
        questions = (down_targets, wrong_records, wrong_alerts, wrong_panels)
        while wrong := [line for ask in questions for line in ask(running)]:
            if time.monotonic() > deadline:
                break
            running.work()
            time.sleep(1)
        wrong += failing_rules(running) + unknown_to_the_catalogue(running)
        assert not wrong, "\n".join(wrong)

        firing = {alert["labels"]["alertname"] for alert in running.api("alerts")["alerts"]}
        assert "Watchdog" in firing
        (sql,) = [
            target["rawSql"]
            for board in dashboards()
            for panel in board["panels"]
            for target in panel["targets"]
            if "rawSql" in target
        ]
        assert "INSERT INTO track" in psql(running.database, sql)
        assert redis_cli(running.cache, "config", "get", "maxclients").split()[0] == "maxclients"
        assert redis_cli(running.cache, "slowlog", "get", "20") is not None


def test_every_alert_has_an_expected_answer_and_a_reason() -> None:
    assert list(ANSWERS) == [rule["alert"] for rule in groups("alert_rules.yml")]
    assert all(said in ("fires", "quiet", "either") and because for said, because in ANSWERS.values())
