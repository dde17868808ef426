"""What a policy may still say wrong once its form is right: facts, operands, placeholders, parameters."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.engine.conditions import Leaf, Operand, to_unit
from infra_audit.engine.policies import Check, Policy
from infra_audit.engine.templates import FORMATS, placeholders
from infra_audit.facts.registry import Definition, definitions
from infra_audit.hints import did_you_mean
from infra_audit.named import NamedTuple

__all__ = ["FACTS_OF", "PolicyProblem", "review"]

FACTS_OF = {
    "port": ("port", "service", "deployment"),
    "mount": ("mount", "service", "deployment"),
    "dependency": ("dependency", "service", "deployment"),
    "scrape_job": ("scrape_job", "service", "deployment"),
    "scrape_target": ("scrape_target", "scrape_job", "service", "deployment"),
    "alert": ("alert", "rule_file", "deployment"),
    "recording_rule": ("recording_rule", "rule_file", "deployment"),
    "panel": ("panel", "dashboard", "deployment"),
    "deployment": ("deployment",),
}
"""Whose facts a policy about a subject may ask for; any other subject has its own and the deployment's."""

_NUMBERS = frozenset(("at_least", "at_most", "above", "below", "between"))
_UNITS = {"bytes": "a size such as 2GiB", "duration": "a duration such as 30s", "cpus": "a number", "ratio": "a share"}


class PolicyProblem(NamedTuple):
    """What is wrong, and the path of the part of the document that says it."""

    path: tuple[str | int, ...]
    message: str


def review(policy: Policy) -> Iterator[PolicyProblem]:
    """Everything that would only show when the policy runs."""
    facts = definitions()
    for index, check in enumerate(policy.checks):
        top: tuple[str | int, ...] = () if index == 0 else ("also", index - 1)
        yield from _review_check(policy, check, top, facts)
    used = {name for check in policy.checks for name in check.parameters()}
    for name in policy.parameters:
        if name not in used:
            yield PolicyProblem(("parameters", name), f"the parameter {name} is used nowhere")


def _review_check(
    policy: Policy, check: Check, top: tuple[str | int, ...], facts: dict[str, Definition]
) -> Iterator[PolicyProblem]:
    kinds = FACTS_OF.get(policy.subject, (policy.subject, "deployment"))
    for name in check.facts():
        definition = facts.get(name)
        if definition is None:
            yield PolicyProblem(top, f"no fact is called {name}{did_you_mean(name, facts)}")
        elif definition.kind not in kinds:
            yield PolicyProblem(top, f"{name} is a fact of a {definition.kind}, and this is about a {policy.subject}")
    for name in sorted(check.parameters() - set(policy.parameters)):
        yield PolicyProblem(top, f"the parameter {name} has no value under `parameters`")
    for part in placeholders(check.message):
        if part.format and part.format not in FORMATS:
            yield PolicyProblem((*top, "message"), f"{part.format!r} is no format; {', '.join(FORMATS)} are")
    for leaf in check.leaves():
        if leaf.fact in facts:
            yield from _review_leaf(leaf, facts[leaf.fact].unit, policy, top)


def _review_leaf(leaf: Leaf, unit: str, policy: Policy, top: tuple[str | int, ...]) -> Iterator[PolicyProblem]:
    """A number that is written as a text must be one in the unit of the fact."""
    if leaf.comparison not in _NUMBERS or unit not in _UNITS:
        return
    for value in _literals(leaf.right, policy):
        if isinstance(to_unit(value, unit), str):
            yield PolicyProblem(top, f"{leaf.fact} is compared with {value!r}, which is not {_UNITS[unit]}")


def _literals(operand: Operand, policy: Policy) -> Iterator[object]:
    if operand.kind == "list":
        for part in operand.value:
            yield from _literals(part, policy)
    elif operand.kind in ("literal", "parameter"):
        value = policy.parameters.get(operand.value) if operand.kind == "parameter" else operand.value
        yield from value if isinstance(value, list) else [value]
