"""Conditions as tests that answer at once where a subject surely gives nothing to say.

Of the checks that a run makes, nine in ten say nothing. ``judge`` explains what it comes to; these
tests only answer, at a tenth of its price, and leave to ``judge`` whatever they are not sure of: an
unknown fact, a value that the plan gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from infra_audit.deployment import Subject
from infra_audit.engine.conditions import COMPARISONS, All, Condition, Leaf, Not, to_unit
from infra_audit.facts.registry import Known, compute, evaluate, unit_of

__all__ = ["Test", "quiet", "surely"]

Test: TypeAlias = Callable[[Subject, Mapping[str, Any]], bool]
"""Takes a subject and the parameters of a policy. True is an answer, False is none."""
_Right: TypeAlias = Callable[[Subject, Mapping[str, Any]], Any]
"""Gives the right side of a comparison for a subject and the parameters; raises LookupError where it is unknown."""


def quiet(where: Condition | None, require: Condition | None) -> Test:
    """A test that is True only where ``where`` does not hold or ``require``, if there is one, holds."""
    if require is None:
        return lambda *_: True
    holds = surely(require, True)
    return holds if where is None else _some([surely(where, False), holds])


def surely(condition: Condition | None, truth: bool) -> Test:
    """A test that is True only where a condition comes to ``truth``; no condition always holds."""
    if condition is None:
        return lambda *_: truth
    if isinstance(condition, Leaf):
        return _leaf(condition, truth)
    if isinstance(condition, Not):
        return surely(condition.part, not truth)
    tests = [surely(part, truth) for part in condition.parts]
    return _every(tests) if isinstance(condition, All) is truth else _some(tests)


_PAIR = 2
"""Most tests have two parts, which need no loop."""


def _every(tests: Sequence[Test]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda subject, parameters: first(subject, parameters) and second(subject, parameters)

    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        for each in tests:  # noqa: SIM110 - a generator would cost more than the tests
            if not each(subject, parameters):
                return False
        return True

    return test


def _some(tests: Sequence[Test]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda subject, parameters: first(subject, parameters) or second(subject, parameters)

    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        for each in tests:  # noqa: SIM110
            if each(subject, parameters):
                return True
        return False

    return test


def _leaf(leaf: Leaf, truth: bool) -> Test:
    fact, comparison, right = leaf
    if right.kind == "parameter":
        return _compared_with(leaf, truth, _parameter(right.value, fact))
    if right.kind == "fact":
        return _compared_with(leaf, truth, _other(right.value))
    if right.kind != "literal":
        return _unsure
    if type(right.value) is bool:
        if comparison == "is":
            return _is(fact, right.value, truth)
        if comparison == "empty":
            return _empty(fact) if right.value is truth else _unsure
        if comparison == "exists":
            return _exists(fact, right.value is truth)
    return _compared(leaf, truth)


def _unsure(_: Subject, __: Mapping[str, Any]) -> bool:
    return False


def _is(fact: str, wanted: bool, truth: bool) -> Test:
    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or compute(subject, fact)
        return type(known) is Known and (known.value is wanted) is truth

    return test


def _exists(fact: str, wanted: bool) -> Test:
    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or compute(subject, fact)
        return type(known) is Known and (known.value is not None) is wanted

    return test


def _empty(fact: str) -> Test:
    """True for what is empty. What is not may hold items that are undecided, of which ``judge`` knows."""

    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or compute(subject, fact)
        return type(known) is Known and not known.value and known.value not in (0, False)

    return test


def _compared(leaf: Leaf, truth: bool) -> Test:
    fact = leaf.fact
    compare = COMPARISONS[leaf.comparison]
    literal = leaf.right.value
    right: Any = _LATER

    def test(subject: Subject, _: Mapping[str, Any]) -> bool:
        nonlocal right
        known = subject.cache.get(fact) or compute(subject, fact)
        if type(known) is not Known:
            return False
        if right is _LATER:  # the unit is known once somebody asked for the fact
            right = to_unit(literal, unit_of(fact))
        try:
            return compare(known.value, right) is truth
        except TypeError:
            return False

    return test


_LATER = object()


def _compared_with(leaf: Leaf, truth: bool, right: _Right) -> Test:
    fact = leaf.fact
    compare = COMPARISONS[leaf.comparison]

    def test(subject: Subject, parameters: Mapping[str, Any]) -> bool:
        known = subject.cache.get(fact) or compute(subject, fact)
        if type(known) is not Known:
            return False
        try:
            return compare(known.value, right(subject, parameters)) is truth
        except (TypeError, LookupError):
            return False

    return test


def _parameter(name: str, fact: str) -> _Right:
    return lambda _, parameters: to_unit(parameters[name], unit_of(fact))


def _other(name: str) -> _Right:
    def value(subject: Subject, _: Mapping[str, Any]) -> Any:
        known = evaluate(subject, name)
        if type(known) is not Known:
            raise LookupError(name)
        return known.value

    return value
