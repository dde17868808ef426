"""Which labels the series of an expression may have: what aggregation takes away and matching needs.

Source: prometheus.io/docs/prometheus/latest/querying/operators, "Vector matching" and "Aggregation operators".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from infra_audit.monitoring.grafana_macros import is_variable
from infra_audit.monitoring.promql import Aggregation, Binary, Call, Number, Selector, String, Subquery, Tree
from infra_audit.named import NamedTuple

__all__ = ["Labels", "Resolve", "is_scalar", "labels_of", "never_match"]


class Labels(NamedTuple):
    """Labels that the series of an expression have.

    ``only``: all that they can have, None for any but those in ``gone``. ``surely``: those that they have, with
    the value where one is known ("" where it is not).
    """

    only: frozenset[str] | None = None
    gone: frozenset[str] = frozenset()
    surely: frozenset[tuple[str, str]] = frozenset()

    def may_have(self, label: str) -> bool:
        return label in self.only if self.only is not None else label not in self.gone

    @property
    def certain(self) -> dict[str, str]:
        return dict(self.surely)

    def with_labels(self, labels: Iterable[str]) -> Labels:
        """With labels added whose values are not looked at."""
        added = frozenset(labels)
        kept = frozenset(pair for pair in self.surely if pair[0] not in added)
        return Labels(
            self.only | added if self.only is not None else None,
            self.gone - added,
            kept | frozenset((label, "") for label in added),
        )

    def kept(self, labels: Iterable[str]) -> Labels:
        """Only some labels are left."""
        wanted = frozenset(labels)
        possible = frozenset(label for label in wanted if self.may_have(label))
        return Labels(possible, frozenset(), frozenset(pair for pair in self.surely if pair[0] in wanted))

    def without(self, labels: Iterable[str]) -> Labels:
        """Some labels are taken away."""
        away = frozenset(labels)
        left = frozenset(pair for pair in self.surely if pair[0] not in away)
        if self.only is not None:
            return Labels(self.only - away, frozenset(), left)
        return Labels(None, self.gone | away, left)


NONE = Labels(frozenset())
ANY = Labels()

Resolve: TypeAlias = Callable[[str], Labels | None]
"""The labels of a metric by its name, where somebody knows them (a recorded one)."""


def labels_of(tree: Tree, resolve: Resolve) -> Labels:
    """The labels of an expression's series."""
    match tree:
        case Selector():
            return _of_selector(tree, resolve)
        case Number() | String():
            return NONE
        case Subquery():
            return labels_of(tree.inner, resolve)
        case Aggregation():
            return _of_aggregation(tree, resolve)
        case Call():
            return _of_call(tree, resolve)
        case Binary():
            return _of_binary(tree, resolve)


def is_scalar(tree: Tree) -> bool:
    """True for an expression that is a number and no vector."""
    match tree:
        case Number() | String():
            return True
        case Call():
            return tree.function in ("time", "scalar", "pi") or (
                tree.function == "-" and all(map(is_scalar, tree.arguments))
            )
        case Binary():
            return is_scalar(tree.left) and is_scalar(tree.right)
        case _:
            return False


def never_match(tree: Binary, resolve: Resolve) -> str:
    """Why no series of the left side can ever match one of the right side; "" where some may."""
    if is_scalar(tree.left) or is_scalar(tree.right) or tree.operator == "or":
        return ""
    if any(isinstance(side, Selector) and is_variable(side.metric) for side in (tree.left, tree.right)):
        return ""  # a variable of Grafana's may be a number
    left, right = labels_of(tree.left, resolve), labels_of(tree.right, resolve)
    if tree.on is not None:
        left, right = left.kept(tree.on), right.kept(tree.on)
    elif tree.ignoring is not None:
        left, right = left.without(tree.ignoring), right.without(tree.ignoring)
    return (
        _misses("left", left, "right", right)
        or _misses("right", right, "left", left)
        or next(
            (
                f'{label} is "{value}" on the left and "{right.certain[label]}" on the right'
                for label, value in sorted(left.surely)
                if value and right.certain.get(label) not in (None, "", value)
            ),
            "",
        )
    )


def _misses(one: str, labels: Labels, other: str, against: Labels) -> str:
    for label in sorted(label for label, _ in labels.surely):
        if not against.may_have(label):
            return f"the {one} side has the label {label}, which the {other} side cannot have"
    return ""


def _of_selector(selector: Selector, resolve: Resolve) -> Labels:
    known = resolve(selector.metric) if selector.metric else None
    if known is None:
        known = ANY
        plain = ":" not in selector.metric and not selector.metric.startswith("ALERTS")
        if selector.metric and plain and not is_variable(selector.metric):
            known = Labels(None, frozenset(), frozenset((("job", ""), ("instance", ""))))
    said = {one.label: one.value for one in selector.matchers if one.op == "=" and one.value}
    absent = {one.label for one in selector.matchers if one.op == "=" and not one.value}
    known = known.without(absent) if absent else known
    surely = {**known.certain, **said}
    return known._replace(surely=frozenset(surely.items()))


def _of_aggregation(tree: Aggregation, resolve: Resolve) -> Labels:
    inner = labels_of(tree.inner, resolve)
    if tree.keeps_series:
        return inner
    if tree.by is not None:
        result = inner.kept(tree.by)
    elif tree.without is not None:
        result = inner.without(tree.without)
    else:
        result = NONE
    if tree.operation == "count_values" and isinstance(tree.parameter, String):
        result = result.with_labels((tree.parameter.value,))
    return result


_ABSENT = frozenset(("absent", "absent_over_time"))
_TIMES = frozenset(
    ("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year", "time", "pi")
)


def _of_call(tree: Call, resolve: Resolve) -> Labels:
    vectors = [argument for argument in tree.arguments if not is_scalar(argument)]
    if tree.function in _ABSENT:
        found = vectors[0] if vectors else None
        found = found.inner if isinstance(found, Subquery) else found
        if not isinstance(found, Selector):
            return NONE
        said = {one.label: one.value for one in found.matchers if one.op == "="}
        return Labels(frozenset(said), frozenset(), frozenset((label, value) for label, value in said.items() if value))
    if tree.function in ("vector", "scalar") or (tree.function in _TIMES and not vectors):
        return NONE
    inner = labels_of(vectors[0], resolve) if vectors else NONE
    strings = [argument.value for argument in tree.arguments if isinstance(argument, String)]
    if tree.function in ("label_replace", "label_join") and strings:
        changed = inner.with_labels((strings[0],))
        return changed._replace(surely=frozenset(pair for pair in changed.surely if pair[0] != strings[0]))
    if tree.function == "histogram_quantile":
        return inner.without(("le",))
    return inner


def _of_binary(tree: Binary, resolve: Resolve) -> Labels:
    left, right = labels_of(tree.left, resolve), labels_of(tree.right, resolve)
    if is_scalar(tree.left):
        return right
    if is_scalar(tree.right) or tree.operator in ("and", "unless"):
        return left
    if tree.operator == "or":
        return _either(left, right)
    if tree.group == "left":
        return left.with_labels(tree.group_labels)._replace(surely=left.surely)
    if tree.group == "right":
        return right.with_labels(tree.group_labels)._replace(surely=right.surely)
    compares = tree.operator in ("==", "!=", "<", ">", "<=", ">=") and not tree.returns_bool
    if tree.on is not None:
        # a filter keeps the left side's series; Prometheus drops the labels that `on` leaves out all the same
        return left.kept(tree.on)
    if tree.ignoring is not None:
        return left.without(tree.ignoring)
    return left if compares else _narrowed(left, right)


def _either(left: Labels, right: Labels) -> Labels:
    only = left.only | right.only if left.only is not None and right.only is not None else None
    gone = frozenset(
        label for label in left.gone | right.gone if not left.may_have(label) and not right.may_have(label)
    )
    return Labels(only, gone if only is None else frozenset(), left.surely & right.surely)


def _narrowed(left: Labels, right: Labels) -> Labels:
    """Both sides have the same labels where they match."""
    if left.only is None and right.only is not None:
        return Labels(right.only, frozenset(), left.surely)
    return left
