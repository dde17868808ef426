"""Rule files of Prometheus and their unit tests, with places.

Source: prometheus.io/docs/prometheus/latest/configuration/{recording_rules,alerting_rules,unit_testing_rules}.
"""

from __future__ import annotations

from infra_audit.monitoring.durations import seconds
from infra_audit.monitoring.located_yaml import text_of
from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__ = ["Group", "Rule", "RuleTest", "is_rule_file", "read_groups", "read_test", "rules_of"]


class Rule(NamedTuple):
    """One rule. ``kind``: alert or record. ``duration`` is ``for`` in seconds, 0 without it, None where it is none."""

    kind: str
    name: str
    node: Node
    name_node: Node
    expr: Node
    duration: float | None
    labels: dict[str, Node]
    annotations: dict[str, Node]
    group: str
    number: int


class Group(NamedTuple):
    """Rules that are evaluated together; ``interval`` in seconds, None for the configuration's."""

    name: str
    node: Node
    interval: float | None
    rules: tuple[Rule, ...]


class RuleTest(NamedTuple):
    """A file of unit tests: the files that it tests, and the alerts that it expects to fire."""

    rule_files: tuple[str, ...]
    fires: frozenset[str]


def is_rule_file(roots: list[Node]) -> bool:
    """True for YAML that holds Prometheus' rule groups, with at least one alert or recording rule."""
    return len(roots) == 1 and any(_kind(rule) for group in _groups(roots[0]) for rule in _entries(group, "rules"))


def read_groups(root: Node) -> tuple[Group, ...]:
    """The groups of a rule file. Rules without a name or an expression are left out: promtool says so."""
    return tuple(_group(node) for node in _groups(root))


def rules_of(groups: tuple[Group, ...]) -> list[Rule]:
    return [rule for group in groups for rule in group.rules]


def _groups(root: Node) -> list[Node]:
    return [node for node in _entries(root, "groups") if node.is_mapping]


def _entries(node: Node, key: str) -> list[Node]:
    child = node.get(key)
    return child.entries() if child is not None else []


def _kind(rule: Node) -> str:
    return next((kind for kind in ("alert", "record") if text_of(rule.get(kind)) and text_of(rule.get("expr"))), "")


def _group(node: Node) -> Group:
    name = text_of(node.get("name"))
    interval = node.get("interval")
    rules = tuple(
        _rule(rule, kind, name, number)
        for number, rule in enumerate(_entries(node, "rules"), 1)
        if (kind := _kind(rule))
    )
    return Group(name, node, seconds(text_of(interval)) if interval is not None else None, rules)


def _rule(node: Node, kind: str, group: str, number: int) -> Rule:
    waits = node.get("for")
    labels, annotations = node.get("labels"), node.get("annotations")
    return Rule(
        kind,
        text_of(node.get(kind)),
        node,
        node.value[kind],
        node.value["expr"],
        0.0 if waits is None else seconds(text_of(waits)),
        dict(labels.items()) if labels else {},
        dict(annotations.items()) if annotations else {},
        group,
        number,
    )


def read_test(roots: list[Node]) -> RuleTest | None:
    """A file of promtool unit tests, or None for any other file."""
    if len(roots) != 1 or not _entries(roots[0], "rule_files") or not _entries(roots[0], "tests"):
        return None
    fires = {
        text_of(case.get("alertname"))
        for test in _entries(roots[0], "tests")
        for case in _entries(test, "alert_rule_test")
        if _entries(case, "exp_alerts")
    }
    return RuleTest(tuple(text_of(entry) for entry in _entries(roots[0], "rule_files")), frozenset(fires))
