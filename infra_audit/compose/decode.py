"""One document, as written, to Compose's canonical form: types checked, short forms expanded.

Every value keeps its place; pieces of a short form get the place of their piece. What Compose
refuses is told to ``Problems`` and left out, so that later stages see only what has the right shape.
Values that rest on unset variables stay text with a hole in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from infra_audit.compose.leaves import text
from infra_audit.compose.merge import unique
from infra_audit.compose.numbers import as_integer, as_text, parse_integer
from infra_audit.compose.pieces import Invalid
from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.compose.shape import Array, Bounds, Free, Leaf, Object, Shape, Table
from infra_audit.compose.short_forms import FORMS, LIST_FORMS, TABLE_FORMS
from infra_audit.hints import nearest
from infra_audit.readers.scalars import Timestamp
from infra_audit.source import Hop
from infra_audit.tree import HOLE, Node
from infra_audit.units import format_duration, parse_bytes, parse_duration, parse_float

__all__ = ["decode", "expected"]

_TYPE_NAMES: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    Timestamp: "an unquoted date",
}
_TRUE = frozenset({"y", "yes", "true", "on"})
_FALSE = frozenset({"n", "no", "false", "off"})


def decode(node: Node, shape: Shape, path: Path, problems: Problems) -> Node | None:
    """The canonical form of a value, or None where Compose refuses it (which is then in ``problems``)."""
    if node.tag == "!reset":
        problems.unfinished = True
        return node  # whatever is written there does not count
    if node.value is None and not _takes_null(shape):
        problems.unfinished = problems.unfinished or not shape.null
        return node  # may be harmless where an earlier file gives the value; ``complete`` looks again
    try:
        return _DECODERS[type(shape)](node, shape, path, problems)
    except Invalid as error:
        problems.late.append((error.span or node.place, path, error.message))
        return None


def _takes_null(shape: Shape) -> bool:
    return isinstance(shape, Free) or (isinstance(shape, Leaf) and type(None) in shape.types)


def expected(shape: Shape) -> str:
    """What a shape takes, in words: "text", "a list", …"""
    if isinstance(shape, Leaf):
        names = {_TYPE_NAMES[kind]: None for kind in (bool, int, float, str) if kind in shape.types}
        return " or ".join(names)
    if isinstance(shape, Array):
        return "text or a list" if shape.single or shape.short in ("command", "test", "gpus") else "a list"
    if isinstance(shape, Table):
        return "a mapping or a list" if shape.short else "a mapping"
    return "text or a mapping" if isinstance(shape, Object) and shape.short in _TEXT_FORMS else "a mapping"


_TEXT_FORMS = frozenset({"context", "source", "device", "mount", "path", "ulimit", "whole ulimit"})


def _wrong_type(node: Node, shape: Shape, path: Path, problems: Problems) -> None:
    value = node.value
    kind = "a mapping" if node.is_mapping else "a list" if node.is_list else _TYPE_NAMES.get(type(value), "null")
    shown = f"{kind} ({as_text(value)})" if isinstance(value, (int, float, Timestamp)) else kind
    hint = (
        "; quote it"
        if isinstance(value, (int, float, Timestamp)) and isinstance(shape, Leaf) and str in shape.types
        else ""
    )
    problems.refuse(node, path, f"{dotted(path)} must be {expected(shape)}, not {shown}{hint}")


# -- collections ----------------------------------------------------------------------------------


def _object(node: Node, shape: Object, path: Path, problems: Problems) -> Node | None:
    if node.is_scalar and (ulimit := _ULIMITS.get(shape.short)):
        return _leaf(node, ulimit, path, problems)
    form = FORMS.get(shape.short)
    if form is not None:
        node = form(node, path, problems)
    if not node.is_mapping:
        _wrong_type(node, shape, path, problems)
        return None
    children: dict[str, Node] = {}
    fields = shape.fields
    for key, child in node.value.items():
        field = fields.get(key)
        if field is text and _stays(child):
            children[key] = child
            continue
        if field is None:
            if key.startswith("x-") and shape.extensions:
                children[key] = child
            elif shape.open:
                problems.add("unknown-key", f"{dotted(path)}: Compose passes over {key}", child.key or child, path)
            else:
                problems.refuse(
                    child.key or child, (*path, key), f"{dotted(path)}: unknown key {key}{_hint(key, shape)}"
                )
            continue
        decoded = decode(child, field, (*path, key), problems)
        if decoded is not None:
            children[key] = decoded
    for key in shape.required:
        problems.unfinished = problems.unfinished or key not in children
    return _holding(node, children)


_ULIMITS = {
    "ulimit": Leaf(frozenset({int, str}), "exact", keep=True),
    "whole ulimit": Leaf(frozenset({int}), "exact", keep=True),
}


def _hint(key: str, shape: Object) -> str:
    near = nearest(key, shape.fields, 0.8)
    return f" (did you mean {near}?)" if near else ""


def _without_reset(node: Node) -> Node:
    """The list without the entries that `!reset` takes away."""
    if node.is_list and any(item.tag == "!reset" for item in node.value):
        return node.with_value([item for item in node.value if item.tag != "!reset"])
    return node


def _table(node: Node, shape: Table, path: Path, problems: Problems) -> Node | None:
    node = _without_reset(node)
    if node.is_list and shape.short:
        node = TABLE_FORMS[shape.short](node, path, problems)
    if not node.is_mapping:
        _wrong_type(node, shape, path, problems)
        return None
    children: dict[str, Node] = {}
    for key, child in node.value.items():
        if shape.keys and not re.fullmatch(shape.keys, key):
            if not key.startswith("x-"):
                problems.refuse(child.key or child, (*path, key), f"{dotted(path)}: {key!r} is no valid name here")
            continue
        decoded = decode(child, shape.value, (*path, key), problems)
        if decoded is not None:
            children[key] = decoded
    return _holding(node, children)


def _array(node: Node, shape: Array, path: Path, problems: Problems) -> Node | None:
    node = _without_reset(node)
    if shape.short:
        node = LIST_FORMS[shape.short](node, path, problems)
    if node.is_scalar and isinstance(node.value, str) and shape.single:
        node = node.with_value([Node(node.value, node.span, None, node.hops, plain=node.plain)])
    if not node.is_list:
        if node.value is None:
            return node
        _wrong_type(node, shape, path, problems)
        return None
    items: list[Node] = []
    seen: set[Any] = set()
    inner = shape.item
    for index, child in enumerate(node.value):
        decoded = child if inner is text and _stays(child) else decode(child, inner, (*path, index), problems)
        if decoded is None:
            continue
        if decoded.value is None:
            _wrong_type(child, shape.item, (*path, index), problems)
            continue
        if shape.key == "refuse" and decoded.is_scalar:
            if decoded.value in seen:
                problems.refuse(child, (*path, index), f"{dotted(path)}: {decoded.value} is given twice")
                continue
            seen.add(decoded.value)
        items.append(decoded)
    return _holding(node, unique(items, shape.key))


def _holding(node: Node, children: dict[str, Node] | list[Node]) -> Node:
    """The collection with these children: itself where it has them already."""
    return node if node.value == children else node.with_value(children)


# -- scalars --------------------------------------------------------------------------------------


def _stays(node: Node) -> bool:
    """True for a value, most often the one, that ``text`` takes as it is."""
    return type(node.value) is str and not node.tag


def _leaf(node: Node, leaf: Leaf, path: Path, problems: Problems) -> Node:
    """The scalar in its canonical form; unknown where Compose refuses it."""
    value = node.value
    kind = type(value)
    if kind is float and _is_integral(value, leaf):
        value = value if leaf.cast == "size" else int(value)
    elif kind not in leaf.types:
        _wrong_type(node, leaf, path, problems)
        return _refused(node, path)
    if kind is str and HOLE in value:
        return node
    convert = _CASTS.get(leaf.cast)
    try:
        cast = value if convert is None else convert(value, node, path, problems)
        if leaf.bounds is not None:
            _check_bounds(cast, value, leaf, leaf.bounds)
    except Invalid as error:
        refused, message = _refused(node, path), f"{dotted(path)}: {error.message}"
        if leaf.cast in _LATE:
            problems.late.append((refused, path, message))
        else:
            problems.refuse(node, path, message)
        return refused
    return node if cast is value else node.with_value(cast)


def _refused(node: Node, path: Path) -> Node:
    return node.with_value(HOLE, Hop("refused", dotted(path), node.place))


_LATE = frozenset({"size", "duration"})
"""Compose looks at these only after all files are merged."""

_INTEGRAL = frozenset({"integer", "uint16", "fraction", "size"})


def _is_integral(value: float, leaf: Leaf) -> bool:
    """True for 2.0 where Compose takes a whole number."""
    return leaf.cast in _INTEGRAL and int in leaf.types and float not in leaf.types and value.is_integer()


def _check_bounds(cast: Any, value: Any, leaf: Leaf, bounds: Bounds) -> None:
    if bounds.choices and cast not in bounds.choices:
        raise Invalid(f"{cast!r} is none of {', '.join(sorted(bounds.choices))}")
    if bounds.pattern and not re.search(bounds.pattern, str(cast)):
        raise Invalid(f"{cast!r} is not allowed here")
    low, high = bounds.low, bounds.high
    number = cast if leaf.cast in ("integer", "fraction") else value
    if type(number) in (int, float) and ((low is not None and number < low) or (high is not None and number > high)):
        raise Invalid(f"{value} is out of range")


def _flag(value: Any, node: Node, path: Path, problems: Problems) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower()
    if word in _TRUE or word in _FALSE:
        meant = word in _TRUE
        if word not in ("true", "false"):
            problems.add("silent", f"{dotted(path)}: {value} is read as {str(meant).lower()}; write that", node, path)
        return meant
    raise Invalid(f"{value!r} is neither true nor false")


def _integer(value: Any, node: Node, path: Path, problems: Problems) -> int:
    if isinstance(value, str):
        number = parse_integer(value)
        if number is None:
            raise Invalid(f"{value!r} is no whole number")
        return number
    return as_integer(value)


def _uint16(value: Any, node: Node, path: Path, problems: Problems) -> int:
    return int(value) & 0xFFFF


def _fraction(value: Any, node: Node, path: Path, problems: Problems) -> float:
    if isinstance(value, str):
        number = parse_float(value)
        if number is None:
            hint = "; CPUs are written as a fraction such as 0.5" if value.endswith("m") else ""
            raise Invalid(f"{value!r} is no number{hint}")
    else:
        number = float(value)
    if not math.isfinite(number):
        raise Invalid(f"{as_text(value)} is no number")
    _say_if_no_limit(number, value, node, path, problems)
    return number


def _size(value: Any, node: Node, path: Path, problems: Problems) -> str:
    if isinstance(value, float):
        message = f"{dotted(path)}: the unquoted {node.span.text} is no whole number of bytes; Compose sets no limit"
        problems.add("ineffective", message, node, path)
        return "0"
    if isinstance(value, int):
        _say_if_no_limit(value, value, node, path, problems)
        return str(value)
    number = parse_bytes(value)
    if number is None:
        hint = ""
        if value[-2:-1] in "kmgtKMGT" and value.endswith("i"):
            hint = f"; write {value}B or {value[:-1].lower()}"
        raise Invalid(f"{value!r} is no size{hint}")
    _say_if_no_limit(number, value, node, path, problems)
    return str(number)


_LIMITS = frozenset({"mem_limit", "memory", "cpus"})


def _say_if_no_limit(number: float, value: Any, node: Node, path: Path, problems: Problems) -> None:
    if number == 0 and path[-1] in _LIMITS and "reservations" not in path:
        problems.add("ineffective", f"{dotted(path)}: {value} means that there is no limit", node, path)


def _duration(value: Any, node: Node, path: Path, problems: Problems) -> str:
    nanoseconds = parse_duration(value)
    if nanoseconds is None:
        hint = f"; a unit is missing, as in {value}s" if parse_float(value) is not None else ""
        raise Invalid(f"{value!r} is no duration{hint}")
    return format_duration(nanoseconds)


def _mode(value: Any, node: Node, path: Path, problems: Problems) -> str:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-7]+", value):
            raise Invalid(f"{value!r} is no file mode")
        value = int(value, 8)
    return f"0{as_integer(value):o}"


def _count(value: Any, node: Node, path: Path, problems: Problems) -> int:
    if isinstance(value, str) and value.lower() == "all":
        return -1
    number = parse_integer(value) if isinstance(value, str) else as_integer(value)
    if number is None:
        raise Invalid(f"{value!r} is neither a number nor all")
    return number


def _port_text(value: Any, node: Node, path: Path, problems: Problems) -> str:
    if isinstance(value, float):
        raise Invalid(f"{as_text(value)} is no port")
    return str(value)


def _pair(value: Any, node: Node, path: Path, problems: Problems) -> str:
    if node.plain and not isinstance(value, str) and value is not None:
        written = node.span.text
        if as_text(value) != written and path[2:3] == ("environment",):
            problems.add(
                "silent", f"{dotted(path)}: {written} reaches the container as {as_text(value)}; quote it", node, path
            )
    return as_text(value)


_CASTS: dict[str, Callable[[Any, Node, Path, Problems], Any]] = {
    "option": lambda value, *_: as_text(value),
    "loose": lambda value, *_: None if value is None else as_text(value),
    "pair": _pair,
    "nullable": lambda value, *rest: None if value is None else _pair(value, *rest),
    "flag": _flag,
    "integer": _integer,
    "exact": _integer,
    "uint16": _uint16,
    "fraction": _fraction,
    "size": _size,
    "duration": _duration,
    "mode": _mode,
    "count": _count,
    "port_text": _port_text,
}
"""What casts do; "text" and "published" leave a value alone."""

_DECODERS: dict[type, Callable[[Node, Any, Path, Problems], Node | None]] = {
    Leaf: _leaf,
    Free: lambda node, *_: node,
    Object: _object,
    Table: _table,
    Array: _array,
}
