"""Facts about rule files as a whole."""

from __future__ import annotations

import os

from infra_audit.deployment import Subject
from infra_audit.facts.expressions import expression_of, query_of, users_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact, value_of
from infra_audit.facts.rule_files import RuleFile, rule_file_of, rule_of, tests_of

__all__: list[str] = []


@fact("rules.dialect", on="rule_file")
def dialect(subject: Subject) -> Fact[str]:
    """Whose rules they are: prometheus, vmalert, loki."""
    return Known(rule_file_of(subject).dialect, subject.node)


def _alerts(file: RuleFile) -> list[str]:
    return list(dict.fromkeys(rule.name for rule in file.rules if rule.kind == "alert"))


_RUNBOOKS = ("runbook_url", "runbook", "runbook_link", "playbook", "playbook_url")


@fact("rules.without_runbook", on="rule_file")
def without_runbook(subject: Subject) -> Fact[list[str]]:
    """Alerts without an annotation that names a runbook."""
    file = rule_file_of(subject)
    missing = [
        rule
        for rule in file.rules
        if rule.kind == "alert"
        and not any(name in rule.annotations for name in _RUNBOOKS)
        and not _is_heartbeat(rule.name)
    ]
    place = missing[0].name_node if missing else subject.node
    return Known(list(dict.fromkeys(rule.name for rule in missing)), place)


def _is_heartbeat(name: str) -> bool:
    """True for an alert that always fires and says that alerting works."""
    return name.lower().replace("_", "") in ("watchdog", "deadmansswitch", "heartbeat", "deadmanswitch")


@fact("rules.untested", on="rule_file")
def untested(subject: Subject) -> Fact[list[str]]:
    """Alerts that no promtool unit test near the file sees firing."""
    file = rule_file_of(subject)
    location = file.located.location
    fires: set[str] = set()
    for path, test in tests_of(subject.deployment).items():
        folder = os.path.dirname(path)
        if any(os.path.normpath(os.path.join(folder, name)) == location for name in test.rule_files):
            fires |= test.fires
    first = next(
        (rule.name_node for rule in file.rules if rule.kind == "alert" and rule.name not in fires), subject.node
    )
    return Known([name for name in _alerts(file) if name not in fires], first)


# -- recording rules ------------------------------------------------------------------------------


@fact("recording.used", on="recording_rule")
def used(subject: Subject) -> Fact[bool]:
    """True where an alert, another recording rule or a panel asks for what is recorded."""
    rule = rule_of(subject)
    users = users_of(subject.deployment)
    if any(expression.parent is not subject for expression in users.get(rule.name, ())):
        return Known(True, rule.name_node)
    if _has_other_readers(subject):
        return Unknown("dashboards that are not in the files may use it")
    return Known(False, rule.name_node)


def _has_other_readers(subject: Subject) -> bool:
    """True where a Grafana, or another Prometheus, may ask for it beyond what the files show."""
    deployment = subject.deployment
    if not deployment.subjects("service"):
        return True
    if deployment.subjects("panel"):
        return False
    images = [service.node.get("image") for service in deployment.subjects("service")]
    return any(image is not None and "grafana" in str(image.value) for image in images)


# -- alerts that the plan lists ---------------------------------------------------------------------


@fact("monitoring.undocumented_failures", on="deployment")
def undocumented_failures(deployment: Subject) -> Fact[list[Item]]:
    """Failures of the adopted plan that no loaded alert watches, and fewer alerts than it asks for."""
    plan = deployment.deployment.plan
    wanted = plan.plan.alerts if plan is not None and plan.adopted else {}
    servers = [one for one in deployment.deployment.subjects("service") if value_of(one, "prometheus.is_server")]
    if not wanted or not servers:
        return Known([], deployment.node)
    alerts = deployment.deployment.subjects("alert")
    asked = {metric for alert in alerts for metric in _metrics(alert, frozenset())}
    place = (Evidence(servers[0].node),)
    items = [
        Item(f"no alert watches {failure}, which shows in {' or '.join(metrics)}", place)
        for failure, metrics in (wanted.get("failures") or {}).items()
        if not asked & set(metrics)
    ]
    count = wanted.get("count")
    if count is not None and len(alerts) < count:
        items.insert(0, Item(f"{len(alerts)} alerts, and the plan asks for {count}", place))
    return Known(items, servers[0].node)


def _metrics(rule: Subject, seen: frozenset[str]) -> set[str]:
    """The metrics that a rule asks for, and those that the recording rules among them ask for."""
    found = {selector.metric for selector in query_of(expression_of(rule)).selectors}
    for recorded in rule.deployment.subjects("recording_rule"):
        name = rule_of(recorded).name
        if name in found and name not in seen:
            found |= _metrics(recorded, seen | {name})
    return found
