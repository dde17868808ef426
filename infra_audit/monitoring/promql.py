"""PromQL to a small typed tree with positions.

``promql-parser`` does the parsing. It gives no positions, so selectors are found again in the text by
``promql_tokens`` (they stand there in the order of the tree). What it accepts and Prometheus refuses,
such as ``{a="b" or c="d"}``, is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from infra_audit.monitoring.promql_tokens import Place, selector_places
from infra_audit.named import NamedTuple

__all__ = [
    "Aggregation",
    "Binary",
    "Call",
    "Expression",
    "Matcher",
    "Number",
    "PromqlError",
    "Selector",
    "String",
    "Subquery",
    "Tree",
    "parse",
    "selectors",
    "walk",
]


class PromqlError(Exception):
    """Text that is no PromQL; the message is one line."""


class Matcher(NamedTuple):
    """``op``: =, !=, =~ or !~."""

    label: str
    op: str
    value: str


class Selector(NamedTuple):
    """Series that are asked for. ``metric`` is "" where only matchers choose, or where a pattern names it.

    ``range`` and ``offset`` are seconds; ``range`` is None for an instant selector, and 0 where a variable
    gives it. ``place``: offsets of the metric's name in the text (of the braces for one without a name),
    None where it could not be found again.
    """

    metric: str
    matchers: tuple[Matcher, ...]
    range: float | None
    offset: float
    place: Place | None


class Number(NamedTuple):
    value: float


class String(NamedTuple):
    value: str


class Call(NamedTuple):
    """A function; unary minus is the call "-"."""

    function: str
    arguments: tuple[Tree, ...]


class Aggregation(NamedTuple):
    """``by``: the labels that are kept, None without ``by``; ``without``: the labels taken away, None without it."""

    operation: str
    inner: Tree
    by: tuple[str, ...] | None
    without: tuple[str, ...] | None
    parameter: Tree | None

    @property
    def keeps_series(self) -> bool:
        """True for operations that choose among series and leave their labels as they are."""
        return self.operation in ("topk", "bottomk", "limitk", "limit_ratio")


class Binary(NamedTuple):
    """``on`` and ``ignoring`` are None where they are not written; ``group``: "", "left" or "right"."""

    operator: str
    left: Tree
    right: Tree
    on: tuple[str, ...] | None
    ignoring: tuple[str, ...] | None
    group: str
    group_labels: tuple[str, ...]
    returns_bool: bool


class Subquery(NamedTuple):
    """``range`` and ``step`` in seconds; ``step`` is None where the evaluation interval counts."""

    inner: Tree
    range: float
    step: float | None


Tree: TypeAlias = Selector | Number | String | Call | Aggregation | Binary | Subquery


class Expression(NamedTuple):
    """A parsed text."""

    text: str
    tree: Tree

    def selectors(self) -> list[Selector]:
        return list(selectors(self.tree))


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Parses PromQL as Prometheus reads it; raises PromqlError with one line that says what is wrong."""
    import promql_parser  # 13 ms, which only deployments with rules or dashboards pay

    _register(promql_parser)
    try:
        root = promql_parser.parse(text)
    except ValueError as error:
        raise PromqlError(" ".join(str(error).split())) from None
    except BaseException as error:  # a panic of the parser's is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise PromqlError("cannot be parsed") from None
    return Expression(text, _Reading(promql_parser, text).tree(root))


def walk(tree: Tree, above: tuple[Tree, ...] = ()) -> Iterator[tuple[Tree, tuple[Tree, ...]]]:
    """Every part of a tree with the parts that it stands in, outermost first."""
    yield tree, above
    for part in _parts(tree):
        yield from walk(part, (*above, tree))


def selectors(tree: Tree) -> Iterator[Selector]:
    """The selectors of a tree, in the order in which they are written."""
    return (part for part, _ in walk(tree) if isinstance(part, Selector))


def _parts(tree: Tree) -> tuple[Tree, ...]:
    match tree:
        case Call():
            return tree.arguments
        case Aggregation():
            return (tree.parameter, tree.inner) if tree.parameter is not None else (tree.inner,)
        case Binary():
            return (tree.left, tree.right)
        case Subquery():
            return (tree.inner,)
        case _:
            return ()


def _register(library: Any) -> None:
    """Functions that Prometheus knows, or knew, and the library does not; registered once per process."""
    kinds = library.ValueType
    missing = {
        "holt_winters": ([kinds.Matrix, kinds.Scalar, kinds.Scalar], kinds.Vector),
    }
    for name, (arguments, result) in missing.items():
        try:
            library.register_extra_functions([library.Function(name, arguments, result)])
        except ValueError:
            continue  # registered before, or built in by now


_OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_GROUPS = {"VectorMatchCardinality.ManyToOne": "left", "VectorMatchCardinality.OneToMany": "right"}
"""The library's enumerations are neither hashable nor iterable; their names are both."""


def _seconds(duration: timedelta | None) -> float:
    return duration.total_seconds() if duration is not None else 0.0


class _Reading:
    """Turns the library's tree into ours, handing out the places of selectors in order."""

    def __init__(self, library: Any, text: str) -> None:
        self.library = library
        self.places = selector_places(text)
        self.count = 0

    def tree(self, root: Any) -> Tree:
        tree = self._tree(root)
        if self.count != len(self.places):
            return _without_places(tree)
        return tree

    def _tree(self, node: Any) -> Tree:
        read = _READERS.get(type(node).__name__)
        if read is None:
            raise PromqlError(f"{type(node).__name__} is not known")
        return read(self, node)

    def paren(self, node: Any) -> Tree:
        return self._tree(node.expr)

    def number(self, node: Any) -> Tree:
        return Number(node.val)

    def string(self, node: Any) -> Tree:
        return String(node.val)

    def instant(self, node: Any) -> Selector:
        if node.matchers.or_matchers:
            raise PromqlError("matchers are joined by commas; `or` between them is not PromQL")
        matchers = [Matcher(one.name, _OPERATORS[str(one.op)], one.value) for one in node.matchers.matchers]
        metric = node.name or ""
        if not metric:
            metric = next((one.value for one in matchers if one.label == "__name__" and one.op == "="), "")
        place = self.places[self.count] if self.count < len(self.places) else None
        self.count += 1
        rest = tuple(one for one in matchers if one.label != "__name__")
        return Selector(metric, rest, None, _seconds(node.offset), place)

    def matrix(self, node: Any) -> Tree:
        return self.instant(node.vector_selector)._replace(range=_seconds(node.range))

    def call(self, node: Any) -> Tree:
        return Call(node.func.name, tuple(self._tree(argument) for argument in node.args))

    def unary(self, node: Any) -> Tree:
        return Call("-", (self._tree(node.expr),))

    def subquery(self, node: Any) -> Tree:
        return Subquery(self._tree(node.expr), _seconds(node.range), _seconds(node.step) if node.step else None)

    def aggregation(self, node: Any) -> Tree:
        parameter = self._tree(node.param) if isinstance(node.param, self.library.Expr) else None
        if parameter is None and node.param is not None:
            parameter = String(str(node.param))
        modifier = node.modifier
        kept = modifier is not None and modifier.type == self.library.AggModifierType.By
        labels = tuple(modifier.labels) if modifier is not None else None
        return Aggregation(
            str(node.op), self._tree(node.expr), labels if kept else None, None if kept else labels, parameter
        )

    def binary(self, node: Any) -> Tree:
        left, right = self._tree(node.lhs), self._tree(node.rhs)
        modifier = node.modifier
        if modifier is None:
            return Binary(str(node.op), left, right, None, None, "", (), False)
        matching = modifier.matching
        labels = tuple(matching.labels) if matching is not None else None
        on = matching is not None and matching.type == self.library.LabelModifierType.Include
        return Binary(
            str(node.op),
            left,
            right,
            labels if on else None,
            None if on else labels,
            _GROUPS.get(str(modifier.card), ""),
            tuple(modifier.group_labels or ()),
            bool(modifier.return_bool),
        )


_READERS = {
    "ParenExpr": _Reading.paren,
    "NumberLiteral": _Reading.number,
    "StringLiteral": _Reading.string,
    "VectorSelector": _Reading.instant,
    "MatrixSelector": _Reading.matrix,
    "Call": _Reading.call,
    "UnaryExpr": _Reading.unary,
    "SubqueryExpr": _Reading.subquery,
    "AggregateExpr": _Reading.aggregation,
    "BinaryExpr": _Reading.binary,
}


def _without_places(tree: Tree) -> Tree:
    """The tree with no places, for a text whose selectors were not all found again."""
    match tree:
        case Selector():
            return tree._replace(place=None)
        case Call():
            return tree._replace(arguments=tuple(_without_places(part) for part in tree.arguments))
        case Aggregation():
            parameter = tree.parameter and _without_places(tree.parameter)
            return tree._replace(inner=_without_places(tree.inner), parameter=parameter)
        case Binary():
            return tree._replace(left=_without_places(tree.left), right=_without_places(tree.right))
        case Subquery():
            return tree._replace(inner=_without_places(tree.inner))
        case _:
            return tree
