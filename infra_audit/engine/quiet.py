"""Conditions as tests that answer at once where a subject surely gives nothing to say.

Of the checks that a run makes, nine in ten say nothing. ``judge`` explains what it comes to; these
tests only answer, at a tenth of its price, and leave to ``judge`` whatever they are not sure of: an
unknown fact, a value that the plan or another fact gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from infra_audit.deployment import Subject
from infra_audit.engine.conditions import COMPARISONS, All, AnyOf, Condition, Leaf, Not, to_unit
from infra_audit.facts.registry import Known, evaluate, unit_of

__all__ = ["Test", "quiet"]

Test: TypeAlias = Callable[[Subject, Mapping[str, Any]], bool]
"""Takes a subject and the parameters of a policy. True is an answer, False is none."""


def quiet(where: Condition | None, require: Condition) -> Test:
    """A test that is True only where ``where`` does not hold or ``require`` holds."""
    holds = _surely(require, True)
    return holds if where is None else _some((_surely(where, False), holds))


def _surely(condition: Condition, truth: bool) -> Test:
    """A test that is True only where a condition comes to ``truth``."""
    match condition:
        case Leaf():
            return _leaf(condition, truth)
        case Not(part):
            return _surely(part, not truth)
        case All(parts):
            tests = tuple(_surely(part, truth) for part in parts)
            return _every(tests) if truth else _some(tests)
    assert isinstance(condition, AnyOf)
    tests = tuple(_surely(part, truth) for part in condition.parts)
    return _some(tests) if truth else _every(tests)


def _every(tests: Iterable[Test]) -> Test:
    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        for each in tests:  # noqa: SIM110 - a generator would cost more than the tests
            if not each(subject, parameters):
                return False
        return True

    return test


def _some(tests: Iterable[Test]) -> Test:
    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        for each in tests:  # noqa: SIM110
            if each(subject, parameters):
                return True
        return False

    return test


def _leaf(leaf: Leaf, truth: bool) -> Test:
    fact, comparison, right = leaf
    if right.kind == "parameter":
        return _compared(leaf, truth, right.value)
    if right.kind != "literal":
        return _unsure
    if type(right.value) is bool:
        if comparison == "is":
            return _is(fact, right.value, truth)
        if comparison == "empty":
            return _empty(leaf, truth)
        if comparison == "exists":
            return _exists(fact, right.value is truth)
    return _compared(leaf, truth, None)


def _unsure(_: Subject, __: Mapping[str, Any]) -> bool:
    return False


def _is(fact: str, wanted: bool, truth: bool) -> Test:
    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or evaluate(subject, fact)
        return type(known) is Known and (known.value is wanted) is truth

    return test


def _exists(fact: str, wanted: bool) -> Test:
    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or evaluate(subject, fact)
        return type(known) is Known and (known.value is not None) is wanted

    return test


def _empty(leaf: Leaf, truth: bool) -> Test:
    """What is not empty may hold items that are undecided, of which ``judge`` knows."""
    fact = leaf.fact
    if leaf.right.value is not truth:
        return _unsure

    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or evaluate(subject, fact)
        return type(known) is Known and not known.value and known.value not in (0, False)

    return test


def _compared(leaf: Leaf, truth: bool, parameter: str | None) -> Test:
    fact = leaf.fact
    compare = COMPARISONS[leaf.comparison]
    literal = leaf.right.value

    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or evaluate(subject, fact)
        if type(known) is not Known or (parameter is not None and parameter not in parameters):
            return False
        right = to_unit(literal if parameter is None else parameters[parameter], unit_of(fact))
        try:
            return compare(known.value, right) is truth
        except TypeError:
            return False

    return test
