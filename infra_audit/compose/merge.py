"""Merging canonical trees the way Docker Compose merges files and extended services.

The rules stand in ``shape``: mappings merge by key, lists append and keep one of equal entries
(``Array.key``), everything else is replaced. `!reset` takes a value away, `!override` replaces it whole.
"""

from __future__ import annotations

from collections.abc import Callable

from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.compose.shape import Array, Free, Leaf, Object, Shape, Table
from infra_audit.finding import Related
from infra_audit.source import Hop
from infra_audit.tree import Node

__all__ = ["merge", "settle", "unique"]


def merge(base: Node, over: Node, shape: Shape, path: Path, problems: Problems) -> Node:
    """``over`` laid on ``base``. Both are canonical; neither is changed."""
    if over.tag == "!override":
        return _replaced(base, settle(over))
    if getattr(shape, "fixed", False) and base.value is not None and over.value is not None:
        short = shape.short if isinstance(shape, Array) else ""
        before, after = _EXPANDED.get(short) or _form(base), _form(over)
        if before == "text":
            return _replaced(base, settle(over))
        if before != after:
            problems.refuse(over, path, f"{dotted(path)} is a {before} before; a {after} cannot override it")
            return base
    if over.value is None:
        if isinstance(shape, Object) and shape.merge == "logging":
            problems.refuse(over, path, f"{dotted(path)} is null here and not before; Docker Compose crashes on that")
        takes_null = isinstance(shape, Array | Leaf) and shape.replace
        return _replaced(base, over) if takes_null else base
    if base.value is None:
        settled = settle(over)
        return _merged(base, over, settled.value) if over.is_mapping else settled.with_key(over.key or base.key)
    if isinstance(shape, (Object, Table)) and base.is_mapping and over.is_mapping:
        if isinstance(shape, Object) and shape.short == "external":
            _same_external_name(base, over, path, problems)
        if isinstance(shape, Object) and shape.merge == "logging" and not _same_driver(base, over):
            return _replaced(base, settle(over))
        return _merged(base, over, _mapping(base, over, shape, path, problems))
    if isinstance(shape, Array) and base.is_list and over.is_list and not shape.replace:
        if shape.key == "subnet":
            return _merged(base, over, _pools(base, over, shape, path, problems))
        rule = shape.key
        if rule == "refuse" and shape.short:
            rule = "value"  # hosts become a mapping before they are merged
        elif rule == "refuse":
            _refuse_equal(base, over, path, problems)
        return _merged(base, over, unique([*base.value, *settle(over).value], rule))
    if isinstance(shape, Free):
        return _free(base, over, path, problems)
    return _replaced(base, settle(over))


_EXPANDED = {"gpus": "list", "ssh": "mapping"}
"""What Compose expands before it merges the next file."""


def _form(node: Node) -> str:
    """What a value was written as, before its short form was expanded."""
    written = node.span.text
    if written.startswith(("[", "- ", "-\n", "-\r")):
        return "list"
    if written.startswith("{") or (node.key is not None and node.span.line > node.key.line):
        return "mapping"
    return "mapping" if node.is_mapping and not node.span.text.strip() else "text"


def _refuse_equal(base: Node, over: Node, path: Path, problems: Problems) -> None:
    """Compose looks for equal entries after each merge."""
    earlier = {entry.value: entry for entry in base.entries() if entry.is_scalar}
    for entry in over.entries():
        if entry.is_scalar and entry.value in earlier:
            first = Related(earlier[entry.value].place, "first given here")
            problems.refuse(entry, path, f"{dotted(path)}: {entry.value} is given twice", first)


def _mapping(base: Node, over: Node, shape: Object | Table, path: Path, problems: Problems) -> dict[str, Node]:
    children: dict[str, Node] = dict(base.value)
    for key, child in over.value.items():
        if child.tag == "!reset":
            children.pop(key, None)
            continue
        earlier = children.get(key)
        if earlier is None:
            children[key] = settle(child)
            continue
        if isinstance(shape, Table):
            inner: Shape = shape.value
            if shape.atomic:
                children[key] = _replaced(earlier, settle(child))
                continue
        else:
            inner = shape.fields.get(key, Free())
        children[key] = merge(earlier, child, inner, (*path, key), problems)
    return children


def _merged(base: Node, over: Node, value: object) -> Node:
    merged = base.with_value(value, Hop("merged", "continued here", over.key or over.span))
    merged.key = base.key or over.key
    return merged


def _replaced(base: Node, over: Node) -> Node:
    return over.with_hops(*base.hops, Hop("override", "replaces the value here", base.span))


def _same_external_name(base: Node, over: Node, path: Path, problems: Problems) -> None:
    """`external: {name: x}` is no override of another name: Compose wants `name: x` for that."""
    external, name, before = over.get("external"), over.get("name"), base.get("name")
    if external is None or name is None or before is None or before.value == name.value:
        return
    start, end = (external.span.line, external.span.column), (external.span.end_line, external.span.end_column)
    if start <= (name.span.line, name.span.column) < end:
        message = f"{dotted(path)}: external.name {name.value} differs from the name {before.value} before; write name"
        problems.refuse(name, path, message, Related(before.place, "the name before"))


def _same_driver(base: Node, over: Node) -> bool:
    first, second = base.get("driver"), over.get("driver")
    return first is None or second is None or first.value == second.value


def _pools(base: Node, over: Node, shape: Array, path: Path, problems: Problems) -> list[Node]:
    """Address pools: a later file's list counts; a pool with the same subnet takes over what it leaves out."""
    known = {_field(pool, "subnet"): pool for pool in base.value}
    found = []
    for index, pool in enumerate(over.value):
        earlier = known.get(_field(pool, "subnet"))
        found.append(settle(pool) if earlier is None else merge(earlier, pool, shape.item, (*path, index), problems))
    return found


def _free(base: Node, over: Node, path: Path, problems: Problems) -> Node:
    if base.is_mapping and over.is_mapping:
        return _merged(base, over, _mapping(base, over, _FREE_TABLE, path, problems))
    if base.is_list and over.is_list:
        return _merged(base, over, [*base.value, *over.value])
    if base.is_scalar:
        return _replaced(base, settle(over))
    problems.refuse(
        over, path, f"{dotted(path)} is a {'mapping' if base.is_mapping else 'list'} before; it cannot be overridden"
    )
    return base


_FREE_TABLE = Table(Free())


def settle(node: Node) -> Node:
    """The tree without what `!reset` takes away, for a value that overrides nothing."""
    if node.is_mapping:
        children = {key: settle(child) for key, child in node.value.items() if child.tag != "!reset"}
        if len(children) == len(node.value) and all(children[key] is node.value[key] for key in children):
            return node
        return node.with_value(children)
    if node.is_list:
        items = [settle(child) for child in node.value if child.tag != "!reset"]
        if len(items) == len(node.value) and all(a is b for a, b in zip(items, node.value, strict=True)):
            return node
        return node.with_value(items)
    return node


# -- which list entries are the same --------------------------------------------------------------


def unique(items: list[Node], rule: str) -> list[Node]:
    """The entries with each key once: a later one takes the place of an earlier one."""
    key_of = _KEYS.get(rule)
    if key_of is None:
        return items
    places: dict[str, int] = {}
    found: list[Node] = []
    for item in items:
        key = key_of(item)
        if key in places:
            found[places[key]] = _replaced(found[places[key]], item)
        else:
            places[key] = len(found)
            found.append(item)
    return found


def _field(node: Node, name: str) -> str:
    child = node.get(name)
    return "" if child is None or child.value is None else str(child.value)


def _port_key(port: Node) -> str:
    published = port.get("published")
    shown = repr(published.value) if published is not None else "''"  # Compose tells 80 from "80" here
    return (
        f"{_field(port, 'host_ip') or '0.0.0.0'}:{shown}:{_field(port, 'target')}/{_field(port, 'protocol') or 'tcp'}"
    )


def _file_key(default: str) -> Callable[[Node], str]:
    return lambda node: _field(node, "target") if "target" in node.value else f"{default}/{_field(node, 'source')}"


_KEYS: dict[str, Callable[[Node], str]] = {
    "pair": lambda node: str(node.value).split("=", 1)[0],
    "value": lambda node: str(node.value),
    "target": lambda node: _field(node, "target"),
    "path": lambda node: _field(node, "path"),
    "port": _port_key,
    "config": _file_key(""),
    "secret": _file_key("/run/secrets"),
}
