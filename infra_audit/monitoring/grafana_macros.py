"""Grafana's variables and macros in a query, replaced by something that PromQL can parse.

``$name``, ``${name}``, ``${name:format}``, ``[[name]]`` and ``$__rate_interval`` and its kin are no PromQL. What
stands in their place depends on where they stand: a duration inside brackets and after ``offset``, the
variable's own words inside a string, a name of ours elsewhere. Source: grafana.com/docs/grafana, "Variable
syntax" and "Global variables".
"""

from __future__ import annotations

from infra_audit.monitoring.promql import Aggregation, Binary, Call, Expression, PromqlError, Selector, Subquery, Tree
from infra_audit.monitoring.promql import parse as parse_promql
from infra_audit.monitoring.promql_tokens import Place
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["PLACEHOLDER", "Substituted", "is_variable", "parse", "substitute"]

PLACEHOLDER = "variable_of_grafana_"
"""What the names begin with that stand for a variable used as a metric, a function or a label."""

_VARIABLE = Pattern(
    r"\$\{(?P<brace>\w+)(?:\.[^:}]*)?(?::[^}]*)?\}|\[\[(?P<square>\w+)(?:\.[^:\]]*)?(?::[^\]]*)?\]\]|\$(?P<plain>\w+)"
)
_STRING = Pattern(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_MILLISECONDS = frozenset(("__interval_ms", "__range_ms", "__range_s", "__from", "__to"))
_DURATIONS = frozenset(("__interval", "__rate_interval", "__range"))
_AFTER_NUMBER = Pattern(r"(?:[-+*/%^<>]|[=!]=|\bbool|\boffset\s*-?|@)\s*\Z")
_FIRST_ARGUMENT = Pattern(
    r"\b(?:topk|bottomk|quantile|quantile_over_time|histogram_quantile|limitk|limit_ratio)\s*"
    r"(?:(?:by|without)\s*\([^)]*\)\s*)?\(\s*\Z"
)
_FOLLOWS_NUMBER = Pattern(r"\s*(?:[),+*/%^<>-]|[=!]=|\Z|(?:and|or|unless|offset)\b)")


class Piece(NamedTuple):
    """One replaced variable: its name, its place in the query, and where its replacement ends in the new text."""

    name: str
    start: int
    end: int
    new_start: int
    new_end: int


class Substituted(NamedTuple):
    """A query as PromQL. ``pieces``: the variables in it, in order."""

    text: str
    pieces: tuple[Piece, ...]

    @property
    def variables(self) -> list[str]:
        """The names of the variables, each once; Grafana's own macros among them."""
        return list(dict.fromkeys(piece.name for piece in self.pieces))

    def back(self, place: Place) -> Place:
        """The place in the query of a place in the new text."""
        return Place(self._back(place.start, end=False), self._back(place.end, end=True))

    def _back(self, offset: int, *, end: bool) -> int:
        shift = 0
        for piece in self.pieces:
            if offset < piece.new_start or (end and offset == piece.new_start):
                break
            if offset < piece.new_end or (end and offset == piece.new_end):
                return piece.end if end else piece.start
            shift = piece.end - piece.new_end
        return offset + shift


def is_variable(name: str) -> bool:
    """True for a metric, label or function that a variable of Grafana chooses."""
    return PLACEHOLDER in name


def substitute(query: str) -> Substituted:
    """The query with every variable replaced by what its place allows."""
    strings = [match.span() for match in _STRING.finditer(query)]
    parts: list[str] = []
    pieces: list[Piece] = []
    length = at = 0
    for match in _VARIABLE.finditer(query):
        start, end = match.span()
        name = match["brace"] or match["square"] or match["plain"]
        inside = any(first < start < last for first, last in strings)
        new = PLACEHOLDER + name if inside else _replacement(query, name, start, end)
        parts += [query[at:start], new]
        length += start - at
        pieces.append(Piece(name, start, end, length, length + len(new)))
        length += len(new)
        at = end
    parts.append(query[at:])
    return Substituted("".join(parts), tuple(pieces))


def _replacement(query: str, name: str, start: int, end: int) -> str:
    before = query[:start]
    opened = before.rfind("[") > before.rfind("]")
    if opened or before.rstrip().endswith("offset") or before.rstrip().endswith("offset -"):
        # ``[${days}d]``: the unit stands behind the variable
        return "5" if query[end : end + 1].isalpha() else "5m"
    if name in _MILLISECONDS:
        return "60"
    if name in _DURATIONS:
        return "60" if _FOLLOWS_NUMBER.match(query, end) and _AFTER_NUMBER.search(before) else "5m"
    if _FIRST_ARGUMENT.search(before):
        return "1"
    return PLACEHOLDER + name


def parse(query: str) -> tuple[Expression, Substituted]:
    """A query of Grafana's as a tree whose places are those of the query; raises PromqlError.

    Ranges that a variable gives are 0. A variable beside a comparison or an operator may be a number or a
    metric: both are tried.
    """
    substituted = substitute(query)
    try:
        expression = parse_promql(substituted.text)
    except PromqlError:
        substituted = _as_numbers(query, substituted)
        expression = parse_promql(substituted.text)
    return Expression(query, _placed(expression.tree, substituted)), substituted


def _as_numbers(query: str, substituted: Substituted) -> Substituted:
    """The same with the number 1 for each variable that stands where a number may."""
    parts: list[str] = []
    pieces: list[Piece] = []
    length = at = 0
    for piece in substituted.pieces:
        new = substituted.text[piece.new_start : piece.new_end]
        whole = query[piece.end : piece.end + 1] != "{" and not query[piece.end : piece.end + 1].isalnum()
        before = query[: piece.start].rstrip()
        if new.startswith(PLACEHOLDER) and whole and before[-1:] in ("", "(", ",", "+", "-", "*", "/", "<", ">", "="):
            new = "1"
        parts += [query[at : piece.start], new]
        length += piece.start - at
        pieces.append(piece._replace(new_start=length, new_end=length + len(new)))
        length += len(new)
        at = piece.end
    parts.append(query[at:])
    return Substituted("".join(parts), tuple(pieces))


def _placed(tree: Tree, substituted: Substituted) -> Tree:
    """The tree with the places of the query, and 0 for ranges that a variable gives."""
    match tree:
        case Selector():
            return _placed_selector(tree, substituted)
        case Call():
            return tree._replace(arguments=tuple(_placed(part, substituted) for part in tree.arguments))
        case Aggregation():
            parameter = _placed(tree.parameter, substituted) if tree.parameter is not None else None
            return tree._replace(inner=_placed(tree.inner, substituted), parameter=parameter)
        case Binary():
            return tree._replace(left=_placed(tree.left, substituted), right=_placed(tree.right, substituted))
        case Subquery():
            return tree._replace(inner=_placed(tree.inner, substituted))
        case _:
            return tree


def _placed_selector(selector: Selector, substituted: Substituted) -> Selector:
    place = selector.place
    if selector.range is None or place is None:
        return selector if place is None else selector._replace(place=substituted.back(place))
    text = substituted.text
    opening = text.find("[", place.end)
    closing = text.find("]", opening)
    by_variable = any(opening < piece.new_start <= closing for piece in substituted.pieces)
    return selector._replace(place=substituted.back(place), range=0.0 if by_variable else selector.range)
