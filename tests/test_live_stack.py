"""The exporter as the reference stack runs it: behind a proxy of the socket, scraped by the stack's Prometheus."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any

import pytest
import yaml

from infra_audit.monitoring.promql import parse
from tests.exporters import metrics_of
from tests.lab.fixtures import Lab, lab
from tests.running_stack import MONITORING
from tests.waiting import until

__all__ = ["lab"]

pytestmark = pytest.mark.xdist_group("lab")

EXPORTER, PROXY = "tracklists-infra-audit-1", "tracklists-socket-proxy-1"
API = "http://socket-proxy:2375/v1.41"
ERRORS = 'infra_audit_findings_by_severity{severity="error"}'


def answer(lab: Lab, url: str, method: str = "GET") -> int:
    """The status that the exporter's container gets."""
    program = (
        "import sys, urllib.error, urllib.request as u\n"
        "try: print(u.urlopen(u.Request(sys.argv[1], method=sys.argv[2]), timeout=5).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    return int(lab.docker("exec", EXPORTER, "python", "-c", program, url, method))


def ask(lab: Lab, expression: str) -> list[dict[str, Any]]:
    """An instant query of the stack's own Prometheus."""
    query = urllib.parse.urlencode({"query": expression})
    url = f"http://127.0.0.1:9090/api/v1/query?{query}"
    told = lab.docker("exec", "tracklists-prometheus-1", "wget", "-q", "-O", "-", url)
    result: list[dict[str, Any]] = json.loads(told)["data"]["result"]
    return result


def value(lab: Lab, expression: str) -> float | None:
    found = ask(lab, expression)
    return float(found[0]["value"][1]) if found else None


def settled(lab: Lab) -> bool:
    """True where an audit was made and scraped since other tests broke and mended things."""
    return (value(lab, "infra_audit_up"), value(lab, ERRORS)) == (1, 0)


def test_the_exporter_audits_the_stack_through_the_proxy(lab: Lab) -> None:
    until(lambda: settled(lab), 150)
    assert value(lab, 'up{job="infra-audit"}') == 1
    named = [one["metric"] for one in ask(lab, "infra_audit_findings")]
    assert not [one for one in named if one["policy"].startswith("drift-")], named
    assert value(lab, "infra_audit_gaps") not in (None, 0.0)


def test_what_the_exporter_serves_is_what_the_stack_declares(lab: Lab) -> None:
    program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9910/metrics').read().decode())"
    declared = metrics_of((MONITORING / "metrics" / "infra-audit.prom").read_text())
    until(lambda: "severity=" in lab.docker("exec", EXPORTER, "python", "-c", program))
    served = metrics_of(lab.docker("exec", EXPORTER, "python", "-c", program))
    assert {name: declared[name] for name in served} == served
    assert set(declared) - set(served) <= {"infra_audit_findings"}  # which is absent where nothing is found


def test_alerts_and_panels_about_the_audit_have_data(lab: Lab) -> None:
    until(lambda: settled(lab), 150)
    groups = yaml.safe_load((MONITORING / "prometheus" / "alert_rules.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    board = json.loads((MONITORING / "grafana" / "dashboards" / "containers.json").read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = [expression for expression in (*alerts.values(), *panels) if "infra_audit_" in expression]
    assert len(asked) == 6
    for expression in asked:
        for metric in {selector.metric for selector in parse(expression).selectors()}:
            assert ask(lab, metric), metric
    assert [name for name in ("AuditNotMade", "AuditFindsErrors") if ask(lab, alerts[name])] == []
    assert all(ask(lab, expression) for expression in panels if "infra_audit_" in expression)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/containers/json?all=1", 200),
        ("GET", "/info", 200),
        ("GET", "/containers/{id}/json", 200),
        ("GET", "/containers/{id}/logs?stdout=1", 403),
        ("GET", "/containers/{id}/archive?path=/etc/passwd", 403),
        ("GET", "/containers/{id}/export", 403),
        ("GET", "/images/json/../../containers/{id}/archive?path=/etc", 403),
        ("GET", "/secrets", 403),
        ("POST", "/containers/{id}/stop", 403),
        ("POST", "/containers/{id}/exec", 403),
        ("POST", "/containers/json", 405),
        ("DELETE", "/containers/{id}/json", 405),
    ],
)
def test_the_rules_of_the_proxy(lab: Lab, method: str, path: str, status: int) -> None:
    identity = lab.docker("inspect", "--format={{.Id}}", PROXY)
    assert answer(lab, API + path.format(id=identity), method) == status


def test_nobody_else_reaches_the_proxy(lab: Lab) -> None:
    networks = json.loads(lab.docker("network", "inspect", "tracklists_engine"))
    assert networks[0]["Internal"] is True
    assert {one["Name"] for one in networks[0]["Containers"].values()} == {EXPORTER, PROXY}
    options = json.loads(lab.docker("inspect", "--format={{json .Args}}", PROXY))
    assert [one for one in options if re.match("-allow(?!GET=|from=infra-audit$|healthcheck$)", one)] == []
