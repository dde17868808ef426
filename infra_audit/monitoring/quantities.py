"""What a PromQL expression measures, as far as the names of its metrics tell.

Metrics are named by their unit (``_bytes``, ``_seconds``) and ``rate`` adds "per second". Source:
prometheus.io/docs/practices/naming, "Base units".
"""

from __future__ import annotations

from infra_audit.monitoring.promql import Aggregation, Binary, Call, Number, Selector, Subquery, Tree, walk

__all__ = ["quantity"]

_UNITS = {
    "bytes": "bytes",
    "seconds": "seconds",
    "milliseconds": "milliseconds",
    "ratio": "a ratio",
    "percent": "percent",
    "celsius": "degrees",
    "volts": "volts",
    "amperes": "amperes",
    "watts": "watts",
    "joules": "joules",
    "hertz": "hertz",
}
_ENDINGS = frozenset(("total", "sum"))
_RATES = frozenset(("rate", "irate", "deriv"))
_CALENDAR = ("hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month")
_NUMBERS = ("count_over_time", "changes", "resets", "absent", "absent_over_time", "present_over_time", "scalar")
_DIMENSIONLESS = frozenset((*_CALENDAR, *_NUMBERS, "sgn", "ln", "log2", "log10"))
_RATE = "a rate per second"
_COUNTS = frozenset(("count", "count_values", "group"))
_PERCENT = 100


def quantity(tree: Tree) -> str | None:
    """What an expression measures ("bytes", "bytes per second", "percent"); None for a plain number or unknown."""
    match tree:
        case Selector():
            return _named(tree.metric)
        case Call():
            return _of_call(tree)
        case Aggregation():
            return None if tree.operation in _COUNTS else quantity(tree.inner)
        case Subquery():
            return quantity(tree.inner)
        case Binary():
            return _of_binary(tree)
        case _:
            return None


def _named(metric: str) -> str | None:
    words = metric.split("_")
    while len(words) > 1 and words[-1] in _ENDINGS:
        words.pop()
    return _UNITS.get(words[-1]) if len(words) > 1 else None


def _of_call(call: Call) -> str | None:
    if call.function in _DIMENSIONLESS or not call.arguments:
        return None
    if call.function in ("time", "timestamp"):
        return "seconds"
    if call.function in _RATES:
        inner = quantity(call.arguments[0])
        return f"{inner} per second" if inner else _RATE
    if call.function == "histogram_quantile":
        buckets = next((part.metric for part, _ in walk(call) if isinstance(part, Selector)), "")
        return _named(buckets.removesuffix("_bucket"))
    return quantity(call.arguments[-1] if call.function == "quantile_over_time" else call.arguments[0])


def _of_binary(binary: Binary) -> str | None:
    left, right = quantity(binary.left), quantity(binary.right)
    if binary.operator in ("*", "/"):
        numbers = [part for part in (binary.left, binary.right) if isinstance(part, Number)]
        if binary.operator == "*" and any(number.value == _PERCENT for number in numbers):
            return "percent"
        if numbers:
            return left or right if abs(numbers[0].value) == 1 else None
        return _quotient(left, right) if binary.operator == "/" else None
    if binary.returns_bool:
        return None
    return left or right


def _quotient(left: str | None, right: str | None) -> str | None:
    if left is not None and left == right and left != _RATE:
        return "a ratio"
    if left is not None and left != _RATE and left.endswith(" per second") and right == _RATE:
        return left.removesuffix(" per second")
    return None
