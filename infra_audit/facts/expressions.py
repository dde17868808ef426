"""Expressions: the PromQL of alerts, recording rules and panels, parsed once, with its places in the files."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.rule_files import rule_of
from infra_audit.monitoring import grafana_macros
from infra_audit.monitoring.promql import Expression, PromqlError, Selector, Tree, parse, walk
from infra_audit.monitoring.promql_tokens import Place
from infra_audit.named import NamedTuple
from infra_audit.readers.scalar_text import ScalarText
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Query", "expression_of", "of_rules", "query_of", "query_subject", "users_of"]


class Query(NamedTuple):
    """An expression. ``parsed`` is None where it is no PromQL, and ``error`` says why.

    ``node``: the scalar that holds it. ``variables``: names of Grafana's variables in it. ``parts``: every part of its
    tree with those that it stands in; ``selectors``: those of them that ask for series, in order.
    """

    text: str
    node: Node
    scalar: ScalarText
    parsed: Expression | None
    error: str = ""
    variables: tuple[str, ...] = ()
    parts: tuple[tuple[Tree, tuple[Tree, ...]], ...] = ()
    selectors: tuple[Selector, ...] = ()

    def place(self, part: Selector | Place | None = None) -> Node | Span:
        """Where a selector's metric, or the whole expression, is written."""
        place = part.place if isinstance(part, Selector) else part
        return self.scalar.span(place.start, place.end) if place is not None else self.node


def query_subject(owner: Subject, node: Node, number: int = 1, *, grafana: bool = False) -> Subject:
    """The expression in a scalar as a subject, for its owner: an alert, a recording rule or a panel."""
    name = f"{owner.kind} {owner.name}" + (f" ({number})" if number > 1 else "")
    subject = Subject("expression", name, node, owner.deployment, owner, owner=owner)
    subject.cache["(grafana)"] = grafana
    return subject


def query_of(subject: Subject) -> Query:
    """The parsed expression of an expression subject; parsed at the first call."""
    known = subject.cache.get("(query)")
    if not isinstance(known, Query):
        known = subject.cache["(query)"] = _read(subject.node, grafana=bool(subject.cache.get("(grafana)")))
    return known


def _read(node: Node, *, grafana: bool) -> Query:
    scalar = ScalarText(node)
    variables: tuple[str, ...] = ()
    try:
        if grafana:
            parsed, substituted = grafana_macros.parse(scalar.text)
            variables = tuple(substituted.variables)
        else:
            parsed = parse(scalar.text)
    except PromqlError as error:
        return Query(scalar.text, node, scalar, None, str(error))
    parts = tuple(walk(parsed.tree))
    selectors = tuple(part for part, _ in parts if isinstance(part, Selector))
    return Query(scalar.text, node, scalar, parsed, "", variables, parts, selectors)


def users_of(deployment: Deployment) -> dict[str, list[Subject]]:
    """Metric → the expressions that ask for it; read once."""
    known = deployment.root.cache.get("(users of metrics)")
    if not isinstance(known, dict):
        known = {}
        for expression in deployment.subjects("expression"):
            for metric in dict.fromkeys(one.metric for one in query_of(expression).selectors if one.metric):
                known.setdefault(metric, []).append(expression)
        deployment.root.cache["(users of metrics)"] = known
    return known


def of_rules(deployment: Deployment) -> Iterator[Subject]:
    """The expressions of all alerts and recording rules."""
    for kind in ("alert", "recording_rule"):
        for rule in deployment.subjects(kind):
            yield expression_of(rule)


def expression_of(rule: Subject) -> Subject:
    """The expression of an alert or recording_rule; the same object at each call."""
    known = rule.cache.get("(expression)")
    if not isinstance(known, Subject):
        known = rule.cache["(expression)"] = query_subject(rule, rule_of(rule).expr)
    return known
