"""Conditions over facts, with three truth values.

A condition holds (True), does not hold (False), or cannot be decided (None). ``all``, ``any`` and
``not`` follow Kleene: an unknown part matters only where it could change the answer. Each answer
carries the leaf that decided it, which is where a finding points.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from infra_audit.deployment import Subject
from infra_audit.errors import ConfigError
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, evaluate, unit_of
from infra_audit.named import NamedTuple
from infra_audit.plan import Bound, PlanBinding
from infra_audit.units import parse_bytes, parse_duration

__all__ = ["COMPARISONS", "Condition", "Context", "Outcome", "Right", "judge", "leaves", "parse", "to_unit"]


class Operand(NamedTuple):
    """The right side of a comparison. ``kind``: literal, plan, fact, parameter, or list (of operands)."""

    kind: str
    value: Any
    ready: Right | None = None
    """A literal that is the same in every unit."""


class Right(NamedTuple):
    """What a right side came to, in the unit of the fact. ``exactly``: the plan asks for just that."""

    value: Any
    exactly: bool = False
    because: tuple[Evidence, ...] = ()


class Leaf(NamedTuple):
    """One fact compared with one right side."""

    fact: str
    comparison: str
    right: Operand


class All(NamedTuple):
    parts: tuple[Condition, ...]


class AnyOf(NamedTuple):
    parts: tuple[Condition, ...]


class Not(NamedTuple):
    part: Condition


Condition: TypeAlias = All | AnyOf | Not | Leaf


class Context(NamedTuple):
    """What a condition is judged against."""

    subject: Subject
    parameters: Mapping[str, Any]
    plan: PlanBinding | None


class Outcome:
    """What a condition came to, and the leaf that decided it with its two sides.

    There is one for each leaf of each check on each subject, and few become findings or gaps: what
    those say is worked out when it is asked for.
    """

    __slots__ = ("_left", "_right", "_subject", "leaf", "truth")

    def __init__(
        self,
        truth: bool | None,
        subject: Subject,
        leaf: Leaf | None = None,
        left: Fact[Any] | None = None,
        right: Right | Unknown | None = None,
    ) -> None:
        self.truth = truth
        self.leaf = leaf
        self._subject = subject
        self._left = left
        self._right = right

    def negated(self) -> Outcome:
        truth = None if self.truth is None else not self.truth
        return Outcome(truth, self._subject, self.leaf, self._left, self._right)

    @property
    def value(self) -> Any:
        """The value of the fact; None where that is unknown."""
        return self._left.value if isinstance(self._left, Known) else None

    @property
    def expected(self) -> Any:
        """What it was compared with."""
        return self._right.value if isinstance(self._right, Right) else None

    @property
    def because(self) -> tuple[Evidence, ...]:
        """What both sides rest on; the first is where a finding points."""
        left = self._left.because if isinstance(self._left, Known) else ()
        right = self._right.because if isinstance(self._right, Right) else ()
        return (left or (Evidence(self._subject.node),)) + right

    @property
    def why(self) -> str:
        """What is unknown; "" where nothing is."""
        for side in (self._left, self._right):
            if isinstance(side, Unknown):
                return side.why
        if self.truth is not None or self.leaf is None:
            return ""
        if _has_items(self.value):
            return "; ".join(item.text for item in self.value)
        return f"{self.leaf.fact} is {self.value!r}, which cannot be compared with {self.expected!r}"

    @property
    def internal(self) -> bool:
        """True where a defect of ours is the reason."""
        return any(isinstance(side, Unknown) and side.internal for side in (self._left, self._right))


# -- reading ------------------------------------------------------------------------------------


def parse(written: Any) -> Condition:
    """A condition from plain data; raises ConfigError where it is none."""
    if type(written) is not dict or not written:
        raise ConfigError(f"a condition is a mapping with `fact`, `all`, `any` or `not`, not {written!r}")
    if "fact" not in written:
        return _parse_group(written)
    rest = [key for key in written if key != "fact"]
    if len(rest) != 1 or rest[0] not in COMPARISONS:
        raise ConfigError(f"a fact is compared by exactly one of {', '.join(COMPARISONS)}, not by {rest}")
    return Leaf(str(written["fact"]), rest[0], _operand(written[rest[0]]))


def _parse_group(written: dict[str, Any]) -> Condition:
    if len(written) == 1:
        [(word, inner)] = written.items()
        if word == "not":
            return Not(parse(inner))
        if word in ("all", "any") and type(inner) is list and inner:
            parts = tuple(parse(part) for part in inner)
            return All(parts) if word == "all" else AnyOf(parts)
    raise ConfigError(f"a condition is a mapping with `fact`, `all`, `any` or `not`, not {written!r}")


def _operand(written: Any) -> Operand:
    if type(written) is dict and len(written) == 1:
        [(kind, name)] = written.items()
        if kind in ("plan", "fact", "parameter"):
            return Operand(kind, str(name))
    if type(written) is list and any(type(item) is dict for item in written):
        return Operand("list", tuple(_operand(item) for item in written))
    return Operand("literal", written, None if isinstance(written, str | list) else Right(written))


def leaves(condition: Condition | None) -> list[Leaf]:
    """All leaves of a condition, in the order in which they are written."""
    if condition is None:
        return []
    if isinstance(condition, Leaf):
        return [condition]
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    return [leaf for part in parts for leaf in leaves(part)]


# -- judging ------------------------------------------------------------------------------------


def judge(condition: Condition, context: Context) -> Outcome:
    """Whether a condition holds in a context. A plan's value that is missing counts as unknown."""
    if type(condition) is Leaf:
        return _judge_leaf(condition, context)
    match condition:
        case Not(part):
            return judge(part, context).negated()
        case All(parts):
            return _judge_parts(parts, context, decisive=False)
    assert type(condition) is AnyOf
    return _judge_parts(condition.parts, context, decisive=True)


def _judge_parts(parts: tuple[Condition, ...], context: Context, *, decisive: bool) -> Outcome:
    """``all`` is decided by the first part that is False, ``any`` by the first that is True."""
    first: Outcome | None = None
    undecided: Outcome | None = None
    for part in parts:
        outcome = judge(part, context)
        if outcome.truth is decisive:
            return outcome
        if outcome.truth is None:
            undecided = undecided or outcome
        first = first or outcome
    return undecided or first or Outcome(not decisive, context.subject)


def _judge_leaf(leaf: Leaf, context: Context) -> Outcome:
    subject = context.subject
    left = evaluate(subject, leaf.fact)
    if isinstance(left, Unknown):
        return Outcome(None, subject, leaf, left)
    right = leaf.right.ready or _right_side(leaf.right, unit_of(leaf.fact), context)
    if isinstance(right, Unknown):
        return Outcome(None, subject, leaf, left, right)
    comparison = "is" if right.exactly and leaf.comparison in _EXACT else leaf.comparison
    if comparison == "empty" and _has_items(left.value):
        return Outcome(_items_are_empty(left.value, bool(right.value)), subject, leaf, left, right)
    try:
        truth = COMPARISONS[comparison](left.value, right.value)
    except TypeError:
        truth = None
    return Outcome(truth, subject, leaf, left, right)


def _has_items(value: Any) -> bool:
    return type(value) is list and any(isinstance(item, Item) for item in value)


def _items_are_empty(items: list[Any], wanted: bool) -> bool | None:
    """A list of which every item is undecided may be empty or not."""
    if all(isinstance(item, Item) and item.unknown for item in items):
        return None
    return not wanted


def _right_side(operand: Operand, unit: str, context: Context) -> Right | Unknown:
    if operand.kind == "literal":
        return Right(to_unit(operand.value, unit))
    if operand.kind == "parameter":
        if operand.value not in context.parameters:
            return Unknown(f"the policy has no parameter {operand.value}", internal=True)
        return Right(to_unit(context.parameters[operand.value], unit))
    if operand.kind == "fact":
        fact = evaluate(context.subject, operand.value)
        return fact if isinstance(fact, Unknown) else Right(fact.value, False, fact.because)
    if operand.kind == "plan":
        plan = context.plan
        bound = plan.bound(context.subject, operand.value) if plan else None
        if plan is None or not isinstance(bound, Bound):
            return Unknown(f"the plan does not give {operand.value}")
        place = plan.place(context.subject, operand.value)
        because = (Evidence(place, f"plan {plan.plan.name} asks for this"),) if place else ()
        return Right(to_unit(bound.value, unit), bound.exactly, because)
    values: list[Any] = []
    evidence: tuple[Evidence, ...] = ()
    for part in operand.value:
        right = _right_side(part, unit, context)
        if isinstance(right, Unknown):
            return right
        values.append(right.value)
        evidence += right.because
    return Right(values, False, evidence)


# -- comparing ----------------------------------------------------------------------------------


def to_unit(value: Any, unit: str) -> Any:
    """A written value in the unit of a fact: "2GiB" in bytes, "30s" in nanoseconds, "80%" as 0.8."""
    if isinstance(value, list):
        return [to_unit(item, unit) for item in value]
    if not isinstance(value, str):
        return value
    convert = _UNITS.get(unit)
    converted = convert(value) if convert else None
    return value if converted is None else converted


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _ratio(text: str) -> float | None:
    if not text.endswith("%"):
        return _number(text)
    percent = _number(text[:-1])
    return None if percent is None else percent / 100


_UNITS: dict[str, Callable[[str], Any]] = {
    "bytes": parse_bytes,
    "duration": parse_duration,
    "ratio": _ratio,
    "cpus": _number,
}


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)  # 1 is not true


def _one_of(left: Any, right: Collection[Any]) -> bool:
    return left in right if type(left) is str else any(_same(left, item) for item in right)


_COLLECTIONS = (list, tuple, set, frozenset, dict)


def _entries(value: Any) -> Collection[Any]:
    if value is None:
        return ()
    return value if isinstance(value, _COLLECTIONS) else (value,)


def _matches(left: Any, right: Any) -> bool:
    patterns = [str(pattern) for pattern in _entries(right)]
    return any(fnmatchcase(str(text), pattern) for text in _entries(left) for pattern in patterns)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return all(str(item) in left for item in _entries(right))
    return all(_one_of(item, _entries(left)) for item in _entries(right))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Nothing has no order: a comparison with None does not hold."""
    return lambda left, right: left is not None and right is not None and compare(left, right)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "is": _same,
    "is_not": lambda left, right: not _same(left, right),
    "in": lambda left, right: _one_of(left, _entries(right)),
    "not_in": lambda left, right: not _one_of(left, _entries(right)),
    "at_least": _ordered(lambda left, right: left >= right),
    "at_most": _ordered(lambda left, right: left <= right),
    "above": _ordered(lambda left, right: left > right),
    "below": _ordered(lambda left, right: left < right),
    "between": _ordered(lambda left, right: right[0] <= left <= right[1]),
    "matches": _matches,
    "exists": lambda left, right: (left is not None) == bool(right),
    "contains": _contains,
    "subset_of": lambda left, right: all(_one_of(item, _entries(right)) for item in _entries(left)),
    "empty": lambda left, right: (len(_entries(left)) == 0 or left == "") == bool(right),
}
"""How a fact is compared with a right side. Values are in the fact's unit already."""

_EXACT = frozenset(("at_least", "at_most", "is"))
